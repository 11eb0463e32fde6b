//! Clients that ask for too much.

mod support;

use mainstay_model::table::TableRoute;
use mainstay_model::{Limit, LimitKey, LimitKind, Rate, Site, TrustedProxy};
use support::{Client, Edge, Table, backend, echo, in_ms, table};

/// A rate so low that no test is slow enough to see it leak.
const RARE: Rate = Rate { millis: 16, burst: 2, undelayed: 2 };

fn rate(rate: Rate) -> Limit {
    Limit { kind: LimitKind::Rate(rate), key: LimitKey::Client, keys: 1000 }
}

trait Limited {
    fn limit(self, name: &str, limit: Limit) -> Self;
}

impl Limited for Table {
    fn limit(mut self, name: &str, limit: Limit) -> Self {
        self.0.limits.insert(name.into(), limit);
        self
    }
}

fn by(names: &'static [&'static str]) -> impl Fn(&mut TableRoute) {
    |route| route.policy.limits = names.iter().map(|name| (*name).into()).collect()
}

async fn statuses(edge: &Edge, path: &str, fields: &str, count: usize) -> Vec<u16> {
    let mut client = edge.client().await;
    let mut found = Vec::new();
    for _ in 0..count {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
        found.push(client.response().await.status());
    }
    found
}

#[tokio::test]
async fn a_rate_refuses_what_is_above_its_burst_and_says_when_to_come_back() {
    let upstream = echo("app").await;
    let routes = table(1)
        .limit("s/auth", rate(Rate { millis: 83, ..RARE }))
        .route_with("*", "/login/", "u", by(&["s/auth"]))
        .route("*", "/", "u")
        .target("u", "s/u.1", upstream);
    let edge = Edge::with(routes).await;
    assert_eq!(statuses(&edge, "/login/", "", 5).await, [200, 200, 200, 429, 429]);
    let refused = edge.get("a.example", "/login/").await;
    assert_eq!(refused.status(), 429);
    let retry: u32 = refused.value("retry-after").unwrap().parse().unwrap();
    // 1000 / 83 s, less what has leaked since.
    assert!((1..=13).contains(&retry), "{retry}");
    assert_eq!(refused.value("ratelimit-policy"), Some("\"auth\";q=5;w=60"));
    assert_eq!(refused.value("ratelimit"), Some(format!("\"auth\";r=0;t={retry}").as_str()));
    assert_eq!(statuses(&edge, "/", "", 20).await, [200; 20], "a route without the limit is not counted");
}

#[tokio::test]
async fn a_limit_remembers_clients_over_a_new_table_and_a_refused_request_keeps_the_connection() {
    let upstream = echo("app").await;
    let make = |version| {
        table(version)
            .limit("s/api", rate(RARE))
            .route_with("*", "/", "u", by(&["s/api"]))
            .target("u", "s/u.1", upstream)
    };
    let mut edge = Edge::with(make(1)).await;
    let mut client = edge.client().await;
    for expected in [200, 200, 200, 429, 429] {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), expected);
    }
    edge.apply(make(2)).await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 429);
}

#[tokio::test]
async fn clients_and_header_values_are_told_apart() {
    let upstream = echo("app").await;
    let key = LimitKey::Header("x-api-key".into());
    let mut routes = table(1)
        .limit("s/client", rate(RARE))
        .limit("s/key", Limit { key, ..rate(RARE) })
        .limit("s/all", Limit { key: LimitKey::Route, ..rate(RARE) })
        .route_with("*", "/client", "u", |route| {
            by(&["s/client"])(route);
            route.site = "s".into();
        })
        .route_with("*", "/key", "u", by(&["s/key"]))
        .route_with("*", "/all", "u", by(&["s/all"]))
        .target("u", "s/u.1", upstream);
    let trusted_proxies = vec![TrustedProxy::Net("127.0.0.0/8".parse().unwrap())];
    routes.0.sites.insert("s".into(), Site { trusted_proxies, ..Site::default() });
    let edge = Edge::with(routes).await;
    let from = |client: &str| format!("X-Forwarded-For: {client}\r\n");
    let limited = [200, 200, 200, 429];
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert_eq!(statuses(&edge, "/client", &from(client), 4).await, limited, "{client}");
    }
    assert_eq!(statuses(&edge, "/client", &from("2001:db8::ffff:1"), 1).await, [429], "one subscriber's /64");
    for key in ["a", "b"] {
        assert_eq!(statuses(&edge, "/key", &format!("X-Api-Key: {key}\r\n"), 4).await, limited);
    }
    assert_eq!(statuses(&edge, "/key", "", 8).await, [200; 8], "without a key nothing is counted");
    assert_eq!(statuses(&edge, "/all", &from("192.0.2.1"), 2).await, [200, 200]);
    assert_eq!(statuses(&edge, "/all", &from("192.0.2.2"), 2).await, [200, 429]);
}

#[tokio::test]
async fn a_request_above_the_rate_waits_and_is_counted_once() {
    let upstream = echo("app").await;
    // Nothing is refused for four requests, and each waits for its turn of 20 ms.
    let slow = Rate { millis: 50_000, burst: 3, undelayed: 0 };
    let routes = table(1)
        .limit("s/slow", rate(slow))
        .route_with("*", "/", "u", by(&["s/slow"]))
        .target("u", "s/u.1", upstream);
    let mut edge = Edge::with(routes).await;
    assert_eq!(statuses(&edge, "/", "", 4).await, [200; 4]);
    // A request that is held while a service is swapped counts no more than another.
    let held = |version, address: Option<std::net::SocketAddr>| {
        let table = table(version)
            .limit("s/once", rate(Rate { millis: 16, burst: 0, undelayed: 0 }))
            .route_with("*", "/", "v", by(&["s/once"]))
            .hold("v", in_ms(60_000));
        match address {
            Some(address) => table.target("v", "s/v.1", address),
            None => table.empty_upstream("v"),
        }
    };
    edge.apply(held(2, None)).await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    edge.until(|status| status.held.values().sum::<u64>() == 1).await;
    edge.apply(held(3, Some(upstream))).await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn open_requests_are_limited_until_they_end() {
    let upstream = backend(|mut client: Client| async move {
        let Some(request) = client.try_request().await else { return };
        if request.head.starts_with("GET /wait") {
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
            while client.more().await > 0 {}
        }
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    })
    .await;
    let two = Limit { kind: LimitKind::Connections(2), key: LimitKey::Client, keys: 1000 };
    let routes =
        table(1).limit("s/two", two).route_with("*", "/", "u", by(&["s/two"])).target("u", "s/u.1", upstream);
    let edge = Edge::with(routes).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = edge.client().await;
        client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.until_contains("\r\na\r\n").await;
        open.push(client);
    }
    let refused = edge.get("x", "/").await;
    assert_eq!((refused.status(), refused.value("retry-after")), (429, Some("1")));
    drop(open);
    // A stream without a known end is watched for a client that goes.
    while edge.get("x", "/").await.status() == 429 {
        tokio::task::yield_now().await;
    }
}
