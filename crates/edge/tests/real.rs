//! In front of servers people use: nginx and Python's http.server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::Path;
use support::server::Server;
use support::{Edge, table};

fn content(dir: &Path) -> Vec<u8> {
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 249) as u8).collect();
    std::fs::write(dir.join("big"), &bytes).unwrap();
    std::fs::write(dir.join("small.txt"), "small").unwrap();
    bytes
}

async fn in_front_of(server: &Server) -> Edge {
    Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", server.address)).await
}

#[tokio::test]
async fn nginx() {
    let dir = tempfile::tempdir().unwrap();
    let big = content(dir.path());
    let locations = format!("root {}; location /r {{ return 301 /small.txt; }}", dir.path().display());
    let server = Server::nginx("", &locations).await;
    let edge = in_front_of(&server).await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(client.response().await.body == big);
        client.send("GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n").await;
        let part = client.response().await;
        assert_eq!((part.status(), &part.body[..]), (206, &big[5..10]));
        client.send("HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response_without_body().await.value("content-length"), Some("1000000"));
        client.send("GET /r HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let location = client.response().await;
        let location = location.value("location").unwrap_or_default();
        assert!(
            location.starts_with("http://x:"),
            "it sees the client's host, and adds its own port: {location}"
        );
        client.send("POST /small.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 405);
        client.send("GET /none HTTP/1.1\r\nHost: x\r\nIf-None-Match: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 404);
    }
}

#[tokio::test]
async fn pythons_http_server() {
    let dir = tempfile::tempdir().unwrap();
    let big = content(dir.path());
    let server = Server::start("python3", |command, _, address| {
        let port = address.port().to_string();
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port]).current_dir(dir.path());
    })
    .await;
    let edge = in_front_of(&server).await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(client.response().await.body == big);
        client.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 404);
        client.send("POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(client.response().await.status(), 501);
    }
}
