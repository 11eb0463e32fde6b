//! HTTP/3 towards clients: the same path as HTTP/1.1, seen through a client of the `h3` crate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::{Request, Response};
use mainstay_model::table::ListenerKind;
use quinn::crypto::rustls::QuicClientConfig;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::tls::{Authority, connect};
use support::{Client, Edge, backend, echo, table};
use tokio::task::JoinHandle;

type Sender = SendRequest<OpenStreams, Bytes>;

struct Site {
    edge: Edge,
    address: SocketAddr,
    authority: Authority,
    backend: SocketAddr,
}

impl Site {
    async fn to(backend: SocketAddr) -> Self {
        let mut edge = Edge::start().await;
        let address = edge.another_listener();
        let mut site = Self { edge, address, authority: Authority::new(), backend };
        site.apply(1, true).await;
        site
    }

    async fn apply(&mut self, version: u64, http3: bool) {
        let files = self.authority.issue(self.edge.dir.path(), "a", &["a.test"]);
        let mut table = table(version).https(self.address).certificate(&files);
        table.0.listeners[0].kind = ListenerKind::Https { http3 };
        self.edge.apply(table.route("a.test", "/", "u").target("u", "s/u.1", self.backend)).await;
    }

    fn config(&self, protocol: &str) -> Arc<rustls::ClientConfig> {
        self.authority.client(&[protocol], &[&rustls::version::TLS13])
    }

    async fn client(&self) -> (Sender, JoinHandle<()>) {
        speak(self.address, self.config("h3")).await.unwrap()
    }
}

async fn speak(
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
) -> Result<(Sender, JoinHandle<()>), quinn::ConnectionError> {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let tls = QuicClientConfig::try_from(tls).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let connection = endpoint.connect(address, "a.test").unwrap().await?;
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    let driving = tokio::spawn(async move {
        poll_fn(|cx| driver.poll_close(cx)).await;
    });
    Ok((sender, driving))
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://a.test{path}")).body(()).unwrap()
}

async fn ask(sender: &mut Sender, request: Request<()>, body: &[u8]) -> (Response<()>, Vec<u8>) {
    let stream = sender.send_request(request).await.unwrap();
    let (mut to, mut from) = stream.split();
    let body = body.to_vec();
    let sending = tokio::spawn(async move {
        for piece in body.chunks(10_000) {
            to.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        to.finish().await.unwrap();
    });
    let response = from.recv_response().await.unwrap();
    let mut all = Vec::new();
    while let Some(mut piece) = from.recv_data().await.unwrap() {
        all.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
    }
    sending.await.unwrap();
    (response, all)
}

#[tokio::test]
async fn the_service_sees_a_request_like_any_other() {
    let site = Site::to(echo("b").await).await;
    let (mut sender, _) = site.client().await;
    let request = Request::get("https://a.test/x?y=1")
        .header("cookie", "a=1")
        .header("x-forwarded-for", "6.6.6.6")
        .body(())
        .unwrap();
    for _ in 0..3 {
        let (response, body) = ask(&mut sender, request.clone(), b"").await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("date"));
        let seen = String::from_utf8(body).unwrap();
        assert!(seen.starts_with("b\nGET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n"), "{seen}");
        assert!(seen.contains("X-Forwarded-Proto: https\r\n") && !seen.contains("6.6.6.6"), "{seen}");
        assert!(!seen.to_lowercase().contains("transfer-encoding"), "a GET was given a body: {seen}");
    }
    assert_eq!(
        ask(&mut sender, Request::get("https://b.test/").body(()).unwrap(), b"").await.0.status(),
        421
    );
}

#[tokio::test]
async fn bodies_pass_both_ways_on_many_streams() {
    let site = Site::to(
        backend(|mut client: Client| async move {
            while let Some(request) = client.try_request().await {
                client
                    .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()))
                    .await;
                client.send(&request.body).await;
            }
        })
        .await,
    )
    .await;
    let (sender, _) = site.client().await;
    let all = [0_usize, 1, 16_384, 300_000, 2_000_000].map(|size| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            for with_length in [true, false] {
                let mut request = Request::post("https://a.test/");
                if with_length {
                    request = request.header("content-length", size);
                }
                let (response, answer) = ask(&mut sender, request.body(()).unwrap(), &body).await;
                assert_eq!(response.status(), 200);
                assert!(answer == body, "{size}, {with_length}");
            }
        })
    });
    for one in all {
        one.await.unwrap();
    }
}

/// aioquic's client, which shares no code with ours.
#[tokio::test]
async fn another_implementation_is_answered() {
    let site = Site::to(echo("b").await).await;
    let root = site.edge.dir.path().join("root.pem");
    std::fs::write(&root, site.authority.root_pem()).unwrap();
    for (count, size) in [(1, 0), (40, 0), (10, 50_000)] {
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/servers/h3_client.py");
        let numbers = [site.address.port().into(), count, size].map(|number: usize| number.to_string());
        let asked = tokio::process::Command::new("python-servers")
            .args([client, &numbers[0], root.to_str().unwrap(), &numbers[1], &numbers[2]])
            .output();
        let asked = asked.await.expect("python-servers of testkit/env/setup");
        let said = String::from_utf8(asked.stdout).unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let answers: Vec<serde_json::Value> =
            said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(answers.len(), count);
        for (place, answer) in answers.iter().enumerate() {
            let method = if size > 0 { "POST" } else { "GET" };
            let body = answer["body"].as_str().unwrap();
            assert_eq!(answer["status"], "200");
            assert!(body.starts_with(&format!("b\n{method} /{place} HTTP/1.1")), "{body}");
            assert!(body.ends_with(&"x".repeat(size)));
        }
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_does_not_look_complete() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let site = Site::to(support::replying(broken, true).await).await;
    let (mut sender, _) = site.client().await;
    let mut stream = sender.send_request(get("/")).await.unwrap();
    stream.finish().await.unwrap();
    // The reset may come before the head, as it does not wait its turn.
    let received = async {
        stream.recv_response().await?;
        while stream.recv_data().await?.is_some() {}
        Ok::<_, h3::error::StreamError>(())
    };
    assert!(received.await.is_err(), "it looks whole");
}

#[tokio::test]
async fn another_edge_takes_over_the_socket() {
    let mut site = Site::to(echo("b").await).await;
    let (mut sender, _) = site.client().await;
    assert_eq!(ask(&mut sender, get("/"), b"").await.0.status(), 200);
    let sockets = site.edge.control.take_listeners().await.unwrap();
    let mut next = Edge::start().await;
    next.sockets = sockets;
    next.address = site.edge.address;
    let old = std::mem::replace(&mut site.edge, next);
    site.apply(2, true).await;
    old.end(Duration::ZERO).await;
    let (mut sender, _) = site.client().await;
    assert_eq!(ask(&mut sender, get("/"), b"").await.0.status(), 200);
}

#[tokio::test]
async fn clients_are_told_only_while_it_is_spoken() {
    let mut site = Site::to(echo("b").await).await;
    let port = site.address.port();
    assert_eq!(told(&site).await, Some(format!("h3=\":{port}\"; ma=86400")));
    assert_eq!(site.edge.get("a.test", "/").await.value("alt-svc"), None, "without TLS");
    site.apply(2, false).await;
    assert_eq!(told(&site).await, None);
    let refused = tokio::time::timeout(Duration::from_secs(1), speak(site.address, site.config("h3")));
    assert!(!matches!(refused.await, Ok(Ok(_))), "it is spoken still");
    site.apply(3, true).await;
    assert!(told(&site).await.is_some());
    let (mut sender, _) = site.client().await;
    assert_eq!(ask(&mut sender, get("/"), b"").await.0.status(), 200);
}

/// What an answer over TLS says about HTTP/3.
async fn told(site: &Site) -> Option<String> {
    let mut client = connect(&site.config("http/1.1"), site.address, "a.test").await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    client.response().await.value("alt-svc").map(str::to_owned)
}
