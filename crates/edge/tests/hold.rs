//! Requests wait while a service is swapped.

mod support;

use support::{Client, Edge, echo, in_ms, table};

const LATER: u64 = 60_000;
const ASK: &str = "GET /path HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn held_requests_go_to_the_instance_that_comes() {
    let mut edge = Edge::with(table(1).route("*", "/", "u").hold("u", in_ms(LATER))).await;
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..5 {
        let mut client = edge.client().await;
        client.send(ASK).await;
        clients.push(client);
    }
    let mut posting = edge.client().await;
    posting.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab").await;
    edge.until(|status| status.held.get("u") == Some(&6)).await;
    // A table without an instance changes nothing for them.
    edge.apply(table(2).route("*", "/", "u").hold("u", in_ms(LATER))).await;
    assert_eq!(edge.status().await.held.get("u"), Some(&6));
    edge.apply(table(3).route("*", "/", "u").target("u", "s/u.1", echo("new").await)).await;
    for client in &mut clients {
        let text = client.response().await.text();
        assert!(text.starts_with("new\nGET /path "), "{text}");
    }
    posting.send("cd").await;
    assert!(posting.response().await.text().ends_with("abcd"));
    assert!(edge.status().await.held.is_empty());
}

#[tokio::test]
async fn a_hold_ends_with_its_time() {
    let mut edge = Edge::with(table(1).route("*", "/", "u").hold("u", in_ms(300))).await;
    let mut client = edge.client().await;
    client.send(ASK).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.value("retry-after")), (503, Some("2")));
    assert!(edge.status().await.held.is_empty());
    client.send(ASK).await;
    assert_eq!(client.response().await.status(), 503, "the connection goes on");
}

#[tokio::test]
async fn a_hold_that_is_called_off_ends_at_once() {
    let mut edge = Edge::with(table(1).route("*", "/", "u").hold("u", in_ms(LATER))).await;
    let mut client = edge.client().await;
    client.send(ASK).await;
    edge.until(|status| status.held.get("u") == Some(&1)).await;
    edge.apply(table(2).route("*", "/", "u").empty_upstream("u")).await;
    assert_eq!(client.response().await.status(), 503);
}

#[tokio::test]
async fn tcp_connections_are_held_too() {
    let mut edge = Edge::start().await;
    let port = edge.another_listener();
    edge.apply(table(1).tcp(port, "db").hold("db", in_ms(LATER))).await;
    let mut client = Client::connect(port).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    edge.until(|status| status.held.get("db") == Some(&1)).await;
    let backend = echo("tcp").await;
    edge.apply(table(2).tcp(port, "db").target("db", "s/db.1", backend)).await;
    assert!(client.response().await.text().starts_with("tcp"));
    assert_eq!(edge.status().await.in_flight.get("s/db.1"), Some(&1));
    edge.apply(table(3).tcp(port, "db").empty_upstream("db").draining("db", "s/db.1", backend, in_ms(0)))
        .await;
    assert!(client.at_end().await, "a drained TCP connection is closed");
    let mut client = Client::connect(port).await;
    assert!(client.at_end().await, "nobody is there and nothing is held");
}
