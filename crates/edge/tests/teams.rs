//! The nginx files of two teams as judges: what their services get from nginx they get from the edge, header by header,
//! but for what is listed in [`differs`].

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeSet;
use support::server::Server;
use support::{Client, Edge, echo, table};

/// A property portal: an API with long answers, two WebSocket paths, a frontend.
const PORTAL: &str = "
    location /api/ { proxy_pass http://BACKEND; proxy_http_version 1.1; proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 120s; proxy_connect_timeout 10s; }
    location /api/v1/conversation/ws { proxy_pass http://BACKEND; proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; proxy_set_header Host $host;
        proxy_read_timeout 3600s; }
    location /health { proxy_pass http://BACKEND; }
    location / { proxy_pass http://FRONTEND; proxy_http_version 1.1; proxy_set_header Host $host; }";

/// A tool for social media: a frontend whose location upgrades, an API without more than the usual.
const SOCIAL: &str = "
    location / { proxy_pass http://FRONTEND; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection 'upgrade'; proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;
        proxy_cache_bypass $http_upgrade; }
    location /api/ { proxy_pass http://BACKEND; proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }";

const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: pl,cs;q=0.7,en;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://a.example/x\r\nCookie: sessionid=abc; csrftoken=\"q;r\"\r\n\
    Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nDNT: 1\r\nPriority: u=0, i\r\nConnection: keep-alive\r\n";

/// Request line, fields and body.
fn requests() -> Vec<String> {
    let with = |line: &str, fields: &str, body: &str| {
        format!("{line} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{body}")
    };
    vec![
        with("GET /", BROWSER, ""),
        with("GET /assets/main-4f3a9c1b.js?v=1&w=%20x", BROWSER, ""),
        with("HEAD /some/page", BROWSER, ""),
        with(
            "GET /api/v1/parcels/?bbox=1,2,3,4&q=%C5%82%C3%B3d%C5%BA",
            "Authorization: Bearer a.b.c\r\nX-Request-ID: 7\r\n",
            "",
        ),
        with(
            "POST /api/v1/auth/login/",
            "Content-Type: application/json\r\nContent-Length: 15\r\n",
            "{\"user\":\"a b\"}\n",
        ),
        with("PUT /api/v1/x", "Content-Length: 0\r\n", ""),
        with("PATCH /api/v1/x", "Content-Type: text/plain\r\nContent-Length: 3\r\n", "abc"),
        with("DELETE /api/v1/x/1", "If-Match: \"e\"\r\n", ""),
        with("OPTIONS /api/v1/x", "Origin: http://b.example\r\nAccess-Control-Request-Method: PUT\r\n", ""),
        with("GET /health", "User-Agent: probe\r\n", ""),
        with(
            "GET /api/v1/conversation/ws",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            "",
        ),
        with("GET /api/", "X-Twice: 1\r\nX-Twice: 2\r\nAccept: a\r\nAccept: b\r\nCookie: a=1\r\n", ""),
        with(
            "GET /api/",
            "Range: bytes=0-9\r\nIf-Range: \"x\"\r\nIf-None-Match: *\r\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n",
            "",
        ),
        with(
            "GET /api/",
            "Connection: close, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nX_Under: 1\r\nProxy: x\r\n",
            "",
        ),
        with(
            "GET /api/",
            "X-Forwarded-For: 203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=203.0.113.9\r\n",
            "",
        ),
        with(
            "POST /api/stripe/webhook",
            "Stripe-Signature: t=1,v1=ab\r\nContent-Length: 2\r\nExpect: 100-continue\r\n",
            "{}",
        ),
        "GET /api/ HTTP/1.1\r\nHost: A.Example:8080\r\n\r\n".to_owned(),
        "GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n".to_owned(),
        with("GET /a//b/%7Ec;d=1/e,f?x=/../y", "", ""),
        with(&format!("GET /api/?{}", "q".repeat(3000)), &format!("X-Long: {}\r\n", "v".repeat(3000)), ""),
    ]
}

/// Fields on which the two differ, and why.
fn differs(name: &str) -> Option<&'static str> {
    Some(match name {
        "connection" | "upgrade" => {
            "nginx asks for the end of each connection, or for an upgrade where the file says so even if nobody upgrades; \
             the edge keeps connections and upgrades what asks for it (see the test of WebSockets)"
        }
        "x-forwarded-for" | "x-real-ip" | "x-forwarded-proto" | "forwarded" => {
            "nginx passes on what clients say of themselves where the file does not set it; the edge never does, and always \
             tells the peer it sees"
        }
        "x-forwarded-host" => "the edge tells it always",
        "host" => {
            "the edge passes it on as the client wrote it, nginx's $host is in lower case and without port"
        }
        "x-private" => {
            "a field named in Connection belongs to that connection alone (RFC 9110, 7.6.1); nginx passes it on"
        }
        "proxy" => "it becomes HTTP_PROXY in CGI's environment, which libraries take for a setting",
        _ => return None,
    })
}

/// Request line without version, and fields, as a service got them from an [`echo`].
fn seen(text: &str) -> (String, BTreeSet<String>) {
    let (_, message) = text.split_once('\n').unwrap();
    let mut lines = message.split("\r\n");
    let line = lines.next().unwrap();
    let line = line.rsplit_once(' ').unwrap().0.to_owned();
    let fields = lines.take_while(|l| l.contains(':')).map(|field| {
        let (name, value) = field.split_once(':').unwrap();
        format!("{}: {}", name.to_ascii_lowercase(), value.trim().split('\n').next().unwrap())
    });
    (line, fields.collect())
}

async fn compare(locations: &str, paths: &[(&str, &str)]) {
    let (backend, frontend) = (echo("backend").await, echo("frontend").await);
    let locations =
        locations.replace("BACKEND", &backend.to_string()).replace("FRONTEND", &frontend.to_string());
    let theirs = Server::nginx("", &locations).await;
    let mut routes =
        table(1).target("backend", "s/backend.1", backend).target("frontend", "s/frontend.1", frontend);
    for (path, upstream) in paths {
        routes = routes.route("*", path, upstream);
    }
    let edge = Edge::with(routes).await;
    let (mut equal, mut known) = (0, BTreeSet::new());
    for request in requests() {
        let mut got = Vec::new();
        for address in [theirs.address, edge.address] {
            let mut client = Client::connect(address).await;
            client.send(&request).await;
            if request.starts_with("HEAD") {
                let head = client.response_without_body().await;
                got.push((head.status(), String::new(), Default::default(), BTreeSet::new()));
                continue;
            }
            let mut answer = client.response().await;
            if answer.status() == 100 {
                answer = client.response().await;
            }
            let text = answer.text();
            let who = text.lines().next().unwrap_or_default().to_owned();
            let (line, fields) = seen(&text);
            got.push((answer.status(), who, line, fields));
        }
        let [(their_status, their_who, their_line, their_fields), (status, who, line, fields)] = &got[..]
        else {
            panic!("two answers")
        };
        assert_eq!((their_status, their_who, their_line), (status, who, line), "{request}");
        for field in their_fields.symmetric_difference(fields) {
            let name = field.split(':').next().unwrap();
            assert!(
                differs(name).is_some(),
                "{field} of {request}\nnginx: {their_fields:#?}\nedge: {fields:#?}"
            );
            known.insert(name.to_owned());
        }
        equal += their_fields.intersection(fields).count();
    }
    println!("{equal} fields alike; different as listed: {known:?}");
    assert!(equal > 60, "{equal}");
}

#[tokio::test]
async fn the_portals_services_get_what_they_get_from_nginx() {
    let paths = [
        ("/api/", "backend"),
        ("/api/v1/conversation/ws", "backend"),
        ("/health", "backend"),
        ("/", "frontend"),
    ];
    compare(PORTAL, &paths).await;
}

#[tokio::test]
async fn the_social_tools_services_get_what_they_get_from_nginx() {
    compare(SOCIAL, &[("/api/", "backend"), ("/", "frontend")]).await;
}

#[tokio::test]
async fn where_the_files_set_who_the_client_is_the_edge_says_the_same() {
    let backend = echo("backend").await;
    let locations = SOCIAL.replace("BACKEND", &backend.to_string()).replace("FRONTEND", &backend.to_string());
    let theirs = Server::nginx("", &locations).await;
    let edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", backend)).await;
    let mut told = Vec::new();
    for address in [theirs.address, edge.address] {
        let mut client = Client::connect(address).await;
        client.send("GET /api/ HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let (_, fields) = seen(&client.response().await.text());
        let about = |field: &String| field.starts_with("x-") && !field.starts_with("x-forwarded-host");
        told.push(fields.into_iter().filter(about).collect::<Vec<_>>());
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].len(), 3);
}
