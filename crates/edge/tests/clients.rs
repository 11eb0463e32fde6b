//! What every connection of a client is held to.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use mainstay_model::{ClientRules, Site, TrustedProxy};
use std::time::Duration;
use support::{Client, Edge, Table, backend, echo, table};

async fn held_to(rules: ClientRules) -> Table {
    let mut table = table(1).route_with("*", "/", "u", |route| route.site = "s".into()).target(
        "u",
        "s/u.1",
        echo("app").await,
    );
    *table.0.clients = rules;
    table
}

/// A connection that has been served.
async fn served(edge: &Edge) -> Client {
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 200);
    client
}

async fn is_turned_away(edge: &Edge) -> bool {
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.try_head().await.is_none()
}

#[tokio::test]
async fn connections_above_the_number_of_a_client_or_of_all_are_closed() {
    for rules in [
        ClientRules { per_client: Some(2), ..ClientRules::default() },
        ClientRules { connections: Some(2), ..ClientRules::default() },
    ] {
        let mut edge = Edge::with(held_to(rules.clone()).await).await;
        let open = [served(&edge).await, served(&edge).await];
        assert!(is_turned_away(&edge).await, "{rules:?}");
        let text = edge.control.metrics().await.unwrap();
        assert!(text.contains("mainstay_edge_refused_connections_total 1\n"), "{text}");
        drop(open);
        while is_turned_away(&edge).await {}
    }
    // A proxy brings many clients.
    let rules = ClientRules { per_client: Some(1), ..ClientRules::default() };
    let mut table = held_to(rules).await;
    let trusted_proxies = vec![TrustedProxy::Net("127.0.0.0/8".parse().unwrap())];
    table.0.sites.insert("s".into(), Site { trusted_proxies, ..Site::default() });
    let edge = Edge::with(table).await;
    let _open = [served(&edge).await, served(&edge).await, served(&edge).await];
}

#[tokio::test]
async fn heads_have_a_size_a_number_of_fields_and_a_time() {
    let rules = ClientRules { head_size: Some(600), head_fields: Some(10), ..ClientRules::default() };
    let edge = Edge::with(held_to(rules).await).await;
    let ask = async |fields: String| {
        let mut client = edge.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        client.response().await.status()
    };
    assert_eq!(ask("A: b\r\n".repeat(9)).await, 200);
    assert_eq!(ask("A: b\r\n".repeat(10)).await, 431);
    assert_eq!(ask(format!("A: {}\r\n", "b".repeat(500))).await, 200);
    assert_eq!(ask(format!("A: {}\r\n", "b".repeat(600))).await, 431);

    // A line may be as long as the file says, and an instance may answer with as much.
    for (most, shorter, longer) in [(None, 8000, 8300), (Some(15_000), 14_900, 15_100), (Some(600), 580, 610)]
    {
        let rules = ClientRules { head_line: most, ..ClientRules::default() };
        let back = backend(|mut client: Client| async move {
            while let Some(request) = client.try_request().await {
                let cookie = request.value("cookie").unwrap_or_default().to_owned();
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {cookie}\r\n\r\n")).await;
            }
        });
        let mut routes = table(1).route("*", "/", "u").target("u", "s/u.1", back.await);
        *routes.0.clients = rules;
        let edge = Edge::with(routes).await;
        for (length, expected) in [(shorter, 200), (longer, 431)] {
            let mut client = edge.client().await;
            let cookie = "c".repeat(length);
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).await;
            let answer = client.response().await;
            assert_eq!(answer.status(), expected, "{most:?} {length}");
            assert!(expected != 200 || answer.value("x") == Some(&cookie));
            let mut client = edge.client().await;
            client.send(format!("GET /{cookie} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let expected = if expected == 200 { 200 } else { 414 };
            assert_eq!(client.response().await.status(), expected, "{most:?} {length}");
        }
    }

    let rules = ClientRules { head: Some(Duration::from_millis(1)), ..ClientRules::default() };
    let edge = Edge::with(held_to(rules).await).await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHo").await;
    // A new connection that says nothing in time is closed without a word, one in the middle of a head is told.
    let answer = client.rest().await;
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let rules = ClientRules { idle: Some(Duration::from_millis(1)), ..ClientRules::default() };
    let edge = Edge::with(held_to(rules).await).await;
    let mut client = served(&edge).await;
    assert!(client.at_end().await);
}
