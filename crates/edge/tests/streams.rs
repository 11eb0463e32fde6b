//! Bodies in all their forms, both ways.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Client, Edge, backend, echo, replying, table};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

async fn to(backend: SocketAddr) -> Edge {
    Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", backend)).await
}

#[tokio::test]
async fn chunked_requests_arrive_whole_and_without_trailers() {
    let edge = to(echo("b").await).await;
    let mut client = edge.client().await;
    for _ in 0..2 {
        client.send("PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n").await;
        client.send("4;ext=1\r\nwiki\r\n").await;
        client.send("5\r\npedia\r\n0\r\nX-T: dropped\r\n\r\n").await;
        let text = client.response().await.text();
        assert!(text.ends_with("wikipedia") && !text.contains("X-T") && !text.contains("ext"), "{text}");
        assert!(text.contains("Transfer-Encoding: chunked") && !text.contains("Content-Length"), "{text}");
    }
}

#[tokio::test]
async fn chunked_responses_pass_whatever_their_cuts() {
    let wire = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n4\r\nwiki\r\n5;a=b\r\npedia\r\n0\r\nX-T: 1\r\n\r\n";
    let head = wire.find("\r\n\r\n").unwrap() + 4;
    for cut in head..wire.len() {
        let cut_backend = backend(move |mut client: Client| async move {
            while client.try_request().await.is_some() {
                client.send(&wire[..cut]).await;
                // Going through the kernel as two pieces is made likely; either way the answer is the same.
                tokio::task::yield_now().await;
                client.send(&wire[cut..]).await;
            }
        })
        .await;
        let edge = to(cut_backend).await;
        let mut client = edge.client().await;
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert_eq!(client.response().await.text(), "wikipedia", "cut at {cut}");
        }
        edge.end(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let edge = to(backend(|mut client: Client| async move {
        while let Some(request) = client.try_request().await {
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len())).await;
            client.send(&request.body).await;
        }
    })
    .await)
    .await;
    let mut client = edge.client().await;
    for size in [1, 200, 8192, 16_384, 65_536, 70_000, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n");
        client.send([head.as_bytes(), &body].concat()).await;
        assert!(client.response().await.body == body, "{size}");
    }
}

/// Octets that the kernel keeps for a connection, at the end `from`.
fn kept(from: SocketAddr, to: SocketAddr) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ports = format!(":{:04X} 0100007F:{:04X} ", from.port(), to.port());
    let line = table.lines().find(|line| line.contains(&ports)).unwrap();
    let queues = line.split_whitespace().nth(4).unwrap();
    u64::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap()
}

/// Sends until nobody takes it any more, which nobody says.
async fn send_until_stuck(client: &mut Client) {
    while timeout(Duration::from_millis(500), client.stream.write_all(&[b'x'; 4096])).await.is_ok() {}
}

/// An edge, and its connections to an instance, which has read a head on each.
async fn to_instance() -> (Edge, mpsc::UnboundedReceiver<Client>) {
    let (begun, instances) = mpsc::unbounded_channel();
    let instance = backend(move |mut client: Client| {
        let begun = begun.clone();
        async move {
            client.try_head().await;
            begun.send(client).unwrap();
        }
    });
    (to(instance.await).await, instances)
}

#[tokio::test]
async fn of_what_a_client_does_not_take_little_is_kept() {
    let (edge, mut instances) = to_instance().await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut instance = instances.recv().await.unwrap();
    instance.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
    send_until_stuck(&mut instance).await;
    let kept = kept(edge.address, client.stream.local_addr().unwrap());
    assert!((1..256 * 1024).contains(&kept), "{kept}");
}

#[tokio::test]
async fn of_what_an_instance_does_not_take_little_is_kept() {
    let (edge, mut instances) = to_instance().await;
    let mut client = edge.client().await;
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n").await;
    let instance = instances.recv().await.unwrap().stream;
    send_until_stuck(&mut client).await;
    let kept = kept(instance.peer_addr().unwrap(), instance.local_addr().unwrap());
    assert!((1..256 * 1024).contains(&kept), "{kept}");
}

/// Beyond what comes with the head, such a body goes through a pipe of the kernel's.
#[tokio::test]
async fn a_body_that_comes_in_pieces_keeps_its_order_and_the_next_answer_its_place() {
    const SIZES: [usize; 6] = [8_000, 16_200, 16_384, 24_600, 65_536, 900_000];
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = connections.clone();
    let edge = to(backend(move |mut client: Client| {
        seen.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut sizes = SIZES.iter().cycle();
            while client.try_request().await.is_some() {
                let body: Vec<u8> = (0..*sizes.next().unwrap()).map(|n| (n % 251) as u8).collect();
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await;
                for piece in body.chunks(body.len() / 3 + 1) {
                    client.send(piece).await;
                    tokio::task::yield_now().await;
                }
            }
        }
    })
    .await)
    .await;
    let mut client = edge.client().await;
    for size in SIZES.iter().cycle().take(3 * SIZES.len()) {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let body = client.response().await.body;
        assert!(body.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8), "{size}");
        assert_eq!(body.len(), *size);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "a connection to the instance was not used again");
}

#[tokio::test]
async fn a_response_until_close_gets_an_end_the_client_can_see() {
    let edge = to(replying("HTTP/1.1 200 OK\r\n\r\nall of it", true).await).await;
    let mut client = edge.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!(response.value("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "all of it");
    }
}

#[tokio::test]
async fn responses_without_a_body_keep_the_connection_in_step() {
    let edge = to(backend(|mut client: Client| async move {
        while let Some(request) = client.try_request().await {
            let status = request.head.split(['/', ' ']).nth(2).unwrap_or_default().to_owned();
            let length = if status == "204" { "" } else { "Content-Length: 5\r\n" };
            client.send(format!("HTTP/1.1 {status} X\r\n{length}\r\n")).await;
        }
    })
    .await)
    .await;
    let mut client = edge.client().await;
    for (method, status, length) in [("HEAD", 200, Some("5")), ("GET", 204, None), ("GET", 304, Some("5"))] {
        client.send(format!("{method} /{status} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let response = client.response_without_body().await;
        assert_eq!((response.status(), response.value("content-length")), (status, length));
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_from_us() {
    let edge = to(echo("b").await).await;
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(client.try_head().await.unwrap(), "HTTP/1.1 100 Continue");
    client.send("abc").await;
    let text = client.response().await.text();
    assert!(text.ends_with("abc") && !text.contains("Expect"), "{text}");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc").await;
    assert_eq!(client.response().await.status(), 200, "who does not wait is not made to read a 100");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: tea\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 417);
}

#[tokio::test]
async fn interim_responses_of_the_instance_are_not_passed_on() {
    let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let edge = to(replying(wire, false).await).await;
    let response = edge.get("x", "/").await;
    assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("1\r\na\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "ok");
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    // The instance sends an event for each byte its client sends on another connection: nothing can be buffered.
    let (tell, told) = tokio::sync::mpsc::channel::<String>(1);
    let told = std::sync::Arc::new(tokio::sync::Mutex::new(told));
    let edge = to(backend(move |mut client: Client| {
        let told = told.clone();
        async move {
            client.try_head().await;
            client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while let Some(event) = told.lock().await.recv().await {
                client.send(format!("{:x}\r\n{event}\r\n", event.len())).await;
            }
            client.send("0\r\n\r\n").await;
        }
    })
    .await)
    .await;
    let mut client = edge.client().await;
    client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.try_head().await.unwrap();
    assert!(head.contains("text/event-stream"), "the head comes before the first event");
    for n in 0..3 {
        tell.send(format!("data: {n}\n\n")).await.unwrap();
        client.until_contains(&format!("data: {n}\n\n")).await;
    }
    drop(tell);
    client.until_contains("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_listener_that_leaves_an_endless_stream_frees_the_instance() {
    let (gone, mut is_gone) = tokio::sync::mpsc::channel::<()>(1);
    let mut edge = to(backend(move |mut client: Client| {
        let gone = gone.clone();
        async move {
            client.try_head().await;
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
            client.rest().await;
            gone.send(()).await.unwrap();
        }
    })
    .await)
    .await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.until_contains("1\r\na\r\n").await;
    drop(client);
    is_gone.recv().await.unwrap();
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn an_early_answer_to_an_upload_is_heard() {
    let edge = to(backend(|mut client: Client| async move {
        client.try_head().await;
        client.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig").await;
    })
    .await)
    .await;
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome").await;
    let response = client.response().await;
    assert_eq!((response.status(), response.text().as_str()), (413, "big"));
    assert_eq!(response.value("connection"), Some("close"));
}

#[tokio::test]
async fn other_protocols_are_upgraded_to_only_when_asked() {
    let edge = to(backend(|mut client: Client| async move {
        while let Some(head) = client.try_head().await {
            if head.contains("Upgrade: echo") {
                client.send("HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
                client.give_back().await;
            } else {
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())).await;
            }
        }
    })
    .await)
    .await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly").await;
    assert!(client.try_head().await.unwrap().starts_with("HTTP/1.1 101"));
    client.until_contains("early").await;
    client.send("late").await;
    client.until_contains("late").await;
    for ignored in
        ["Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: x", "Upgrade: websocket"]
    {
        let mut client = edge.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{ignored}\r\n\r\n")).await;
        let text = client.response().await.text().to_ascii_lowercase();
        assert!(!text.contains("upgrade") && !text.contains("http2"), "{text}");
    }
}
