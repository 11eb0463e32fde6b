//! Instances that misbehave, and clients that do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::RouteTimeouts;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Client, Edge, backend, echo, replying, table};

async fn to(backend: SocketAddr) -> Edge {
    Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", backend)).await
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn bad_responses_become_502() {
    for bad in [
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Surprise\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let edge = to(replying(bad, true).await).await;
        assert_eq!(edge.get("x", "/").await.status(), 502, "{bad:?}");
        edge.end(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_does_not_look_complete() {
    for broken in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX",
    ] {
        let edge = to(replying(broken, true).await).await;
        let mut client = edge.client().await;
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let all = String::from_utf8(client.rest().await).unwrap();
        assert!(!all.ends_with("0\r\n\r\n"), "{all}");
        edge.end(Duration::ZERO).await;
    }
}

/// Such a body is passed on without being looked at; a part of it left in a pipe must not become another answer's.
#[tokio::test]
async fn a_large_response_that_breaks_off_does_not_look_complete_nor_spoil_the_next() {
    let edge = to(backend(|mut client: Client| async move {
        while let Some(request) = client.try_request().await {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n").await;
            let length = if request.head.starts_with("GET /broken") { 150_000 } else { 200_000 };
            client.send(vec![b'x'; length]).await;
            if length < 200_000 {
                return;
            }
        }
    })
    .await)
    .await;
    for _ in 0..3 {
        let mut client = edge.client().await;
        client.send("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let all = client.rest().await;
        assert!(all.len() > 100_000 && all.len() < 200_000, "{}", all.len());
        let mut client = edge.client().await;
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.body, vec![b'x'; 200_000]);
    }
}

#[tokio::test]
async fn bytes_behind_a_response_are_never_taken_for_the_next_one() {
    let surplus =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let edge = to(replying(surplus, false).await).await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "ok");
    }
}

#[tokio::test]
async fn bytes_behind_a_large_response_are_never_taken_for_the_next_one() {
    let mut surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    surplus.resize(surplus.len() + 100_000, b'x');
    surplus.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let edge = to(replying(surplus, false).await).await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.body, vec![b'x'; 100_000]);
    }
}

#[tokio::test]
async fn nobody_listening_is_502_and_another_instance_takes_over() {
    let edge = to(nobody()).await;
    let response = edge.get("x", "/").await;
    assert_eq!(response.status(), 502);
    let live = echo("live").await;
    let edge = Edge::with(
        table(1)
            .route("*", "/", "u")
            .target("u", "s/u.1", nobody())
            .target("u", "s/u.2", nobody())
            .target("u", "s/u.3", live),
    )
    .await;
    let mut client = edge.client().await;
    for _ in 0..6 {
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab").await;
        assert!(client.response().await.text().starts_with("live"));
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
        client.send("0\r\n\r\n").await;
        assert!(client.response().await.text().starts_with("live"));
    }
}

/// An instance that answers `requests` requests on each connection and closes on the next.
async fn closing_after(requests: usize, seen: Arc<AtomicUsize>) -> SocketAddr {
    backend(move |mut client: Client| {
        let seen = seen.clone();
        async move {
            for answered in 0.. {
                if client.try_request().await.is_none() {
                    return;
                }
                seen.fetch_add(1, Ordering::Relaxed);
                if answered == requests {
                    return;
                }
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_used_connection_closed_under_a_request_costs_nothing_where_it_may_be_repeated() {
    let seen = Arc::new(AtomicUsize::new(0));
    let edge = to(closing_after(1, seen.clone()).await).await;
    let mut client = edge.client().await;
    for _ in 0..4 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 200);
    }
    assert_eq!(seen.load(Ordering::Relaxed), 7, "four, and three of them twice");
}

#[tokio::test]
async fn what_must_not_happen_twice_does_not() {
    let seen = Arc::new(AtomicUsize::new(0));
    let edge = to(closing_after(0, seen.clone()).await).await;
    for (ask, status) in [
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", 502),
        ("PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 502),
    ] {
        let before = seen.load(Ordering::Relaxed);
        let mut client = edge.client().await;
        client.send(ask).await;
        assert_eq!(client.response().await.status(), status);
        assert_eq!(seen.load(Ordering::Relaxed), before + 1);
    }
}

#[tokio::test]
async fn an_instance_that_died_is_replaced_by_another_for_a_repeatable_request() {
    let seen = Arc::new(AtomicUsize::new(0));
    let dying = closing_after(0, seen.clone()).await;
    let edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", dying).target(
        "u",
        "s/u.2",
        echo("live").await,
    ))
    .await;
    for _ in 0..4 {
        assert!(edge.get("x", "/").await.text().starts_with("live"));
    }
    assert!(seen.load(Ordering::Relaxed) > 0, "it was tried");
}

#[tokio::test]
async fn a_silent_instance_is_504() {
    let silent = backend(|mut client: Client| async move {
        client.rest().await;
    })
    .await;
    let short = RouteTimeouts { read: Duration::from_millis(200), ..RouteTimeouts::default() };
    let edge = Edge::with(
        table(1)
            .route_with("*", "/", "u", |route| route.policy.timeouts = short)
            .target("u", "s/u.1", silent),
    )
    .await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 504);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 504, "the connection was still in step");
}

#[tokio::test]
async fn a_broken_upload_is_400_and_the_instance_sees_no_end() {
    let (saw, mut seen) = tokio::sync::mpsc::channel::<bool>(1);
    let edge = to(backend(move |mut client: Client| {
        let saw = saw.clone();
        async move { saw.send(client.try_request().await.is_some()).await.unwrap() }
    })
    .await)
    .await;
    let mut client = edge.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nnonsense\r\n")
        .await;
    let response = client.response().await;
    assert_eq!((response.status(), response.value("connection")), (400, Some("close")));
    assert_eq!(seen.recv().await, Some(false));
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").await;
    drop(client);
    assert_eq!(seen.recv().await, Some(false));
}

#[tokio::test]
async fn names_are_looked_up() {
    let port = echo("named").await.port();
    let edge = Edge::with(
        table(1)
            .route("*", "/", "u")
            .route("*", "/none/", "none")
            .target("u", "outside", format!("localhost:{port}"))
            .target("none", "nowhere", "name.invalid:80"),
    )
    .await;
    assert!(edge.get("x", "/").await.text().starts_with("named"));
    assert_eq!(edge.get("x", "/none/").await.status(), 502);
}
