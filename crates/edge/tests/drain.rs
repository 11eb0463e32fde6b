//! What a change of tables does to what is under way: nothing, until it has to end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::{Client, Edge, backend, echo, in_ms, table};

const LATER: u64 = 60_000;

#[tokio::test]
async fn an_upload_still_arriving_when_its_instance_drains_completes_there() {
    let (old, new) = (echo("old").await, echo("new").await);
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", old)).await;
    let mut client = edge.client().await;
    client.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n0123456789").await;
    edge.until(|status| status.in_flight.get("s/u.1") == Some(&1)).await;

    let next = table(2).route("*", "/", "u").target("u", "s/u.2", new);
    edge.apply(next.draining("u", "s/u.1", old, in_ms(LATER))).await;
    assert!(edge.get("x", "/").await.text().starts_with("new"));
    assert_eq!(edge.status().await.in_flight.get("s/u.1"), Some(&1));

    client.send("abcdefghij").await;
    let response = client.response().await;
    assert!(response.text().starts_with("old") && response.text().ends_with("0123456789abcdefghij"));
    assert_eq!(response.value("connection"), Some("close"));
    assert!(client.at_end().await);
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_request_whose_head_is_still_arriving_goes_to_the_new_instance() {
    let (old, new) = (echo("old").await, echo("new").await);
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", old)).await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHo").await;
    edge.apply(table(2).route("*", "/", "u").target("u", "s/u.2", new)).await;
    client.send("st: x\r\n\r\n").await;
    assert!(client.response().await.text().starts_with("new"));
}

/// An instance that answers with a stream that never ends by itself.
async fn endless() -> std::net::SocketAddr {
    backend(|mut client| async move {
        client.try_head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").await;
        client.rest().await;
    })
    .await
}

#[tokio::test]
async fn an_endless_stream_is_cut_at_the_drain_deadline() {
    let (old, new) = (endless().await, echo("new").await);
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", old)).await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.until_contains("data: 1").await;

    let next = |version, until| {
        table(version).route("*", "/", "u").target("u", "s/u.2", new).draining("u", "s/u.1", old, until)
    };
    edge.apply(next(2, in_ms(LATER))).await;
    assert_eq!(edge.status().await.in_flight.get("s/u.1"), Some(&1), "it runs until the deadline");
    edge.apply(next(3, in_ms(0))).await;
    let rest = String::from_utf8(client.rest().await).unwrap();
    assert!(!rest.ends_with("0\r\n\r\n"), "a stream that was cut does not look complete");
    edge.until(|status| status.in_flight.is_empty()).await;
}

/// An instance that accepts a WebSocket, greets and echoes bytes.
async fn websocket() -> std::net::SocketAddr {
    backend(|mut client: Client| async move {
        let Some(head) = client.try_head().await else { return };
        assert!(head.contains("Connection: upgrade") && head.contains("Upgrade: websocket"), "{head}");
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\u{1}\u{2}hi")
            .await;
        client.give_back().await;
    })
    .await
}

async fn open_websocket(edge: &Edge) -> Client {
    let mut client = edge.client().await;
    client
        .send(
            "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let head = client.try_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Upgrade: websocket"), "{head}");
    while client.buffer.len() < 4 {
        client.more().await;
    }
    assert_eq!(std::mem::take(&mut client.buffer), b"\x01\x02hi");
    client
}

#[tokio::test]
async fn a_websocket_is_told_to_go_at_the_drain_deadline() {
    let (old, new) = (websocket().await, echo("new").await);
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", old)).await;
    let mut client = open_websocket(&edge).await;
    client.send(b"\x82\x03abc").await;
    client.until_contains("\u{3}abc").await;
    client.buffer.clear();

    let next = |version, until| {
        table(version).route("*", "/", "u").target("u", "s/u.2", new).draining("u", "s/u.1", old, until)
    };
    edge.apply(next(2, in_ms(LATER))).await;
    client.send(b"\x82\x01d").await;
    client.until_contains("d").await;
    client.buffer.clear();
    edge.apply(next(3, in_ms(0))).await;
    assert_eq!(client.rest().await, [0x88, 2, 0x03, 0xe9], "1001, going away");
    drop(client);
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn a_websocket_in_the_middle_of_a_frame_is_just_closed() {
    let old = websocket().await;
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", old)).await;
    let mut client = open_websocket(&edge).await;
    client.send(b"\x82\x05ab").await;
    client.until_contains("ab").await;
    client.buffer.clear();
    let next = table(2).route("*", "/", "u").empty_upstream("u").draining("u", "s/u.1", old, in_ms(0));
    edge.apply(next).await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn ends_of_a_tunnel_are_passed_on_one_by_one() {
    let old = websocket().await;
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", old)).await;
    let mut client = open_websocket(&edge).await;
    client.send(b"last words").await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    assert_eq!(client.rest().await, b"last words");
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn an_instance_taken_back_serves_again() {
    let backend = echo("one").await;
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", backend)).await;
    let mut client = edge.client().await;
    let ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(ask).await;
    assert!(client.response().await.value("connection").is_none());
    let gone =
        table(2).route("*", "/", "u").empty_upstream("u").draining("u", "s/u.1", backend, in_ms(LATER));
    edge.apply(gone).await;
    client.send(ask).await;
    assert_eq!(client.response().await.status(), 503);
    edge.apply(table(3).route("*", "/", "u").target("u", "s/u.1", backend)).await;
    client.send(ask).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.value("connection")), (200, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapping_tables_under_load_loses_nothing() {
    const SWAPS: u64 = 60;
    const CLIENTS: usize = 6;
    let (one, two) = (echo("one").await, echo("two").await);
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", one)).await;
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let (over, answered, address) = (over.clone(), answered.clone(), edge.address);
        clients.push(tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            while !over.load(Ordering::Relaxed) {
                let body = "x".repeat(number * 1000);
                let head =
                    format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                client.send(head).await;
                let response = client.response().await;
                assert_eq!(response.status(), 200, "{}", response.head);
                answered.fetch_add(1, Ordering::Relaxed);
                if response.value("connection") == Some("close") {
                    client = Client::connect(address).await;
                }
            }
        }));
    }
    for version in 2..SWAPS {
        let before = answered.load(Ordering::Relaxed);
        let (new, old) = if version % 2 == 0 { ((2, two), (1, one)) } else { ((1, one), (2, two)) };
        let next = table(version)
            .route("*", "/", "u")
            .target("u", &format!("s/u.{}", new.0), new.1)
            .draining("u", &format!("s/u.{}", old.0), old.1, in_ms(LATER));
        edge.apply(next).await;
        // What is counted is all there is: at 0 the instance may be stopped.
        edge.until(|status| !status.in_flight.contains_key(&format!("s/u.{}", old.0))).await;
        while answered.load(Ordering::Relaxed) < before + CLIENTS {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let status = edge.status().await;
    assert_eq!(status.requests["u"].keys().collect::<Vec<_>>(), ["2xx"]);
}
