//! What is done to responses on their way: headers, cookies, origins, compression.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::{
    Choice, Compression, ContentCoding, Cors, HeaderRules, Preset, RequestHeaders, RoutePolicy, Site,
};
use std::io::Read;
use support::server::Server;
use support::{Client, Edge, Response, backend, echo, replying, table};

async fn edge_with(upstream: std::net::SocketAddr, policy: RoutePolicy) -> Edge {
    let routes =
        table(1).route_with("*", "/", "u", |route| route.policy = policy).target("u", "s/u.1", upstream);
    Edge::with(routes).await
}

async fn ask(edge: &Edge, fields: &str) -> Response {
    let mut client = edge.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
    client.response().await
}

fn map(fields: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_preset_holds_for_every_answer_and_gives_way_to_the_service() {
    let theirs = "HTTP/1.1 200 OK\r\nX-Frame-Options: ALLOW-FROM x\r\nServer: thing/1\r\nX-Own: 1\r\nContent-Length: 0\r\n\r\n";
    let upstream = replying(theirs, false).await;
    let headers = HeaderRules {
        preset: Some(Preset::Strict),
        set: map(&[("X-Own", "ours")]),
        add: map(&[("X-More", "a")]),
        remove: vec!["Server".into()],
    };
    let mut routes = table(1)
        .route_with("*", "/", "u", |route| route.site = "s".into())
        .route_with("*", "/gone/", "none", |route| route.site = "s".into())
        .route_with("*", "/plain/", "u", |route| {
            route.site = "s".into();
            route.policy.headers = Some(HeaderRules::default());
        })
        .target("u", "s/u.1", upstream)
        .empty_upstream("none");
    routes.0.sites.insert("s".into(), Site { headers, ..Site::default() });
    let edge = Edge::with(routes).await;
    let served = edge.get("a.example", "/").await;
    assert_eq!(served.values("x-frame-options"), ["ALLOW-FROM x"]);
    assert_eq!(
        (served.values("x-own"), served.value("x-more"), served.value("server")),
        (vec!["ours"], Some("a"), None)
    );
    assert_eq!(served.value("x-content-type-options"), Some("nosniff"));
    assert_eq!(served.value("strict-transport-security"), None, "it means nothing without TLS");
    let refused = edge.get("a.example", "/gone/").await;
    assert_eq!((refused.status(), refused.value("x-frame-options")), (503, Some("DENY")));
    let plain = edge.get("a.example", "/plain/").await;
    assert_eq!((plain.value("server"), plain.value("referrer-policy")), (Some("thing/1"), None));
}

#[tokio::test]
async fn request_headers_and_cookies_are_changed_where_asked() {
    let policy = RoutePolicy {
        request_headers: RequestHeaders { set: map(&[("X-From", "edge")]), remove: vec!["Cookie".into()] },
        ..RoutePolicy::default()
    };
    let edge = edge_with(echo("app").await, policy).await;
    let text = ask(&edge, "X-From: me\r\nCookie: a=b\r\nX-Kept: 1\r\n").await.text();
    assert!(
        text.contains("X-From: edge\r\n") && !text.contains("X-From: me") && !text.contains("Cookie"),
        "{text}"
    );
    assert!(text.contains("X-Kept: 1"));
    let cookies = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; SameSite=None; HttpOnly\r\nContent-Length: 0\r\n\r\n";
    let policy = RoutePolicy { harden_cookies: true, ..RoutePolicy::default() };
    let edge = edge_with(replying(cookies, false).await, policy).await;
    let served = ask(&edge, "").await;
    assert_eq!(
        served.values("set-cookie"),
        ["a=1; Path=/; HttpOnly; SameSite=Lax", "b=2; SameSite=None; HttpOnly"]
    );
}

#[tokio::test]
async fn origins_are_told_what_they_may_read() {
    let theirs = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n";
    let cors = Cors {
        origins: vec!["https://app.example".into()],
        methods: vec!["PUT".into()],
        credentials: true,
        ..Cors::default()
    };
    let policy = RoutePolicy { cors: Some(cors), max_body: Some(1), ..RoutePolicy::default() };
    let edge = edge_with(replying(theirs, false).await, policy).await;
    let known = ask(&edge, "Origin: https://app.example\r\n").await;
    assert_eq!(known.values("access-control-allow-origin"), ["https://app.example"]);
    assert_eq!(
        (known.value("access-control-allow-credentials"), known.value("vary")),
        (Some("true"), Some("Origin"))
    );
    for other in ["Origin: https://evil.example\r\n", ""] {
        let served = ask(&edge, other).await;
        assert_eq!(
            (served.value("access-control-allow-origin"), served.value("vary")),
            (None, Some("Origin"))
        );
    }
    let mut client = edge.client().await;
    let preflight = "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n\r\n";
    client.send(preflight).await;
    let answer = client.response().await;
    assert_eq!(
        (answer.status(), answer.value("access-control-allow-methods"), answer.body.len()),
        (204, Some("PUT"), 0)
    );
    // What the edge refuses can be read by the page as well.
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\nContent-Length: 2\r\n\r\nab")
        .await;
    let refused = client.response().await;
    assert_eq!(
        (refused.status(), refused.value("access-control-allow-origin")),
        (413, Some("https://app.example"))
    );
}

fn compressing(types: &[&str], min_length: u64) -> RoutePolicy {
    let settings = Compression {
        codings: vec![ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip],
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        min_length,
    };
    RoutePolicy { compress: Some(Choice::On(settings)), ..RoutePolicy::default() }
}

fn decoded(response: &Response) -> String {
    let mut text = String::new();
    let bytes = &response.body[..];
    match response.value("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        Some("zstd") => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text).unwrap(),
        Some("br") => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text).unwrap(),
        other => panic!("{other:?}"),
    };
    text
}

#[tokio::test]
async fn bodies_are_compressed_however_they_arrive() {
    let text = "{\"name\":\"value\"},".repeat(20_000);
    let fields = "Content-Type: application/json\r\nETag: \"abc\"\r\nAccept-Ranges: bytes\r\n";
    let with_length = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{text}", text.len());
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n",
        text.len()
    );
    let until_close = format!("HTTP/1.0 200 OK\r\n{fields}\r\n{text}");
    for (theirs, close) in [(with_length, false), (chunked, false), (until_close, true)] {
        let edge = edge_with(replying(theirs, close).await, compressing(&["application/json"], 100)).await;
        let mut client = edge.client().await;
        for coding in ["gzip", "br", "zstd"] {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n")).await;
            let response = client.response().await;
            assert_eq!(response.value("content-encoding"), Some(coding));
            assert!(decoded(&response) == text && response.body.len() * 10 < text.len());
            assert_eq!(
                (response.value("etag"), response.value("vary")),
                (Some("W/\"abc\""), Some("Accept-Encoding"))
            );
            assert_eq!((response.value("content-length"), response.value("accept-ranges")), (None, None));
        }
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let plain = client.response().await;
        assert!(plain.text() == text && plain.value("etag") == Some("\"abc\""));
        assert_eq!(plain.value("vary"), Some("Accept-Encoding"), "another client would have got another");
    }
}

/// What can be read of a chunked, gzipped body that is still arriving.
fn so_far(buffer: &[u8]) -> Vec<u8> {
    let (mut coded, mut rest) = (Vec::new(), buffer);
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let Some(data) = rest.get(end + 2..end + 2 + size) else { break };
        coded.extend_from_slice(data);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    let mut plain = Vec::new();
    // That it is not complete is an error after all that is there.
    let _ = flate2::read::GzDecoder::new(&coded[..]).read_to_end(&mut plain);
    plain
}

#[tokio::test]
async fn a_compressed_event_is_not_kept_back() {
    let upstream = backend(|mut client: Client| async move {
        let _ = client.try_head().await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}9\r\ndata: 1\n\n\r\n")).await;
        // Goes on only when its first event has been read.
        client.until_contains("more").await;
        client.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
    })
    .await;
    let edge = edge_with(upstream, compressing(&["text/event-stream"], 0)).await;
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nContent-Length: 20000\r\n\r\n").await;
    assert!(client.try_head().await.unwrap().contains("Content-Encoding: gzip"));
    while !so_far(&client.buffer).windows(9).any(|w| w == b"data: 1\n\n") {
        assert_ne!(client.more().await, 0);
    }
    let mut body = vec![b'.'; 20_000];
    body[..4].copy_from_slice(b"more");
    client.send(&body).await;
    client.until_contains("\r\n0\r\n\r\n").await;
}

/// What an answer says about compression.
fn decision(response: &Response) -> (u16, Option<String>, Option<String>, bool, bool) {
    let owned = |name: &str| response.value(name).map(str::to_owned);
    let varies = response.values("vary").iter().any(|value| value.eq_ignore_ascii_case("accept-encoding"));
    (response.status(), owned("content-encoding"), owned("etag"), varies, owned("accept-ranges").is_some())
}

/// What a service may answer, with all that decides about compression.
fn replies() -> Vec<String> {
    let body = "a".repeat(300);
    let reply = |status: &str, fields: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let json = "Content-Type: application/json\r\n";
    vec![
        reply("200 OK", json, &body),
        reply("200 OK", "Content-Type: application/json; charset=utf-8\r\nETag: \"x\"\r\n", &body),
        reply("200 OK", "Content-Type: text/html\r\nETag: W/\"x\"\r\nAccept-Ranges: bytes\r\n", &body),
        reply("200 OK", "Content-Type: image/png\r\nETag: \"x\"\r\n", &body),
        reply("200 OK", "Content-Type: application/jsonp\r\n", &body),
        reply("200 OK", json, &body[..99]),
        reply("200 OK", json, &body[..100]),
        reply("200 OK", json, ""),
        reply("403 Forbidden", json, &body),
        reply("404 Not Found", json, &body),
        reply("201 Created", json, &body),
        reply("500 Internal Server Error", json, &body),
        reply(
            "206 Partial Content",
            "Content-Type: application/json\r\nContent-Range: bytes 0-299/400\r\n",
            &body,
        ),
        reply("200 OK", "Content-Type: application/json\r\nContent-Encoding: br\r\n", &body),
        reply("200 OK", "Content-Type: APPLICATION/JSON\r\n", &body),
        reply("200 OK", "", &body),
        format!("HTTP/1.1 200 OK\r\n{json}Transfer-Encoding: chunked\r\n\r\n5\r\naaaaa\r\n0\r\n\r\n"),
    ]
}

/// A service that answers `/n` with the n-th of `replies`.
async fn answering(replies: Vec<String>) -> std::net::SocketAddr {
    backend(move |mut client: Client| {
        let replies = replies.clone();
        async move {
            while let Some(request) = client.try_request().await {
                let number: usize = request.head.split([' ', '/']).nth(2).unwrap().parse().unwrap();
                let reply = &replies[number];
                let end = if request.head.starts_with("HEAD") {
                    reply.find("\r\n\r\n").unwrap() + 4
                } else {
                    reply.len()
                };
                client.send(&reply[..end]).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn nginx_decides_alike_what_is_compressed() {
    let replies = replies();
    let count = replies.len();
    let upstream = answering(replies).await;
    // The settings of [`compressing`].
    let http = "gzip on; gzip_types application/json; gzip_min_length 100; gzip_proxied any; gzip_vary on;";
    let location = format!("location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; }}");
    let theirs = Server::nginx(http, &location).await;
    let edge = edge_with(upstream, compressing(&["application/json"], 100)).await;
    let mut compressed = 0;
    for number in 0..count {
        for accept in
            ["gzip", "gzip, deflate", "gzip;q=0", "identity", "", "deflate, gzip;q=0.5", "gzip;q=0.001"]
        {
            for method in ["GET", "HEAD"] {
                let request =
                    format!("{method} /{number} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n");
                let mut answers = Vec::new();
                for address in [theirs.address, edge.address] {
                    let mut client = Client::connect(address).await;
                    client.send(&request).await;
                    let answer = if method == "HEAD" {
                        client.response_without_body().await
                    } else {
                        client.response().await
                    };
                    answers.push(decision(&answer));
                }
                assert_eq!(
                    answers[0], answers[1],
                    "nginx, then the edge: reply {number} {method} {accept:?}"
                );
                compressed += usize::from(answers[0].1.as_deref() == Some("gzip"));
            }
        }
    }
    assert!(compressed > 20, "{compressed}");
}
