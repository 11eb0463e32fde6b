//! The whole of h2spec, a conformance suite for HTTP/2 by others, against the edge. `testkit/env/setup` installs it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::net::SocketAddr;
use std::process::Stdio;
use support::tls::Authority;
use support::{Edge, backend, table};
use tokio::process::Command;

/// A service whose answers take several frames.
async fn service() -> SocketAddr {
    backend(|mut client| async move {
        let body = "x".repeat(40_000);
        while client.try_request().await.is_some() {
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        }
    })
    .await
}

/// Runs the suite; all that it prints is in the message of a failure.
async fn examine(address: SocketAddr, more: &[&str], at_least: u32) {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let run = Command::new("h2spec")
        .args(["--strict", "--timeout", "10", "--host", &host, "--port", &port])
        .args(more)
        .stdin(Stdio::null())
        .output();
    let output = run.await.expect("h2spec is on the path: see testkit/env/setup");
    let text = String::from_utf8_lossy(&output.stdout);
    let summary = text.lines().find(|line| line.contains(" tests, ")).unwrap_or("no summary");
    assert!(output.status.success() && summary.contains(" 0 failed"), "{text}");
    let passed = summary.split(", ").find_map(|part| part.strip_suffix(" passed")?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed >= at_least), "{summary}");
}

#[tokio::test]
async fn prior_knowledge_conforms() {
    let edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", service().await)).await;
    // Without http2/3.5/2, a malformed preface: on a port where HTTP/1.1 is spoken too it is a malformed request, and gets
    // an answer before the connection ends.
    let sections = ["generic", "hpack", "http2/3.5/1", "http2/4", "http2/5", "http2/6", "http2/7", "http2/8"];
    examine(edge.address, &sections, 145).await;
}

#[tokio::test]
async fn through_tls_conforms() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let address = edge.another_listener();
    let files = authority.issue(edge.dir.path(), "a", &["localhost"]);
    let next = table(1).route("*", "/", "u").target("u", "s/u.1", service().await);
    edge.apply(next.https(address).certificate(&files)).await;
    examine(address, &["--tls", "--insecure"], 146).await;
}
