//! The PROXY protocol: HAProxy in front of the edge as the one that speaks it, and hand-made headers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::process::Stdio;
use support::tls::{Authority, connect};
use support::{Client, Edge, echo, table};
use tokio::net::TcpStream;
use tokio::process::Command;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// An edge whose plain and TLS listeners are behind a load balancer.
async fn site() -> (Edge, std::net::SocketAddr, std::net::SocketAddr, Authority) {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let (http, https) = (edge.another_listener(), edge.another_listener());
    let files = authority.issue(edge.dir.path(), "a", &["a.test"]);
    let next = table(1).route("*", "/", "u").target("u", "s/u.1", echo("b").await);
    edge.apply(next.http(http).proxied().https(https).proxied().certificate(&files)).await;
    (edge, http, https, authority)
}

#[tokio::test]
async fn the_client_is_whom_the_header_says() {
    let (_edge, http, _, _) = site().await;
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend_from_slice(&[9, 8, 7, 6, 127, 0, 0, 1, 0, 10, 0, 20]);
    for (header, client) in [
        (b"PROXY TCP4 9.8.7.6 127.0.0.1 10 20\r\n".to_vec(), "9.8.7.6"),
        (binary, "9.8.7.6"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        // Cut at every byte, and with the request right behind it.
        for cut in 0..=header.len() {
            let mut connection = Client::connect(http).await;
            connection.send(&header[..cut]).await;
            connection.send([&header[cut..], GET.as_bytes()].concat()).await;
            let seen = connection.response().await.text();
            assert!(seen.contains(&format!("X-Forwarded-For: {client}\r\n")), "{seen}");
        }
    }
}

#[tokio::test]
async fn without_a_header_nothing_is_served() {
    let (edge, http, _, _) = site().await;
    for bad in [GET, "PROXY TCP4 nobody\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n"] {
        let mut connection = Client::connect(http).await;
        connection.send(bad).await;
        assert_eq!(connection.rest().await, b"");
    }
    // Where none is expected, it is no request.
    let mut connection = edge.client().await;
    connection.send(format!("PROXY TCP4 9.8.7.6 127.0.0.1 10 20\r\n{GET}")).await;
    assert_eq!(connection.response().await.status(), 400);
}

#[tokio::test]
async fn haproxy_tells_it_in_both_versions_and_before_tls() {
    let (edge, http, https, authority) = site().await;
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [one, two, secure] = [free(), free(), free()];
    let mut config =
        "defaults\n mode tcp\n timeout connect 9s\n timeout client 9s\n timeout server 9s\n".to_owned();
    for (at, to, how) in
        [(one, http, "send-proxy"), (two, http, "send-proxy-v2"), (secure, https, "send-proxy-v2")]
    {
        config += &format!("listen l{}\n bind {at}\n server s {to} {how}\n", at.port());
    }
    let path = edge.dir.path().join("haproxy.cfg");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut haproxy = command.spawn().expect("haproxy is installed: see testkit/env/setup");
    for at in [one, two] {
        while TcpStream::connect(at).await.is_err() {
            assert_eq!(haproxy.try_wait().unwrap(), None, "it ended at its start");
            tokio::task::yield_now().await;
        }
        let mut client = Client::connect(at).await;
        client.send(GET).await;
        assert!(client.response().await.text().contains("X-Forwarded-For: 127.0.0.1\r\n"));
    }
    let config = authority.client(&[], &[&rustls::version::TLS13]);
    let mut client = connect(&config, secure, "a.test").await.unwrap();
    client.send(GET).await;
    assert!(client.response().await.text().contains("X-Forwarded-Proto: https\r\n"));
}
