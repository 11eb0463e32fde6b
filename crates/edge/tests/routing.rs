//! Which request goes where, and what the instance is told about it.

mod support;

use mainstay_model::{Conditions, Redirect, Site, TrustedProxy};
use support::{Client, Edge, echo, table};

async fn three_hosts() -> Edge {
    let (exact, wild, any, deep, stripped) = (
        echo("exact").await,
        echo("wild").await,
        echo("any").await,
        echo("deep").await,
        echo("stripped").await,
    );
    let routes = table(1)
        .route("a.example", "/", "exact")
        .route("a.example", "/deep/er/", "deep")
        .route_with("a.example", "/cut/", "stripped", |route| route.policy.strip_prefix = true)
        .route("*.example", "/", "wild")
        .route("*.sub.example", "/only/", "deep")
        .target("exact", "s/exact.1", exact)
        .target("wild", "s/wild.1", wild)
        .target("any", "s/any.1", any)
        .target("deep", "s/deep.1", deep)
        .target("stripped", "s/stripped.1", stripped);
    Edge::with(routes).await
}

fn who(response: &support::Response) -> String {
    response.text().lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn hosts_and_paths_choose_the_route() {
    let edge = three_hosts().await;
    for (host, path, expected) in [
        ("a.example", "/", "exact"),
        ("A.EXAMPLE.:8080", "/x", "exact"),
        ("a.example", "/deep/er/x?y=/..", "deep"),
        ("a.example", "/deep/erx", "exact"),
        ("b.example", "/", "wild"),
        ("c.b.example", "/", "wild"),
        ("x.sub.example", "/only/1", "deep"),
    ] {
        assert_eq!(who(&edge.get(host, path).await), expected, "{host}{path}");
    }
    assert_eq!(edge.get("example", "/").await.status(), 421, "a wildcard needs one more label");
    assert_eq!(edge.get("other.test", "/").await.status(), 421);
    assert_eq!(edge.get("x.sub.example", "/").await.status(), 404, "the longest suffix decides for good");
}

#[tokio::test]
async fn a_prefix_is_taken_off_on_request() {
    let edge = three_hosts().await;
    for (path, seen) in [("/cut/a?b", "/a?b"), ("/cut/", "/"), ("/cut//evil.test/x", "/evil.test/x")] {
        let text = edge.get("a.example", path).await.text();
        assert!(text.contains(&format!("GET {seen} HTTP/1.1")), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_instance_learns_who_asks_and_only_from_us() {
    let backend = echo("b").await;
    let edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", backend)).await;
    let mut client = edge.client().await;
    client
        .send(
            "GET /p HTTP/1.1\r\nHost: x.test:81\r\nX-Forwarded-For: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n\
             X_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nProxy: evil\r\n\
             Connection: keep-alive, X-Mine\r\nX-Mine: gone\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
             X-Kept: ä yes\r\nCookie: a=b\r\n\r\n",
        )
        .await;
    let response = client.response().await;
    let request = response.text();
    for kept in [
        "GET /p HTTP/1.1",
        "Host: x.test:81",
        "X-Kept: ä yes",
        "Cookie: a=b",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: x.test:81",
    ] {
        assert_eq!(request.lines().filter(|line| *line == kept).count(), 1, "{kept}: {request}");
    }
    for gone in ["6.6.6.6", "evil", "gone", "Keep-Alive", "TE:", "Connection"] {
        assert!(!request.contains(gone), "{gone}: {request}");
    }
    assert!(response.value("connection").is_none());
    assert!(response.value("date").is_some(), "a date is added where the instance sent none");
}

#[tokio::test]
async fn requests_are_spread_over_all_instances() {
    let (one, two, three) = (echo("one").await, echo("two").await, echo("three").await);
    let mut edge = Edge::with(
        table(1)
            .route("*", "/", "u")
            .target("u", "s/u.1", one)
            .target("u", "s/u.2", two)
            .target("u", "s/u.3", three),
    )
    .await;
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let mut client = edge.client().await;
    for _ in 0..9 {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        *seen.entry(who(&client.response().await)).or_default() += 1;
    }
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    let status = edge.until(|status| status.in_flight.is_empty()).await;
    assert_eq!(status.requests["u"]["2xx"], 9);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let backend = echo("b").await;
    let edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", backend)).await;
    let mut client = edge.client().await;
    let request = |n: usize| format!("POST /{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{n}");
    client.send((0..5).map(request).collect::<String>()).await;
    for n in 0..5 {
        let text = client.response().await.text();
        assert!(text.contains(&format!("POST /{n} ")) && text.ends_with(&n.to_string()), "{text}");
    }
}

#[tokio::test]
async fn http10_clients_are_served_their_way() {
    let backend =
        support::replying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false)
            .await;
    let plain = echo("plain").await;
    let edge = Edge::with(
        table(1)
            .route("*", "/", "u")
            .route("*", "/plain", "p")
            .target("u", "s/u.1", backend)
            .target("p", "s/p.1", plain),
    )
    .await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let all = String::from_utf8(client.rest().await).unwrap();
    assert!(
        all.ends_with("\r\n\r\nhi") && all.contains("Connection: close") && !all.contains("chunked"),
        "{all}"
    );
    let mut client = edge.client().await;
    for _ in 0..2 {
        client.send("GET /plain HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(client.response().await.value("connection"), Some("keep-alive"));
    }
}

#[tokio::test]
async fn the_edges_own_answers_suit_the_client() {
    let edge = Edge::with(table(1).route("a.test", "/x/", "u").empty_upstream("u")).await;
    let mut client: Client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: b.test\r\nAccept: application/json\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.status(), 421);
    assert_eq!(response.value("content-type"), Some("application/json"));
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nAccept: text/html\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.status(), 404);
    assert!(response.text().starts_with("<!doctype html>"));
    client.send("HEAD /x/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let response = client.response_without_body().await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.value("retry-after"), Some("2"));
    client.send("GET /x/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 503, "the connection was still in step");
    assert!(client.at_end().await);
}

fn on(methods: &[&str], headers: &[(&str, Option<&str>)]) -> Conditions {
    Conditions {
        methods: methods.iter().map(|m| (*m).to_owned()).collect(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), v.map(str::to_owned))).collect(),
    }
}

#[tokio::test]
async fn exact_paths_methods_and_headers_choose_too() {
    let mut routes = table(1)
        .route("*", "/", "plain")
        .route_with("*", "/health", "exact", |route| route.policy.exact = true)
        .route_with("*", "/", "posted", |route| route.policy.when = on(&["POST", "PUT"], &[]))
        .route_with("*", "/", "canary", |route| {
            route.policy.when = on(&[], &[("x-canary", Some("yes")), ("x-any", None)]);
        });
    for name in ["plain", "exact", "posted", "canary"] {
        routes = routes.target(name, name, echo(name).await);
    }
    let edge = Edge::with(routes).await;
    let ask = async |line: &str, fields: &str| {
        let mut client = edge.client().await;
        client.send(format!("{line} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
        who(&client.response().await)
    };
    assert_eq!(ask("GET /health", "").await, "exact");
    assert_eq!(ask("GET /healthz", "").await, "plain");
    assert_eq!(ask("GET /health?x", "").await, "exact");
    assert_eq!(ask("POST /x", "").await, "posted");
    assert_eq!(ask("DELETE /x", "").await, "plain");
    assert_eq!(ask("GET /x", "X-Canary: yes\r\nX-Any: \r\n").await, "canary");
    assert_eq!(ask("GET /x", "X-Canary: yes\r\n").await, "plain");
    assert_eq!(ask("GET /x", "X-Canary: no\r\nX-Any: 1\r\n").await, "plain");
    // A path that an upstream may read as another route's is refused with these as well.
    assert_eq!(edge.get("a.example", "/%68ealth").await.status(), 400);
}

#[tokio::test]
async fn clients_are_shared_by_weight_and_stay_where_they_are() {
    let mut routes = table(1)
        .route_with("*", "/", "old", |route| {
            route.policy.weight = Some(3);
            route.site = "s".into();
        })
        .route_with("*", "/", "new", |route| {
            route.policy.weight = Some(1);
            route.site = "s".into();
        })
        .target("old", "old", echo("old").await)
        .target("new", "new", echo("new").await);
    let trusted_proxies = vec![TrustedProxy::Net("127.0.0.0/8".parse().unwrap())];
    routes.0.sites.insert("s".into(), Site { trusted_proxies, ..Site::default() });
    let edge = Edge::with(routes).await;
    let mut client = edge.client().await;
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for number in 0..400 {
        let mut both = Vec::new();
        for _ in 0..2 {
            let from = format!("X-Forwarded-For: 10.0.{}.{}\r\n", number / 256, number % 256);
            client.send(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{from}\r\n")).await;
            both.push(who(&client.response().await));
        }
        assert_eq!(both[0], both[1], "a client stays on its side");
        *seen.entry(both.remove(0)).or_default() += 1;
    }
    // A quarter of 400, within five standard deviations of the binomial distribution.
    assert!((57..=143).contains(&seen["new"]), "{seen:?}");
}

#[tokio::test]
async fn redirects_and_rewrites() {
    let routes = table(1)
        .route_with("www.a.example", "/", "u", |route| {
            let to = "{scheme}://a.example{uri}".into();
            route.policy.redirect = Some(Redirect { to, status: 308 });
            route.upstream = None;
        })
        .route_with("a.example", "/old/", "u", |route| {
            route.policy.redirect = Some(Redirect { to: "/new{path}".into(), status: 301 });
        })
        .route_with("a.example", "/v1/", "u", |route| route.policy.rewrite = Some("/api/v1/".into()))
        .route_with("a.example", "/", "u", |route| route.policy.add_prefix = Some("/site".into()))
        .target("u", "s/u.1", echo("u").await);
    let edge = Edge::with(routes).await;
    let moved = edge.get("www.a.example", "/x?y=1").await;
    assert_eq!((moved.status(), moved.value("location")), (308, Some("http://a.example/x?y=1")));
    let moved = edge.get("a.example", "/old/x?y").await;
    assert_eq!((moved.status(), moved.value("location")), (301, Some("/new/old/x")));
    for (path, seen) in [("/v1/x?y", "/api/v1/x?y"), ("/x", "/site/x"), ("/", "/site/")] {
        let text = edge.get("a.example", path).await.text();
        assert!(text.contains(&format!("GET {seen} HTTP/1.1")), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_body_larger_than_its_route_takes_is_refused() {
    let routes = table(1).route_with("*", "/", "u", |route| route.policy.max_body = Some(10)).target(
        "u",
        "s/u.1",
        echo("u").await,
    );
    let edge = Edge::with(routes).await;
    let post = async |body: &str| {
        let mut client = edge.client().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{body}")).await;
        client.response().await.status()
    };
    assert_eq!(post("Content-Length: 10\r\n\r\n0123456789").await, 200);
    assert_eq!(post("Content-Length: 11\r\n\r\n01234567890").await, 413);
    assert_eq!(post("Content-Length: 11\r\nExpect: 100-continue\r\n\r\n").await, 413);
    assert_eq!(post("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n").await, 200);
    assert_eq!(post("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n").await, 413);
}
