//! gRPC through the edge: grpcio at both ends sees through it what it sees without it, and Go's passes its own tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::{Scheme, Transport, UpstreamTls};
use std::net::SocketAddr;
use support::server::Server;
use support::tls::Authority;
use support::{Edge, table};
use tokio::process::Command;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/servers/grpc_peer.py");
/// The Python that has grpcio: see testkit/env/setup.
const PYTHON: &str = "python-servers";

async fn server(tls: &[std::path::PathBuf]) -> Server {
    Server::start(PYTHON, |command, _, address| {
        command.args([PEER, "serve", &address.to_string()]).args(tls);
    })
    .await
}

/// What a client saw of all kinds of calls.
async fn ask(address: SocketAddr) -> String {
    let mut command = Command::new(PYTHON);
    command.args([PEER, "ask", &address.to_string()]).kill_on_drop(true);
    let output = command.output().await.expect("python-servers is installed: run ./test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn calls_of_all_kinds_are_as_without_the_edge() {
    let server = server(&[]).await;
    let direct = ask(server.address).await;
    assert_eq!(direct.lines().count(), 12, "{direct}");
    let mut table = table(1).route("a.test", "/", "u").target("u", "s/u.1", server.address);
    table.upstream("u").transport.scheme = Scheme::H2c;
    let mut edge = Edge::with(table).await;
    assert_eq!(ask(edge.address).await, direct);
    // Nothing is left behind, not even of what was cancelled.
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn they_are_with_tls_to_the_upstream() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let files = authority.issue(directory.path(), "server", &["upstream.test"]);
    let server = server(&[files.cert, files.key]).await;
    let tls = UpstreamTls {
        ca: Some(authority.root_pem()),
        server_name: Some("upstream.test".into()),
        ..UpstreamTls::default()
    };
    let mut table = table(1).route("a.test", "/", "u").target("u", "s/u.1", server.address);
    table.upstream("u").transport = Transport { scheme: Scheme::H2, tls, ..Transport::default() };
    let edge = Edge::with(table).await;
    let seen = ask(edge.address).await;
    assert!(seen.contains("unary: ok") && seen.contains("at once: ok True"), "{seen}");
    assert_eq!(seen.lines().filter(|line| line.contains("UNAVAILABLE")).count(), 0, "{seen}");
}

/// The cases of gRPC's interoperability tests that are about one client and one server without credentials
/// (<https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md>).
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
];

#[tokio::test]
async fn the_tests_of_grpc_itself_pass_between_two_of_go() {
    let server = Server::start("grpc-go-server", |command, _, address| {
        command.args(["--port", &address.port().to_string()]);
    })
    .await;
    let mut table = table(1).route("127.0.0.1", "/", "u").target("u", "s/u.1", server.address);
    table.upstream("u").transport.scheme = Scheme::H2c;
    let mut edge = Edge::with(table).await;
    for case in CASES {
        let mut command = Command::new("grpc-go-client");
        command.args(["--server_host", "127.0.0.1", "--server_port", &edge.address.port().to_string()]);
        let output = command.args(["--test_case", case]).kill_on_drop(true).output().await;
        let output = output.expect("grpc-go-client is installed: run ./test");
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    }
    edge.until(|status| status.in_flight.is_empty()).await;
}
