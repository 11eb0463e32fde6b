//! Which instance gets a request, how many it gets, and who waits.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use mainstay_model::table::TableRoute;
use mainstay_model::{Balance, Ejection, HashKey, Keepalive, UpstreamHealth};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::server::Server;
use support::{Client, Edge, Table, backend, echo, table};
use tokio::sync::{Semaphore, mpsc};

async fn three(change: impl FnOnce(&mut TableRoute)) -> Table {
    let mut routes = table(1).route_with("*", "/", "u", change);
    for name in ["one", "two", "three"] {
        routes = routes.target("u", &format!("s/u.{name}"), echo(name).await);
    }
    routes
}

/// Who answered.
async fn who(edge: &Edge, fields: &str) -> String {
    let mut client = edge.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")).await;
    let text = client.response().await.text();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn in_turn_and_by_key() {
    let edge = Edge::with(three(|route| route.policy.balance = Balance::RoundRobin).await).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(who(&edge, "").await);
    }
    assert_eq!(seen[..3], seen[3..]);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 3, "{seen:?}");
    for key in [HashKey::Cookie("session".into()), HashKey::Header("x-tenant".into())] {
        let named = |value: usize| match &key {
            HashKey::Cookie(_) => format!("Cookie: a=b; session=s{value}; session=other\r\n"),
            _ => format!("X-Tenant: {value}\r\n"),
        };
        let edge = Edge::with(three(|route| route.policy.balance = Balance::Hash(key.clone())).await).await;
        let mut all = BTreeSet::new();
        for value in 0..20 {
            let first = who(&edge, &named(value)).await;
            assert_eq!(who(&edge, &named(value)).await, first);
            all.insert(first);
        }
        assert_eq!(all.len(), 3);
        assert!(!who(&edge, "").await.is_empty(), "without a key anybody answers");
    }
}

/// A backend that tells of each request and answers it when it is given leave.
async fn slow() -> (SocketAddr, mpsc::UnboundedReceiver<String>, Arc<Semaphore>) {
    let (told, heard) = mpsc::unbounded_channel();
    let leave = Arc::new(Semaphore::new(0));
    let given = leave.clone();
    let address = backend(move |mut client: Client| {
        let (told, leave) = (told.clone(), given.clone());
        async move {
            while let Some(request) = client.try_request().await {
                let path = request.head.split(' ').nth(1).unwrap_or_default().to_owned();
                let _ = told.send(path);
                leave.acquire().await.unwrap().forget();
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    (address, heard, leave)
}

async fn begin(edge: &Edge, path: &str) -> Client {
    let mut client = edge.client().await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    client
}

async fn until_metric(edge: &mut Edge, line: &str) {
    while !edge.control.metrics().await.unwrap().lines().any(|seen| seen == line) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_finds_no_room_waits_in_the_order_of_coming_and_the_newest_is_turned_away() {
    let (address, mut heard, leave) = slow().await;
    let routes = table(1)
        .route_with("*", "/", "u", |route| {
            route.policy.max_in_flight = Some(1);
            route.policy.queue = 3;
            route.policy.timeouts.queue = Some(Duration::from_secs(600));
        })
        .target("u", "s/u.1", address);
    let mut edge = Edge::with(routes).await;
    let mut first = begin(&edge, "/1").await;
    assert_eq!(heard.recv().await.unwrap(), "/1");
    let mut second = begin(&edge, "/2").await;
    until_metric(&mut edge, "mainstay_edge_queued{upstream=\"u\"} 1").await;
    let mut third = begin(&edge, "/3").await;
    until_metric(&mut edge, "mainstay_edge_queued{upstream=\"u\"} 2").await;
    let mut fourth = begin(&edge, "/4").await;
    until_metric(&mut edge, "mainstay_edge_queued{upstream=\"u\"} 3").await;
    let refused = begin(&edge, "/5").await.response().await;
    assert_eq!((refused.status(), refused.value("retry-after").is_some()), (503, true));
    let clients =
        [(&mut first, Some("/2")), (&mut second, Some("/3")), (&mut third, Some("/4")), (&mut fourth, None)];
    for (client, next) in clients {
        leave.add_permits(1);
        assert_eq!(client.response().await.status(), 200);
        if let Some(next) = next {
            assert_eq!(heard.recv().await.unwrap(), next);
        }
    }
    until_metric(&mut edge, "mainstay_edge_shed_requests_total{upstream=\"u\"} 1").await;
    // Somebody who waits and goes leaves the place to others.
    let mut first = begin(&edge, "/5").await;
    assert_eq!(heard.recv().await.unwrap(), "/5");
    let mut second = begin(&edge, "/6").await;
    until_metric(&mut edge, "mainstay_edge_queued{upstream=\"u\"} 1").await;
    leave.add_permits(2);
    assert_eq!(first.response().await.status(), 200);
    assert_eq!(second.response().await.status(), 200);
}

#[tokio::test]
async fn who_waits_too_long_is_told_so() {
    let (address, mut heard, leave) = slow().await;
    let routes = table(1)
        .route_with("*", "/", "u", |route| {
            route.policy.max_in_flight = Some(1);
            route.policy.queue = 2;
            route.policy.timeouts.queue = Some(Duration::from_millis(1));
        })
        .target("u", "s/u.1", address);
    let edge = Edge::with(routes).await;
    let mut first = begin(&edge, "/1").await;
    assert_eq!(heard.recv().await.unwrap(), "/1");
    assert_eq!(begin(&edge, "/2").await.response().await.status(), 503);
    leave.add_permits(1);
    assert_eq!(first.response().await.status(), 200);
}

#[tokio::test]
async fn an_instance_that_fails_again_and_again_is_left_alone_unless_all_are() {
    let ill = Arc::new(AtomicBool::new(true));
    let state = ill.clone();
    let failing = backend(move |mut client: Client| {
        let ill = state.clone();
        async move {
            while client.try_request().await.is_some() {
                let status = if ill.load(Ordering::SeqCst) { "500 Oh" } else { "200 OK" };
                client.send(format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nill")).await;
            }
        }
    })
    .await;
    let eject = Some(Ejection { after: 3, pause: Duration::from_secs(600) });
    let well = echo("well").await;
    let routes = |version| {
        table(version)
            .route_with("*", "/", "u", |route| {
                route.policy.eject = eject;
                route.policy.balance = Balance::RoundRobin;
            })
            .target("u", "s/u.ill", failing)
    };
    let mut edge = Edge::with(routes(1).target("u", "s/u.well", well)).await;
    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(who(&edge, "").await != "well");
    }
    // What an answer means is noted once it is out, so one more may have been on its way.
    assert!((3..=4).contains(&failed), "{failed}");
    until_metric(&mut edge, "mainstay_edge_ejections_total{instance=\"s/u.ill\"} 1").await;
    // Alone it is better than nobody.
    edge.apply(routes(2)).await;
    ill.store(false, Ordering::SeqCst);
    assert_eq!(who(&edge, "").await, "ill");
}

#[tokio::test]
async fn an_upstream_outside_that_is_not_well_gets_requests_only_alone() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let ill = backend(move |mut client: Client| {
        let told = told.clone();
        async move {
            while let Some(request) = client.try_request().await {
                let is_check = request.head.starts_with("GET /up HTTP/1.1\r\n");
                let status = if is_check { "503 No" } else { "200 OK" };
                if is_check {
                    let _ = told.send(());
                }
                client.send(format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nill")).await;
            }
        }
    })
    .await;
    let well = echo("well").await;
    let make = |version| {
        let mut table = table(version)
            .route_with("*", "/", "u", |route| route.policy.balance = Balance::RoundRobin)
            .target("u", "ill", ill);
        let (interval, timeout) = (Duration::from_millis(1), Duration::from_secs(600));
        table.upstream("u").health = Some(UpstreamHealth { path: "/up".into(), interval, timeout });
        table
    };
    let mut edge = Edge::with(make(1).target("u", "well", well)).await;
    heard.recv().await.unwrap();
    // The answer to the check is on its way: soon nobody else answers, and then for as long as it stays ill.
    let mut in_a_row = 0;
    while in_a_row < 10 {
        in_a_row = if who(&edge, "").await == "well" { in_a_row + 1 } else { 0 };
    }
    edge.apply(make(2)).await;
    assert_eq!(who(&edge, "").await, "ill");
}

/// Requests one after the other, by who answered.
async fn answered(address: SocketAddr, count: usize) -> Vec<String> {
    let mut client = Client::connect(address).await;
    let mut seen = Vec::new();
    for _ in 0..count {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        seen.push(client.response().await.text().lines().next().unwrap_or_default().to_owned());
    }
    seen
}

#[tokio::test]
async fn weights_come_in_the_order_in_which_nginx_has_them() {
    let names = ["one", "two", "three", "four"];
    let mut backends = Vec::new();
    for name in names {
        backends.push((name, echo(name).await));
    }
    for weights in [[5, 1, 1, 1], [3, 3, 2, 1], [1, 10, 4, 7]] {
        for (method, balance) in [("", Balance::RoundRobin), ("least_conn;", Balance::LeastConn)] {
            let servers: String = backends
                .iter()
                .zip(weights)
                .map(|((_, a), weight)| format!("server {a} weight={weight};"))
                .collect();
            let upstream = format!("upstream u {{ {method} {servers} }}");
            let nginx = Server::nginx(&upstream, "location / { proxy_pass http://u; }").await;
            let mut routes =
                table(1).route_with("*", "/", "u", |route| route.policy.balance = balance.clone());
            for ((name, address), weight) in backends.iter().zip(weights) {
                routes = routes.target("u", name, address);
                routes.upstream("u").targets.last_mut().unwrap().weight = Some(weight);
            }
            let edge = Edge::with(routes).await;
            let count = 2 * weights.iter().sum::<u32>() as usize;
            let theirs = answered(nginx.address, count).await;
            assert_eq!(answered(edge.address, count).await, theirs, "{weights:?} {method}");
        }
    }
}

#[tokio::test]
async fn a_backup_answers_when_nobody_else_can() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let make = |version, first: SocketAddr, backup: SocketAddr| {
        let mut routes =
            table(version).route("*", "/", "u").target("u", "s/1", first).target("u", "s/2", backup);
        routes.upstream("u").targets[1].is_backup = true;
        routes
    };
    let (first, backup) = (echo("first").await, echo("backup").await);
    let mut edge = Edge::with(make(1, first, backup)).await;
    assert_eq!(answered(edge.address, 5).await, ["first"; 5]);
    edge.apply(make(2, closed, backup)).await;
    assert_eq!(answered(edge.address, 5).await, ["backup"; 5]);
    edge.apply(make(3, first, backup)).await;
    assert_eq!(answered(edge.address, 2).await, ["first"; 2]);
}

#[tokio::test]
async fn an_instance_that_has_just_come_gets_its_share_little_by_little() {
    let (old, new) = (echo("old").await, echo("new").await);
    // Few while it is new: on a busy machine many take so long that it is new no more.
    for (slow_start, requests, expected) in
        [(Some(3_000), 12, 0..=3), (Some(1), 40, 17..=20), (None, 40, 20..=20)]
    {
        let make = |version, instances: &[(&str, SocketAddr)]| {
            let routes = table(version).route_with("*", "/", "u", |route| {
                route.policy.balance = Balance::RoundRobin;
                route.policy.slow_start = slow_start.map(Duration::from_millis);
            });
            instances.iter().fold(routes, |routes, (name, address)| routes.target("u", name, *address))
        };
        let mut edge = Edge::with(make(1, &[("old", old)])).await;
        assert_eq!(answered(edge.address, 1).await, ["old"]);
        // Until it is no longer new itself.
        tokio::time::sleep(Duration::from_millis(slow_start.unwrap_or_default() + 100)).await;
        edge.apply(make(2, &[("old", old), ("new", new)])).await;
        let seen = answered(edge.address, requests).await;
        let got = seen.iter().filter(|name| *name == "new").count();
        assert!(expected.contains(&got), "{slow_start:?}: {got} of {requests}");
    }
}

/// A backend that answers with the number of its connection and of the request on it.
async fn counting() -> SocketAddr {
    let connections = Arc::new(AtomicUsize::new(0));
    backend(move |mut client: Client| {
        let connection = connections.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let mut request = 0;
            while client.try_request().await.is_some() {
                request += 1;
                let text = format!("{connection}.{request}");
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn connections_are_kept_as_a_route_says() {
    let keeping = |connections, idle, requests| Keepalive { connections, idle, requests };
    for (rules, expected) in [
        (Keepalive::default(), ["1.1", "1.2", "1.3", "1.4", "1.5"]),
        (keeping(None, None, Some(2)), ["1.1", "1.2", "2.1", "2.2", "3.1"]),
        (keeping(Some(0), None, None), ["1.1", "2.1", "3.1", "4.1", "5.1"]),
        (keeping(None, Some(Duration::ZERO), None), ["1.1", "2.1", "3.1", "4.1", "5.1"]),
    ] {
        let routes = table(1).route_with("*", "/", "u", |route| route.policy.keepalive = rules);
        let edge = Edge::with(routes.target("u", "s/u.1", counting().await)).await;
        assert_eq!(answered(edge.address, 5).await, expected, "{rules:?}");
    }
    // Requests with bodies that are still arriving count like others.
    let routes = table(1).route_with("*", "/", "u", |route| route.policy.keepalive.requests = Some(2));
    let edge = Edge::with(routes.target("u", "s/u.1", counting().await)).await;
    let mut client = edge.client().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.send("2\r\nhi\r\n0\r\n\r\n").await;
        seen.push(client.response().await.text());
    }
    assert_eq!(seen, ["1.1", "1.2", "2.1"]);
}
