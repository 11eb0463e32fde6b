//! TLS towards clients: which certificate, which version, resumed when, and what passes through it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_edge::control::Client as Control;
use mainstay_model::CertificateFiles;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::tls::{Authority, Secure, connect};
use support::{Client, Edge, Table, backend, control_path, echo, in_ms, replying, start_in, table};

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// An edge with a TLS listener and one certificate.
struct Site {
    edge: Edge,
    address: SocketAddr,
    authority: Authority,
}

impl Site {
    async fn with(table: Table) -> Self {
        let authority = Authority::new();
        let mut edge = Edge::start().await;
        let address = edge.another_listener();
        let files = authority.issue(edge.dir.path(), "a", &["a.test"]);
        edge.apply(table.https(address).certificate(&files)).await;
        Self { edge, address, authority }
    }

    async fn to(backend: SocketAddr) -> Self {
        Self::with(table(1).route("*", "/", "u").target("u", "s/u.1", backend)).await
    }

    fn config(&self) -> Arc<ClientConfig> {
        self.authority.client(&["http/1.1"], BOTH)
    }

    async fn client(&self) -> Secure {
        connect(&self.config(), self.address, "a.test").await.unwrap()
    }
}

#[tokio::test]
async fn requests_pass_and_the_service_is_told_the_scheme() {
    let site = Site::to(echo("b").await).await;
    let mut client = site.client().await;
    for _ in 0..2 {
        client.send("GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let response = client.response().await;
        assert!(response.text().contains("X-Forwarded-Proto: https"), "{}", response.text());
    }
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_newer_with_the_hybrid_exchange() {
    let site = Site::to(echo("b").await).await;
    for (version, expected, group) in [
        (&TLS12, ProtocolVersion::TLSv1_2, NamedGroup::X25519),
        (&TLS13, ProtocolVersion::TLSv1_3, NamedGroup::X25519MLKEM768),
    ] {
        let config = site.authority.client(&["http/1.1"], &[version]);
        let mut client = connect(&config, site.address, "a.test").await.unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 200);
        assert_eq!(client.version(), expected);
        let used = client.stream.get_ref().1.negotiated_key_exchange_group().map(|g| g.name());
        assert_eq!(used, Some(group));
    }
}

#[tokio::test]
async fn the_certificate_is_the_one_for_the_name() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let address = edge.another_listener();
    let mut table = table(1).https(address);
    for (file, names) in [
        ("first", &["first.test"][..]),
        ("wild", &["*.shop.test", "shop.test"]),
        ("exact", &["one.shop.test"]),
    ] {
        table = table.certificate(&authority.issue(edge.dir.path(), file, names));
    }
    edge.apply(table).await;
    let config = authority.client(&[], BOTH);
    for (asked, shown) in [
        ("first.test", "first.test"),
        ("ONE.shop.test", "one.shop.test"),
        ("two.shop.test", "*.shop.test"),
        ("shop.test", "*.shop.test"),
    ] {
        let client = connect(&config, address, asked).await.unwrap();
        assert_eq!(client.shown()[0], shown, "{asked}");
    }
    // A wildcard stands for one label; whoever is not covered gets the first, and says itself that it does not fit.
    for asked in ["a.two.shop.test", "stranger.test"] {
        assert!(connect(&config, address, asked).await.is_err(), "{asked}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_served_and_a_broken_one_is_not() {
    let mut site = Site::to(echo("b").await).await;
    let mut before = site.client().await;
    site.authority.issue(site.edge.dir.path(), "a", &["a.test", "b.test"]);
    loop {
        let now = site.client().await;
        if now.shown() == ["a.test", "b.test"] {
            break;
        }
        assert_eq!(now.shown(), ["a.test"]);
    }
    before.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(before.response().await.status(), 200);
    let served = site.edge.status().await.certificates;
    assert_eq!(served.iter().map(|c| c.names.join(" ")).collect::<Vec<_>>(), ["a.test b.test"]);
    assert!(served[0].not_after > Some(in_ms(0)));
}

#[tokio::test]
async fn a_session_is_resumed_by_the_edge_that_takes_over() {
    let mut site = Site::to(echo("b").await).await;
    for (version, name) in [(&TLS13, "1.3"), (&TLS12, "1.2")] {
        let config = site.authority.client(&["http/1.1"], &[version]);
        for expected in [false, true] {
            let mut client = connect(&config, site.address, "a.test").await.unwrap();
            assert_eq!(client.was_resumed(), expected, "{name}");
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
            assert_eq!(client.response().await.status(), 200);
        }
        let sockets = site.edge.control.take_listeners().await.unwrap();
        site.edge.control.shutdown(Duration::ZERO).await.unwrap();
        site.edge.join();
        let thread = start_in(site.edge.dir.path());
        let mut control: Control = support::connect(&control_path(site.edge.dir.path())).await;
        let model = mainstay_model::table::RouteTable { version: 2, ..saved(&site.edge) };
        control.apply(&model, &sockets).await.unwrap();
        let client = connect(&config, site.address, "a.test").await.unwrap();
        assert!(client.was_resumed(), "{name}");
        site.edge.replace(control, thread);
    }
}

fn saved(edge: &Edge) -> mainstay_model::table::RouteTable {
    serde_json::from_slice(&std::fs::read(edge.dir.path().join("table.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn large_bodies_pass_both_ways_at_once() {
    let site = Site::to(
        backend(|mut client| async move {
            while let Some(request) = client.try_request().await {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
                client.send(head).await;
                client.send(&request.body).await;
            }
        })
        .await,
    )
    .await;
    let mut client = site.client().await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for _ in 0..2 {
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", body.len());
        client.send(head).await;
        client.send(&body).await;
        assert!(client.response().await.body == body);
    }
}

#[tokio::test]
async fn a_service_is_left_alone_when_its_listener_has_gone() {
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let address = backend(move |mut client| {
        let told = told.clone();
        async move {
            client.try_request().await;
            client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").await;
            client.rest().await;
            told.send(()).unwrap();
        }
    })
    .await;
    let site = Site::to(address).await;
    let mut client = site.client().await;
    client.send("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    client.until_contains("data: 1").await;
    drop(client);
    hears.recv().await.unwrap();
}

#[tokio::test]
async fn what_has_no_known_end_is_ended_in_words() {
    let site = Site::to(replying("HTTP/1.0 200 OK\r\n\r\nall of it", true).await).await;
    let mut client = site.client().await;
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    // Without a close_notify, reading would end in an error.
    let mut all = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut all).await.unwrap();
    assert!(all.ends_with(b"all of it"), "{}", String::from_utf8_lossy(&all));
}

#[tokio::test]
async fn websockets_pass() {
    let address = backend(|mut client: Client| async move {
        client.try_head().await;
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        client.give_back().await;
    })
    .await;
    let site = Site::to(address).await;
    let mut client = site.client().await;
    client
        .send("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    client.try_head().await.unwrap();
    let frame = vec![7_u8; 300_000];
    client.send(&frame).await;
    while client.buffer.len() < frame.len() {
        assert_ne!(client.more().await, 0);
    }
    assert!(client.buffer == frame);
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_gets_none_of_it() {
    let site = Site::to(echo("b").await).await;
    let mut client = Client::connect(site.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_host_nobody_knew_gets_a_certificate_when_it_may() {
    use mainstay_model::{Issuer, OnDemand};
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let gate = backend(move |mut client| {
        let asked = asked.clone();
        async move {
            while let Some(request) = client.try_request().await {
                let is_known = request.head.starts_with("GET /may?domain=good.test ");
                asked.send(request.head.lines().next().unwrap().to_owned()).unwrap();
                let status = if is_known { "200 OK" } else { "404 Not Found" };
                client.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
            }
        }
    })
    .await;
    let mut edge = Edge::start().await;
    let address = edge.another_listener();
    let with = |version, backend| {
        let mut next = table(version).route("*", "/", "u").target("u", "s/u.1", backend).https(address);
        let ask = OnDemand { ask: format!("http://{gate}/may") };
        next.0.tls.on_demand = Some(Box::new((ask, Issuer::Internal)));
        next
    };
    let backend = echo("b").await;
    edge.apply(with(1, backend)).await;
    // Whoever is refused has caused no certificate, and is not asked about again.
    let nobody = Authority::new().client(&[], BOTH);
    for host in ["bad.test", "bad.test", "localhost"] {
        assert!(connect(&nobody, address, host).await.is_err());
    }
    assert!(connect(&nobody, address, "good.test").await.is_err(), "issued, and not trusted by this client");
    let root = std::fs::read_to_string(edge.dir.path().join("tls/root.pem")).unwrap();
    let mut client = connect(&Authority::trusting(&root), address, "good.test").await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: good.test\r\n\r\n").await;
    assert_eq!((client.shown(), client.response().await.status()), (vec!["good.test".to_owned()], 200));
    edge.apply(with(2, backend)).await;
    let certificates = edge.status().await.certificates;
    assert_eq!(certificates.iter().map(|c| c.names.join(" ")).collect::<Vec<_>>(), ["good.test"]);
    for host in ["bad.test", "good.test"] {
        let line = was_asked.recv().await.unwrap();
        assert_eq!(line, format!("GET /may?domain={host} HTTP/1.1"));
    }
    assert!(was_asked.try_recv().is_err());
}

#[tokio::test]
async fn handshakes_connections_and_the_end_of_certificates_are_counted() {
    let mut site = Site::to(echo("b").await).await;
    let config = site.config();
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = connect(&config, site.address, "a.test").await.unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 200);
        open.push(client);
    }
    let mut stranger = Client::connect(site.address).await;
    stranger.send("GET / HTTP/1.1\r\n\r\n").await;
    stranger.rest().await;
    drop(stranger);
    let expected = [
        "mainstay_edge_tls_handshakes_total{result=\"full\"} 1",
        "mainstay_edge_tls_handshakes_total{result=\"resumed\"} 1",
        "mainstay_edge_tls_handshakes_total{result=\"failed\"} 1",
        "mainstay_edge_connections 2",
    ];
    let text = loop {
        let text = site.edge.control.metrics().await.unwrap();
        if expected.iter().all(|line| text.lines().any(|seen| seen == *line)) {
            break text;
        }
        tokio::task::yield_now().await;
    };
    let line = text.lines().find(|line| line.starts_with("mainstay_edge_certificate_expiry")).unwrap();
    assert!(line.contains("{names=\"a.test\"} ") && !line.ends_with(" 0"), "{line}");
}

#[tokio::test]
async fn a_site_lets_in_only_clients_with_a_certificate_of_its_authority() {
    let (own, strange) = (Authority::new(), Authority::new());
    let upstream = echo("app").await;
    let make = |version, authority: Option<&Authority>| {
        let mut table = table(version)
            .route_with("a.test", "/", "u", |route| route.site = "s".into())
            .route("open.test", "/", "u")
            .target("u", "s/u.1", upstream);
        let client_ca = authority.map(Authority::root_pem);
        table.0.sites.insert("s".into(), mainstay_model::Site { client_ca, ..Default::default() });
        table
    };
    let mut site = Site::with(make(1, None)).await;
    let status = async |site: &Site, config: &Arc<ClientConfig>, host: &str| {
        let mut client = connect(config, site.address, "a.test").await.unwrap();
        let mut last = 0;
        for _ in 0..2 {
            client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            last = client.response().await.status();
        }
        last
    };
    let bare = site.config();
    assert_eq!(status(&site, &bare, "a.test").await, 200);
    let files = CertificateFiles {
        cert: site.edge.dir.path().join("a.pem"),
        key: site.edge.dir.path().join("a.key"),
    };
    site.edge.apply(make(2, Some(&own)).https(site.address).certificate(&files)).await;
    // It holds a session from before, which has no certificate.
    assert_eq!(status(&site, &bare, "a.test").await, 403);
    assert_eq!(status(&site, &bare, "open.test").await, 200, "another site asks nobody");
    for version in [&TLS13, &TLS12] {
        let showing = |authority: &Authority| {
            let shown = authority.issue(site.edge.dir.path(), "client", &["client.test"]);
            site.authority.client_showing(&shown, &[version])
        };
        let (right, wrong) = (showing(&own), showing(&strange));
        assert_eq!(status(&site, &right, "a.test").await, 200, "{version:?}");
        assert_eq!(status(&site, &right, "a.test").await, 200, "{version:?}");
        assert_eq!(status(&site, &wrong, "a.test").await, 403, "{version:?}");
        // What the handshake names binds nobody: the request does.
        assert_eq!(status(&site, &wrong, "open.test").await, 200);
    }
    assert_eq!(site.edge.get("a.test", "/").await.status(), 403, "without TLS there is no certificate");
}
