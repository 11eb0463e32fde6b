//! Clients stay with the instance that answered them first, by a signed cookie.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use mainstay_model::{Balance, Ejection, TrustedProxy};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use support::{Client, Edge, Message, Table, backend, connect, control_path, echo, start_in, table};
use tokio::sync::mpsc;

/// A table with the instances of these names.
fn sticky(version: u64, instances: &[(&str, SocketAddr)]) -> Table {
    let stays = |route: &mut mainstay_model::table::TableRoute| {
        route.policy.balance = Balance::Sticky("stay".into());
    };
    let mut table = table(version).route_with("*", "/", "u", stays).empty_upstream("u");
    for (name, address) in instances {
        table = table.target("u", &format!("s/{name}"), address);
    }
    table
}

async fn ask(edge: &Edge, path: &str, cookies: &str) -> Message {
    let mut client = edge.client().await;
    let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{cookies}Connection: close\r\n\r\n")).await;
    client.response().await
}

/// Who answered, and the cookie that was set.
async fn who(edge: &Edge, cookies: &str) -> (String, Option<String>) {
    let answer = ask(edge, "/", cookies).await;
    let cookie = answer.value("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
    (answer.text().lines().next().unwrap_or_default().to_owned(), cookie)
}

#[tokio::test]
async fn a_client_stays_while_its_instance_does() {
    let all = [("u.1", echo("one").await), ("u.2", echo("two").await), ("u.3", echo("three").await)];
    let mut edge = Edge::with(sticky(1, &all)).await;
    let mut seen = BTreeSet::new();
    let mut last = (String::new(), String::new());
    // Who answered just now may still seem busy, so that two can be chosen by turns for a while.
    for _ in 0..60 {
        let (name, cookie) = who(&edge, "").await;
        let cookie = cookie.unwrap();
        for _ in 0..3 {
            assert_eq!(who(&edge, &format!("other=1; {cookie}; stay=x")).await, (name.clone(), None));
        }
        seen.insert(name.clone());
        last = (name, cookie);
        if seen.len() == 3 {
            break;
        }
    }
    assert_eq!(seen.len(), 3, "new clients are spread");
    let (name, cookie) = last;
    let line = ask(&edge, "/", "").await.value("set-cookie").unwrap().to_owned();
    assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{line}");
    assert!(!line.contains("u."), "it says nothing about what runs: {line}");

    // Its instance leaves: another answers, and from then on that one.
    let others: Vec<_> =
        all.iter().filter(|(_, address)| !address_is(&all, &name, *address)).copied().collect();
    edge.apply(sticky(2, &others)).await;
    let (next, fresh) = who(&edge, &cookie).await;
    assert_ne!(next, name);
    let fresh = fresh.unwrap();
    edge.apply(sticky(3, &all)).await;
    for _ in 0..6 {
        assert_eq!(who(&edge, &fresh).await, (next.clone(), None));
    }
}

fn address_is(all: &[(&str, SocketAddr)], name: &str, address: SocketAddr) -> bool {
    let place = ["one", "two", "three"].iter().position(|known| *known == name).unwrap();
    all[place].1 == address
}

#[tokio::test]
async fn what_nobody_signed_counts_for_nothing() {
    let all = [("u.1", echo("one").await), ("u.2", echo("two").await)];
    let edge = Edge::with(sticky(1, &all)).await;
    let (_, cookie) = who(&edge, "").await;
    let cookie = cookie.unwrap();
    let value = cookie.strip_prefix("stay=").unwrap();
    let other = Edge::with(sticky(1, &all)).await;
    let (_, foreign) = who(&other, "").await;
    let mut wrong = vec![foreign.unwrap(), "stay=".into(), format!("stay={value}A"), "stay=%00".into()];
    for place in 0..value.len() {
        let mut bytes = value.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        wrong.push(format!("stay={}", String::from_utf8(bytes).unwrap()));
    }
    for wrong in wrong {
        let (_, fresh) = who(&edge, &wrong).await;
        assert!(fresh.is_some_and(|fresh| fresh != wrong), "{wrong}");
    }
    // Among many of that name the right one is found; what is beyond reason is not looked for.
    let many = |count: usize| format!("{}{cookie}", "stay=AAAA; ".repeat(count));
    assert_eq!(who(&edge, &many(5)).await.1, None);
    // The cookie of one service says nothing to another.
    let mut edge = edge;
    let both = sticky(2, &all).route_with("b", "/", "v", |route| {
        route.policy.balance = Balance::Sticky("stay".into());
    });
    edge.apply(both.target("v", "s/u.1", all[0].1).target("v", "s/u.2", all[1].1)).await;
    let mut client = edge.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: b\r\nCookie: {cookie}\r\n\r\n")).await;
    assert!(client.response().await.value("set-cookie").is_some());
}

#[tokio::test]
async fn an_edge_that_takes_over_knows_the_cookies() {
    let all = [("u.1", echo("one").await), ("u.2", echo("two").await), ("u.3", echo("three").await)];
    let edge = Edge::with(sticky(1, &all)).await;
    let (name, cookie) = who(&edge, "").await;
    let cookie = cookie.unwrap();
    let dir = edge.end(Duration::ZERO).await;
    let mut edge = Edge::start().await;
    let thread = start_in(dir.path());
    let control = connect(&control_path(dir.path())).await;
    let old = std::mem::replace(&mut edge.dir, dir);
    edge.control.shutdown(Duration::ZERO).await.unwrap();
    edge.join();
    drop(old);
    edge.replace(control, thread);
    edge.apply(sticky(2, &all)).await;
    for _ in 0..4 {
        assert_eq!(who(&edge, &cookie).await, (name.clone(), None));
    }
}

#[tokio::test]
async fn one_that_fails_or_is_gone_is_left_for_another_and_one_without_room_only_for_a_while() {
    let failing = backend(|mut client: Client| async move {
        while client.try_request().await.is_some() {
            client.send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let make = |version, second: Option<SocketAddr>, eject: bool, most: Option<u32>| {
        let mut table = sticky(version, &[("u.1", failing)]);
        table.0.routes[0].policy.eject =
            eject.then_some(Ejection { after: 1, pause: Duration::from_secs(600) });
        table.0.routes[0].policy.max_in_flight = most;
        second.into_iter().fold(table, |table, second| table.target("u", "s/u.2", second))
    };
    let mut edge = Edge::with(make(1, None, true, None)).await;
    let ill = ask(&edge, "/", "").await;
    assert_eq!(ill.status(), 500);
    let cookie = ill.value("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let ejected = "mainstay_edge_ejections_total{instance=\"s/u.1\"} 1";
    while !edge.control.metrics().await.unwrap().contains(ejected) {
        tokio::task::yield_now().await;
    }
    let well = echo("well").await;
    edge.apply(make(2, Some(well), true, None)).await;
    let (name, fresh) = who(&edge, &cookie).await;
    assert_eq!((name.as_str(), fresh.is_some()), ("well", true), "ejected");

    // A port that nobody listens on: the request goes to the other, and so does the client from then on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut edge = Edge::with(sticky(1, &[("u.1", well)])).await;
    let cookie = who(&edge, "").await.1.unwrap();
    edge.apply(sticky(2, &[("u.1", closed), ("u.2", well)])).await;
    let (name, fresh) = who(&edge, &cookie).await;
    assert_eq!((name.as_str(), fresh.is_some()), ("well", true), "gone");

    let (told, mut heard) = mpsc::unbounded_channel();
    let silent = backend(move |mut client: Client| {
        let told = told.clone();
        async move {
            while let Some(request) = client.try_request().await {
                let _ = told.send(());
                if request.head.starts_with("GET /wait ") {
                    client.at_end().await;
                    return;
                }
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfull").await;
            }
        }
    })
    .await;
    let full = |version, second: &[SocketAddr]| {
        let mut table = sticky(version, &[("u.1", silent)]);
        table.0.routes[0].policy.max_in_flight = Some(1);
        second.iter().fold(table, |table, second| table.target("u", "s/u.2", second))
    };
    let mut edge = Edge::with(full(1, &[])).await;
    let cookie = who(&edge, "").await.1.unwrap();
    heard.recv().await.unwrap();
    edge.apply(full(2, &[well])).await;
    let mut waiting = edge.client().await;
    waiting.send(format!("GET /wait HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).await;
    heard.recv().await.unwrap();
    assert_eq!(who(&edge, &cookie).await, ("well".to_owned(), None), "no room, but it goes back");
}

#[tokio::test]
async fn the_cookie_is_of_its_route_and_goes_with_tls_and_uploads() {
    let well = echo("well").await;
    let mut table = sticky(1, &[("u.1", well)]).route_with("*", "/app/", "v", |route| {
        route.policy.balance = Balance::Sticky("stay".into());
        route.policy.strip_prefix = true;
    });
    table.0.sites.entry("s".into()).or_default().trusted_proxies =
        vec![TrustedProxy::Net("127.0.0.0/8".parse().unwrap())];
    table.0.routes.iter_mut().for_each(|route| route.site = "s".into());
    let edge = Edge::with(table.target("v", "s/v.1", well)).await;
    let mut client = edge.client().await;
    client.send("GET /app/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n").await;
    let answer = client.response().await;
    let line = answer.value("set-cookie").unwrap();
    assert!(line.ends_with("; Path=/app/; HttpOnly; SameSite=Lax; Secure"), "{line}");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("2\r\nhi\r\n0\r\n\r\n").await;
    let answer = client.response().await;
    assert!(answer.value("set-cookie").is_some_and(|line| line.contains("; Path=/; ")), "{answer:?}");
}
