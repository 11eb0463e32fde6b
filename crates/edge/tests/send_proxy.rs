//! The PROXY protocol towards instances: nginx and HAProxy as those that are told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use bytes::Bytes;
use mainstay_model::{ProxyVersion, Scheme, Site, Transport, TrustedProxy, UpstreamHealth, UpstreamTls};
use std::net::SocketAddr;
use std::time::Duration;
use support::server::Server;
use support::tls::Authority;
use support::{Client, Edge, Table, table};
use tokio::net::TcpStream;

const VERSIONS: [ProxyVersion; 2] = [ProxyVersion::V1, ProxyVersion::V2];
const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// nginx that tells of whom the header spoke, and where he came in.
async fn nginx() -> Server {
    let tells = "location / { return 200 \
                 \"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port\"; }";
    Server::nginx_listening("proxy_protocol", "", tells).await
}

fn to(address: SocketAddr, version: ProxyVersion) -> Table {
    let mut table = table(1).route("*", "/", "u").target("u", "s/u.1", address);
    table.upstream("u").transport = Transport { send_proxy: Some(version), ..Transport::default() };
    table
}

#[tokio::test]
async fn each_client_is_told_of_on_connections_of_its_own() {
    let server = nginx().await;
    for version in VERSIONS {
        let edge = Edge::with(to(server.address, version)).await;
        let mut clients = [edge.client().await, edge.client().await, edge.client().await];
        for _ in 0..3 {
            for client in &mut clients {
                let port = client.stream.local_addr().unwrap().port();
                client.send(GET).await;
                let seen = client.response().await.text();
                assert_eq!(seen, format!("127.0.0.1 {port} {}", edge.address.port()), "{version:?}");
            }
        }
        let mut client = edge.client().await;
        let port = client.stream.local_addr().unwrap().port();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
        client.send("0\r\n\r\n").await;
        assert!(client.response().await.text().starts_with(&format!("127.0.0.1 {port} ")));
    }
}

#[tokio::test]
async fn streams_of_http_2_have_their_connections_ends() {
    let server = nginx().await;
    let edge = Edge::with(to(server.address, ProxyVersion::V2)).await;
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let port = stream.local_addr().unwrap().port();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = http::Request::get("http://a.test/").body(()).unwrap();
        let (answer, _) = sender.clone().ready().await.unwrap().send_request(request, true).unwrap();
        let seen: Bytes = answer.await.unwrap().body_mut().data().await.unwrap().unwrap();
        assert_eq!(seen, format!("127.0.0.1 {port} {}", edge.address.port()));
    }
}

#[tokio::test]
async fn whom_a_trusted_proxy_speaks_of_is_the_client() {
    let server = nginx().await;
    let mut table = to(server.address, ProxyVersion::V1);
    let trusted_proxies = vec![TrustedProxy::Net("127.0.0.0/8".parse().unwrap())];
    table.0.sites.insert("s".into(), Site { trusted_proxies, ..Site::default() });
    table.0.routes[0].site = "s".into();
    let edge = Edge::with(table).await;
    for says in ["9.8.7.6", "2001:db8::1"] {
        let mut client = edge.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {says}\r\n\r\n")).await;
        let text = client.response().await.text();
        // No port is known; nginx shows none for 0.
        assert!(text.starts_with(&format!("{says}  ")), "{text}");
    }
}

#[tokio::test]
async fn it_comes_before_tls_and_with_health_checks() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let files = authority.issue(directory.path(), "server", &["upstream.test"]);
    let tells = format!(
        "ssl_certificate {}; ssl_certificate_key {}; \
         location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_port\"; }}",
        files.cert.display(),
        files.key.display()
    );
    let server = Server::nginx_listening("ssl proxy_protocol", "", &tells).await;
    let tls = UpstreamTls {
        ca: Some(authority.root_pem()),
        server_name: Some("upstream.test".into()),
        ..UpstreamTls::default()
    };
    let mut table = to(server.address, ProxyVersion::V2);
    let upstream = table.upstream("u");
    upstream.transport = Transport { scheme: Scheme::Https, tls, send_proxy: Some(ProxyVersion::V2) };
    upstream.health = Some(UpstreamHealth {
        path: "/".into(),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
    });
    let edge = Edge::with(table).await;
    let mut client = edge.client().await;
    let port = client.stream.local_addr().unwrap().port();
    client.send(GET).await;
    assert_eq!(client.response().await.text(), format!("127.0.0.1 {port}"));
}

#[tokio::test]
async fn haproxy_behind_a_tcp_listener_is_told() {
    let haproxy = Server::start("haproxy", |command, directory, address| {
        let config = format!(
            "defaults\n mode http\n timeout connect 9s\n timeout client 9s\n timeout server 9s\n\
             listen l\n bind {address} accept-proxy\n http-request return status 200 content-type text/plain \
             lf-string \"%[src] %[src_port] %[dst_port]\"\n"
        );
        let path = directory.path().join("haproxy.cfg");
        std::fs::write(&path, config).unwrap();
        command.arg("-db").arg("-f").arg(path);
    })
    .await;
    for version in VERSIONS {
        let mut edge = Edge::start().await;
        let listener = edge.another_listener();
        let mut next = table(1).tcp(listener, "u").target("u", "s/u.1", haproxy.address);
        next.upstream("u").transport.send_proxy = Some(version);
        edge.apply(next).await;
        for _ in 0..3 {
            let mut client = Client::connect(listener).await;
            let port = client.stream.local_addr().unwrap().port();
            client.send(GET).await;
            let seen = client.response().await.text();
            assert_eq!(seen, format!("127.0.0.1 {port} {}", listener.port()), "{version:?}");
        }
    }
}

#[tokio::test]
async fn what_a_load_balancer_in_front_said_is_passed_on() {
    let server = nginx().await;
    let mut edge = Edge::start().await;
    let (http, tcp) = (edge.another_listener(), edge.another_listener());
    let next = to(server.address, ProxyVersion::V2).http(http).proxied().tcp(tcp, "u").proxied();
    edge.apply(next).await;
    for listener in [http, tcp] {
        let mut client = Client::connect(listener).await;
        client.send(format!("PROXY TCP4 9.8.7.6 127.0.0.1 10 20\r\n{GET}")).await;
        let seen = client.response().await.text();
        assert_eq!(seen, format!("9.8.7.6 10 {}", listener.port()));
    }
}
