//! Upstreams that speak TLS: nginx as the one that is spoken to, and hand-made ones that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::{ClientIdentity, RouteTimeouts, Scheme, Secret, Transport, UpstreamHealth, UpstreamTls};
use std::fs;
use std::time::Duration;
use support::server::Server;
use support::tls::{Authority, instance};
use support::{Client, Edge, Table, backend, table};
use tempfile::TempDir;

/// A route to an upstream that is spoken to with TLS.
fn secure(address: impl ToString, tls: UpstreamTls) -> Table {
    let mut table = table(1).route("*", "/", "u").target("u", "s/u.1", address);
    table.upstream("u").transport = Transport { scheme: Scheme::Https, tls, ..Transport::default() };
    table
}

fn trusting(authority: &Authority, name: &str) -> UpstreamTls {
    UpstreamTls {
        ca: Some(authority.root_pem()),
        server_name: Some(name.to_owned()),
        ..UpstreamTls::default()
    }
}

/// nginx with TLS: tells the name it was asked for, whether the session is an old one, the number of requests on the
/// connection, and who the client proved to be.
async fn nginx(authority: &Authority, more: &str) -> (Server, TempDir) {
    let files_of = tempfile::tempdir().unwrap();
    let directory = files_of.path();
    let files = authority.issue(directory, "server", &["upstream.test"]);
    let root = directory.join("root.pem");
    fs::write(&root, authority.root_pem()).unwrap();
    fs::write(directory.join("large"), vec![b'x'; 3_000_000]).unwrap();
    let server = Server::nginx_listening(
        "ssl",
        "ssl_session_cache shared:s:1m; client_max_body_size 0;",
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; {more} \
             location / {{ return 200 \"$ssl_server_name $ssl_session_reused $connection_requests $ssl_client_verify\"; }} \
             location /large {{ alias {}/large; }}",
            files.cert.display(),
            files.key.display(),
            root.display(),
            directory.display(),
        ),
    )
    .await;
    (server, files_of)
}

#[tokio::test]
async fn a_verified_upstream_is_asked_by_its_name_and_connections_are_kept() {
    let authority = Authority::new();
    let (server, _files) = nginx(&authority, "").await;
    let edge = Edge::with(secure(server.address, trusting(&authority, "upstream.test"))).await;
    let mut client = edge.client().await;
    for number in 1..4 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.text(), format!("upstream.test . {number} NONE"));
    }
    // Enough connections that both threads have shaken hands more than once.
    let mut resumed = 0;
    for _ in 0..8 {
        let mut busy = Vec::new();
        for _ in 0..4 {
            let mut client = edge.client().await;
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            busy.push(client);
        }
        for mut client in busy {
            resumed += usize::from(client.response().await.text().contains(" r "));
        }
    }
    assert!(resumed > 0, "no session was resumed");
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let authority = Authority::new();
    let echo = instance(&authority, "upstream.test", |mut client| async move {
        while let Some(request) = client.try_request().await {
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len())).await;
            client.send(&request.body).await;
        }
    })
    .await;
    let edge = Edge::with(secure(echo, trusting(&authority, "upstream.test"))).await;
    let body = "0123456789".repeat(200_000);
    let mut client = edge.client().await;
    for _ in 0..2 {
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        client.send(&body).await;
        assert!(client.response().await.text() == body);
    }
    let (server, _files) = nginx(&authority, "").await;
    let edge = Edge::with(secure(server.address, trusting(&authority, "upstream.test"))).await;
    assert_eq!(edge.get("x", "/large").await.body.len(), 3_000_000);
}

#[tokio::test]
async fn who_cannot_prove_to_be_it_gets_no_request_and_is_to_blame() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (server, _files) = nginx(&authority, "").await;
    let plain = backend(|mut client: Client| async move {
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await;
        client.rest().await;
    })
    .await;
    for (address, tls) in [
        (server.address, trusting(&stranger, "upstream.test")),
        (server.address, trusting(&authority, "other.test")),
        // The system does not know the authority either; and the address is not in the certificate.
        (server.address, UpstreamTls::default()),
        (server.address, UpstreamTls { server_name: None, ..trusting(&authority, "") }),
        (plain, trusting(&authority, "upstream.test")),
        (
            server.address,
            UpstreamTls { ca: Some("-----BEGIN CERTIFICATE-----\nx\n".into()), ..UpstreamTls::default() },
        ),
    ] {
        let mut edge = Edge::with(secure(address, tls.clone())).await;
        assert_eq!(edge.get("x", "/").await.status(), 502, "{tls:?}");
        let counted = "mainstay_edge_upstream_errors_total{stack=\"\",host=\"*\",path=\"/\",kind=\"tls\"} 1";
        // It is counted once it has been answered.
        while !edge.control.metrics().await.unwrap().contains(counted) {}
    }
    let unverified = UpstreamTls { unverified: true, ..UpstreamTls::default() };
    let edge = Edge::with(secure(server.address, unverified)).await;
    assert_eq!(edge.get("x", "/").await.status(), 200);
}

#[tokio::test]
async fn an_upstream_that_asks_is_shown_a_certificate() {
    let authority = Authority::new();
    let (server, _files) = nginx(&authority, "ssl_verify_client on;").await;
    let directory = tempfile::tempdir().unwrap();
    let files = authority.issue(directory.path(), "edge", &["edge.test"]);
    let identity = ClientIdentity {
        chain: fs::read_to_string(files.cert).unwrap(),
        key: Secret::new(fs::read_to_string(files.key).unwrap()),
    };
    let tls = trusting(&authority, "upstream.test");
    let edge = Edge::with(secure(server.address, tls.clone())).await;
    assert_eq!(edge.get("x", "/").await.status(), 400, "nginx misses the certificate");
    let edge = Edge::with(secure(server.address, UpstreamTls { identity: Some(identity), ..tls })).await;
    assert!(edge.get("x", "/").await.text().ends_with("SUCCESS"));
}

#[tokio::test]
async fn the_deadline_for_connecting_is_for_the_handshake_too() {
    let silent = backend(|mut client: Client| async move {
        client.rest().await;
    })
    .await;
    let short = RouteTimeouts { connect: Duration::from_millis(200), ..RouteTimeouts::default() };
    let mut table = secure(silent, UpstreamTls::default());
    table.0.routes[0].policy.timeouts = short;
    let edge = Edge::with(table).await;
    assert_eq!(edge.get("x", "/").await.status(), 504);
}

#[tokio::test]
async fn websockets_pass_through_tls() {
    let authority = Authority::new();
    let socket = instance(&authority, "upstream.test", |mut client| async move {
        client.try_head().await.unwrap();
        client.send("HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02hi").await;
        client.until_contains("ping").await;
        client.send("pong").await;
        client.rest().await;
    })
    .await;
    let edge = Edge::with(secure(socket, trusting(&authority, "upstream.test"))).await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 101);
    client.until_contains("hi").await;
    client.send("ping").await;
    client.until_contains("pong").await;
}

#[tokio::test]
async fn a_body_without_a_known_length_that_is_cut_off_does_not_look_whole() {
    let authority = Authority::new();
    for (ends_well, reply) in [(true, "whole"), (false, "half")] {
        let cut = instance(&authority, "upstream.test", move |mut client| async move {
            client.try_head().await.unwrap();
            client.send(format!("HTTP/1.1 200 OK\r\n\r\n{reply}")).await;
            if ends_well {
                tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
            } else {
                tokio::io::AsyncWriteExt::shutdown(client.stream.get_mut().0).await.unwrap();
            }
            client.rest().await;
        })
        .await;
        let edge = Edge::with(secure(cut, trusting(&authority, "upstream.test"))).await;
        let mut client = edge.client().await;
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let all = String::from_utf8(client.rest().await).unwrap();
        assert!(all.contains(reply), "{all}");
        assert_eq!(all.ends_with("0\r\n\r\n"), ends_well, "{all}");
    }
}

#[tokio::test]
async fn its_health_is_asked_for_through_tls() {
    let authority = Authority::new();
    let (well, _files) = nginx(&authority, "").await;
    let (ill, _others) = nginx(&authority, "location /health { return 503; }").await;
    let mut table = secure(ill.address, trusting(&authority, "upstream.test"));
    let upstream = table.upstream("u");
    upstream.health = Some(UpstreamHealth {
        path: "/health".into(),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
    });
    let table = table.target("u", "s/u.2", well.address);
    let edge = Edge::with(table).await;
    // Requests go to both until the first answer is there, then to one.
    let mut in_a_row = 0;
    while in_a_row < 20 {
        let mut client = edge.client().await;
        client.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let is_well = client.response().await.status() == 200;
        in_a_row = if is_well { in_a_row + 1 } else { 0 };
    }
}
