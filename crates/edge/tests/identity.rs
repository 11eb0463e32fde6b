//! Who the client is, and whose word counts about that.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::{Site, TrustedProxy};
use support::{Edge, Response, Table, echo, table};

async fn edge(site: Site) -> Edge {
    let upstream = echo("app").await;
    let mut table =
        table(1).route_with("*", "/", "u", |route| route.site = "s".into()).target("u", "s/u.1", upstream);
    table.0.sites.insert("s".into(), site);
    Edge::with(table).await
}

/// The loopback network is where the tests' clients are.
fn trusting(net: &str) -> Site {
    Site { trusted_proxies: vec![TrustedProxy::Net(net.parse().unwrap())], ..Site::default() }
}

const CLAIMS: &str = "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 203.0.113.9\r\n\
                      Forwarded: for=203.0.113.9\r\nCF-Connecting-IP: 203.0.113.9\r\nTrue-Client-IP: 203.0.113.9\r\n\
                      X-Forwarded-Client-Cert: x\r\nX_Forwarded_For: 203.0.113.9\r\n";

async fn told(edge: &Edge, fields: &str) -> (Response, Vec<String>) {
    let mut client = edge.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
    let response = client.response().await;
    let text = response.text();
    let about = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        ["x-", "x_", "forwarded", "cf-", "true-"].iter().any(|start| name.starts_with(start))
    };
    let lines = text.lines().filter(about).map(str::to_owned).collect();
    (response, lines)
}

#[tokio::test]
async fn what_a_stranger_says_of_itself_is_dropped() {
    for site in [Site::default(), trusting("192.0.2.0/24")] {
        let edge = edge(site).await;
        let expected = [
            "X-Forwarded-For: 127.0.0.1",
            "X-Real-IP: 127.0.0.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: a.example",
        ];
        assert_eq!(told(&edge, CLAIMS).await.1, expected);
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let edge = edge(trusting("127.0.0.0/8")).await;
    let expected = [
        "X-Forwarded-For: 198.51.100.7, 127.0.0.1",
        "X-Real-IP: 198.51.100.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: a.example",
    ];
    assert_eq!(told(&edge, CLAIMS).await.1, expected);
    let chain = "X-Forwarded-For: 203.0.113.9, 2001:db8::1, 127.0.0.2\r\n";
    assert_eq!(
        told(&edge, chain).await.1[..2],
        ["X-Forwarded-For: 2001:db8::1, 127.0.0.2, 127.0.0.1", "X-Real-IP: 2001:db8::1"]
    );
    assert_eq!(told(&edge, "").await.1[0], "X-Forwarded-For: 127.0.0.1");
}

#[tokio::test]
async fn with_an_origin_lock_only_trusted_proxies_are_answered() {
    let locked = |site: Site| Site { origin_lock: true, ..site };
    let stranger = edge(locked(trusting("192.0.2.0/24"))).await;
    assert_eq!(told(&stranger, CLAIMS).await.0.status(), 403);
    let cloudflare = Site { trusted_proxies: vec![TrustedProxy::Cloudflare], ..Site::default() };
    assert_eq!(told(&edge(locked(cloudflare)).await, CLAIMS).await.0.status(), 403);
    let proxy = edge(locked(trusting("127.0.0.1/32"))).await;
    assert_eq!(told(&proxy, CLAIMS).await.0.status(), 200);
}

#[tokio::test]
async fn a_new_table_changes_who_is_trusted() {
    let upstream = echo("app").await;
    let make = |version, site: Option<Site>| -> Table {
        let mut table = table(version)
            .route_with("*", "/", "u", |route| route.site = "s".into())
            .target("u", "s/u.1", upstream);
        table.0.sites.extend(site.map(|site| ("s".to_owned(), site)));
        table
    };
    let mut edge = Edge::with(make(1, None)).await;
    assert_eq!(told(&edge, CLAIMS).await.1[1], "X-Real-IP: 127.0.0.1");
    edge.apply(make(2, Some(trusting("127.0.0.0/8")))).await;
    assert_eq!(told(&edge, CLAIMS).await.1[1], "X-Real-IP: 198.51.100.7");
}
