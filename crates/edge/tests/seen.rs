//! What can be seen of requests: the access log, metrics, trace contexts.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::{AccessLog, Limit, LimitKey, LimitKind, LogFormat, Rate, Site};
use serde_json::Value;
use std::time::Duration;
use support::{Client, Edge, Table, backend, echo, replying, table};

fn logged(format: LogFormat, redact: &[&str], routes: Table) -> Table {
    let redact = redact.iter().map(|name| (*name).to_owned()).collect();
    let access_log = Some(AccessLog { format, one_in: 1, redact });
    let mut routes = routes;
    routes.0.sites.insert("s".into(), Site { access_log, ..Site::default() });
    routes.0.routes.iter_mut().for_each(|route| route.site = "s".into());
    routes
}

/// Ends the edge, which writes what it has, and gives the lines of the log.
async fn lines(edge: Edge) -> Vec<String> {
    let dir = edge.end(Duration::from_secs(5)).await;
    let text = std::fs::read_to_string(dir.path().join("log/s.access.log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

async fn get(edge: &Edge, path: &str, fields: &str) -> support::Response {
    let mut client = edge.client().await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
    client.response().await
}

#[tokio::test]
async fn every_answer_is_one_line_of_json() {
    let rate = LimitKind::Rate(Rate { millis: 16, burst: 0, undelayed: 0 });
    let mut routes = table(1)
        .route("*", "/", "s/app:80")
        .route_with("*", "/limited/", "s/app:80", |route| route.policy.limits = vec!["s/one".into()])
        .route("*", "/gone/", "s/gone:80")
        .route("*", "/broken/", "s/broken:80")
        .target("s/app:80", "s/app.1.1", echo("app").await)
        // Closed at once, it could look broken off before its nonsense is read.
        .target("s/broken:80", "s/broken.1.1", replying("nonsense\r\n\r\n", false).await)
        .empty_upstream("s/gone:80");
    routes.0.limits.insert("s/one".into(), Limit { kind: rate, key: LimitKey::Client, keys: 10 });
    let edge = Edge::with(logged(LogFormat::Json, &["token"], routes)).await;
    let told = get(&edge, "/x?token=secret&a=1", "User-Agent: a\"b\r\nReferer: http://r/\r\n").await;
    assert_eq!(get(&edge, "/limited/", "").await.status(), 200);
    assert_eq!(get(&edge, "/limited/", "").await.status(), 429);
    assert_eq!(get(&edge, "/gone/", "").await.status(), 503);
    assert_eq!(get(&edge, "/broken/", "").await.status(), 502);
    let all: Vec<Value> = lines(edge).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |uri: &str, status: u16| {
        all.iter()
            .find(|l| l["uri"] == uri && l["status"] == status)
            .unwrap_or_else(|| panic!("{uri} in {all:#?}"))
    };
    assert_eq!(all.len(), 5);
    let first = find("/x?token=...&a=1", 200);
    for (name, value) in [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("host", "a.example"),
        ("scheme", "http"),
        ("route", "/"),
        ("service", "s/app:80"),
        ("instance", "s/app.1.1"),
        ("user_agent", "a\"b"),
        ("referer", "http://r/"),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert_eq!((&first["bytes"], &first["release"]), (&told.body.len().into(), &1.into()));
    assert!(first["total_ms"].is_u64() && first["first_byte_ms"].is_u64() && first["queue_ms"].is_u64());
    // The instance was given the same trace.
    let trace = first["trace"].as_str().unwrap();
    assert!(told.text().contains(&format!("traceparent: 00-{trace}-")), "{}", told.text());
    assert_eq!(find("/limited/", 429)["route"], "/limited/");
    assert!(find("/gone/", 503).get("instance").is_none());
    let broken = find("/broken/", 502);
    assert_eq!((&broken["instance"], &broken["fault"]), (&"s/broken.1.1".into(), &"nonsense".into()));
    assert!(first.get("fault").is_none());
}

#[tokio::test]
async fn an_instance_with_several_ports_is_one_series() {
    let [one, two] = [echo("one").await, echo("two").await];
    let routes = table(1).route("*", "/", "s/a:1").target("s/a:1", "s/a.1", one);
    let mut edge = Edge::with(routes.route("*", "/two/", "s/a:2").target("s/a:2", "s/a.1", two)).await;
    let metrics = edge.control.metrics().await.unwrap();
    assert_eq!(metrics.matches("in_flight{instance=\"s/a.1\"} 0\n").count(), 1, "{metrics}");
}

#[tokio::test]
async fn a_trace_that_has_begun_goes_on() {
    let routes = table(1).route("*", "/", "u").target("u", "s/u.1", echo("app").await);
    let edge = Edge::with(logged(LogFormat::Combined, &[], routes)).await;
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let text = get(&edge, "/", &format!("Traceparent: {context}\r\nTracestate: a=b\r\n")).await.text();
    assert!(text.contains(&format!("Traceparent: {context}\r\nTracestate: a=b")), "{text}");
    let text = get(&edge, "/", "Traceparent: nonsense\r\n").await.text();
    assert!(!text.contains("nonsense") && text.matches("traceparent: 00-").count() == 1, "{text}");
    let lines = lines(edge).await;
    assert!(
        lines[0].starts_with("127.0.0.1 - - [") && lines[0].contains("\"GET / HTTP/1.1\" 200 "),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_client_that_goes_is_noted_as_nginx_notes_it() {
    let upstream = backend(|mut client: Client| async move {
        let _ = client.try_head().await;
        while client.more().await > 0 {}
    })
    .await;
    let routes = table(1).route("*", "/", "u").target("u", "s/u.1", upstream);
    let mut edge = Edge::with(logged(LogFormat::Json, &[], routes)).await;
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    edge.until(|status| status.in_flight.len() == 1).await;
    drop(client);
    edge.until(|status| status.in_flight.is_empty()).await;
    let line: Value = serde_json::from_str(&lines(edge).await[0]).unwrap();
    assert_eq!(line["status"], 499);
}

#[tokio::test]
async fn metrics_are_counted_by_route() {
    let routes = table(1)
        .route("a.example", "/", "u")
        .route("a.example", "/never/", "u")
        .route("*", "/", "broken")
        .target("u", "s/u.1", echo("app").await)
        .target("broken", "s/broken.1", replying("nonsense\r\n\r\n", true).await);
    let mut edge = Edge::with(logged(LogFormat::Json, &[], routes)).await;
    let sent = get(&edge, "/", "").await.body.len() + get(&edge, "/?2", "").await.body.len();
    edge.get("b.example", "/").await;
    // A request is counted once it is over, which its client may know before.
    let text = loop {
        let text = edge.control.metrics().await.unwrap();
        if text.matches("_count{").count() == 2 && text.contains("le=\"+Inf\"} 2\n") {
            break text;
        }
        tokio::task::yield_now().await;
    };
    let ours = "stack=\"s\",host=\"a.example\",path=\"/\"";
    for line in [
        format!("mainstay_edge_requests_total{{{ours},code=\"2xx\"}} 2\n"),
        format!("mainstay_edge_response_bytes_total{{{ours}}} {sent}\n"),
        format!("mainstay_edge_request_duration_seconds_count{{{ours}}} 2\n"),
        "mainstay_edge_upstream_errors_total{stack=\"s\",host=\"*\",path=\"/\",kind=\"nonsense\"} 1\n"
            .to_owned(),
        "mainstay_edge_log_lines_dropped_total 0\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("/never/"), "{text}");
}
