//! Who may use a route.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mainstay_model::table::TableRoute;
use mainstay_model::{
    Access, Asked, BasicAuth, Choice, ForwardAuth, Jwt, JwtKeys, NetworkRule, Secret, Site, TrustedProxy,
    Webhook, WebhookSender,
};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{Client, Edge, Response, Table, backend, echo, table};

fn made() -> Value {
    serde_json::from_str(include_str!("support/made/credentials.json")).unwrap()
}

fn by(access: Access) -> impl Fn(&mut TableRoute) {
    move |route| route.policy.access = Some(Choice::On(access.clone()))
}

async fn app() -> (Table, SocketAddr) {
    let upstream = echo("app").await;
    (table(1).target("u", "s/u.1", upstream), upstream)
}

async fn ask(edge: &Edge, path: &str, fields: &str) -> Response {
    let mut client = edge.client().await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
    client.response().await
}

#[tokio::test]
async fn networks_decide_by_the_client_not_by_its_proxy() {
    let rule = |allow, network: &str| NetworkRule { allow, network: network.parse().ok() };
    let networks = vec![rule(false, "192.0.2.9/32"), rule(true, "192.0.2.0/24"), rule(false, "all")];
    let access = Access { networks, ..Access::default() };
    let (mut table, _) = app().await;
    let trusted_proxies = vec![TrustedProxy::Net("127.0.0.0/8".parse().unwrap())];
    let site = Site { trusted_proxies, access: Some(access), ..Site::default() };
    table.0.sites.insert("s".into(), site);
    let table = table.route_with("*", "/", "u", |route| route.site = "s".into()).route_with(
        "*",
        "/open",
        "u",
        |route| {
            route.site = "s".into();
            route.policy.access = Some(Choice::Off);
        },
    );
    let edge = Edge::with(table).await;
    let from = |client: &str| format!("X-Forwarded-For: {client}\r\n");
    assert_eq!(ask(&edge, "/", &from("192.0.2.1")).await.status(), 200);
    for outside in ["192.0.2.9", "198.51.100.1", "2001:db8::1"] {
        assert_eq!(ask(&edge, "/", &from(outside)).await.status(), 403, "{outside}");
        assert_eq!(ask(&edge, "/open", &from(outside)).await.status(), 200, "{outside}");
    }
}

fn password(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn a_right_password_passes_and_everything_else_is_asked_for_one() {
    let hashes = made()["hashes"].as_object().unwrap().clone();
    let users =
        hashes.iter().map(|(name, hash)| (name.clone(), Secret::new(hash.as_str().unwrap()))).collect();
    let basic = Some(BasicAuth { realm: "St\"aff".into(), users });
    let (table, _) = app().await;
    let edge = Edge::with(table.route_with("*", "/", "u", by(Access { basic, ..Access::default() }))).await;
    for user in hashes.keys() {
        for time in ["first", "remembered"] {
            let response = ask(&edge, "/x", &password(user, "correct horse")).await;
            assert_eq!(response.status(), 200, "{user} {time}");
        }
        assert_eq!(ask(&edge, "/", &password(user, "correct horse ")).await.status(), 401);
    }
    let nobody = ask(&edge, "/", &password("nobody", "correct horse")).await;
    assert_eq!(nobody.value("www-authenticate"), Some("Basic realm=\"Staff\", charset=\"UTF-8\""));
    for bad in ["", "Authorization: Basic !!!\r\n", "Authorization: Bearer x\r\n", "Authorization: Basic\r\n"]
    {
        assert_eq!(ask(&edge, "/", bad).await.status(), 401, "{bad}");
    }
    // The connection of one that was refused is as good as any.
    let mut client = edge.client().await;
    for (fields, expected) in [(String::new(), 401), (password("bcrypt", "correct horse"), 200)] {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert_eq!(client.response().await.status(), expected);
    }
}

/// An authentication server: whoever has the cookie passes, others are sent to sign in.
async fn gate() -> SocketAddr {
    backend(|mut client: Client| async move {
        while let Some(request) = client.try_request().await {
            let first = request.head.lines().next().unwrap_or_default().to_owned();
            let told = |name: &str| request.values(name).join(" and ");
            let answer = if request.values("cookie") == ["session=ann"] {
                format!(
                    "HTTP/1.1 200 OK\r\nRemote-User: ann\r\nX-Told: {first} {} {} {} {} {}\r\n\
                     Set-Cookie: session=ann; again\r\nContent-Length: 2\r\n\r\nok",
                    told("x-forwarded-method"),
                    told("x-forwarded-proto"),
                    told("x-forwarded-host"),
                    told("x-forwarded-uri"),
                    told("x-forwarded-for"),
                )
            } else if request.value("cookie") == Some("break") {
                return;
            } else {
                "HTTP/1.1 302 Found\r\nLocation: https://id.example/?rd=x\r\nSet-Cookie: state=1\r\n\
                 Content-Type: text/html\r\nContent-Length: 7\r\n\r\nsign in"
                    .to_owned()
            };
            client.send(answer).await;
        }
    })
    .await
}

fn forward(url: String, upstream: Option<&str>) -> Access {
    let server = Asked { url, upstream: upstream.map(str::to_owned) };
    let headers = vec!["Remote-User".into(), "X-Told".into(), "Remote-Groups".into()];
    let forward = ForwardAuth { server, headers, timeout: Duration::from_secs(20) };
    Access { forward: Some(forward), ..Access::default() }
}

#[tokio::test]
async fn an_authentication_server_lets_through_or_answers_itself() {
    let gate = gate().await;
    let (table, _) = app().await;
    let outside = forward(format!("http://{gate}/check?x=1"), None);
    let inside = forward("http://auth:9091/check".into(), Some("s/auth:9091"));
    let table = table
        .route_with("*", "/", "u", by(outside))
        .route_with("*", "/inside/", "u", by(inside))
        .target("s/auth:9091", "s/auth.1", gate);
    let edge = Edge::with(table).await;
    let fields = "Cookie: session=ann\r\nRemote-User: root\r\nRemote-Groups: admins\r\nRemote_User: root\r\n\
                  X-Forwarded-Uri: /spoofed\r\nX-Forwarded-Method: DELETE\r\n";
    for (path, asked) in [("/a?b=c", "GET /check?x=1"), ("/inside/?y", "GET /check")] {
        let passed = ask(&edge, path, fields).await;
        assert_eq!(passed.status(), 200);
        let text = passed.text();
        assert!(text.contains("\r\nRemote-User: ann\r\n") && !text.contains("root"), "{text}");
        assert!(!text.contains("admins") && !text.contains("/spoofed"), "{text}");
        let told = format!("X-Told: {asked} HTTP/1.1 GET http a.example {path} 127.0.0.1\r\n");
        assert!(text.contains(&told), "{text}");
        assert_eq!(passed.value("set-cookie"), Some("session=ann; again"));
    }
    // What the service sees twice, the server sees twice.
    let twice = ask(&edge, "/a", "Cookie: session=bob\r\nCookie: session=ann\r\n").await;
    assert_eq!(twice.status(), 302);
    let twice = ask(&edge, "/a", "Authorization: a\r\nAuthorization: b\r\nCookie: session=ann\r\n").await;
    assert_eq!(twice.status(), 400);
    let refused = ask(&edge, "/a", "").await;
    assert_eq!((refused.status(), refused.text().as_str()), (302, "sign in"));
    assert_eq!(refused.value("location"), Some("https://id.example/?rd=x"));
    assert_eq!(refused.values("set-cookie"), ["state=1"]);
    assert_eq!(refused.values("content-length").len(), 1);
    assert_eq!(ask(&edge, "/a", "Cookie: break\r\n").await.status(), 503);
}

#[tokio::test]
async fn nobody_passes_while_the_authentication_server_is_away() {
    let (dead, _) = support::listener();
    let (table, _) = app().await;
    let table = table
        .route_with("*", "/", "u", by(forward(format!("http://{dead}/"), None)))
        .route_with("*", "/inside/", "u", by(forward("http://auth/".into(), Some("s/auth:80"))))
        .empty_upstream("s/auth:80");
    let edge = Edge::with(table).await;
    for path in ["/", "/inside/"] {
        assert_eq!(ask(&edge, path, "Cookie: session=ann\r\n").await.status(), 503, "{path}");
    }
    let (table, _) = app().await;
    let unknown = table.route_with("*", "/", "u", by(forward("http://auth/".into(), Some("s/none"))));
    let mut edge = Edge::start().await;
    assert!(edge.try_apply(unknown).await.is_err(), "a table that names nobody is refused");
}

fn jwt(keys: JwtKeys) -> Access {
    let jwt = Jwt {
        keys,
        issuer: Some("https://id.example".into()),
        audience: vec!["api".into()],
        leeway: Duration::from_secs(60),
        claims: [("X-User".to_owned(), "sub".to_owned()), ("X-Groups".to_owned(), "groups".to_owned())]
            .into(),
    };
    Access { jwt: Some(jwt), ..Access::default() }
}

fn bearer(token: &Value) -> String {
    format!("Authorization: Bearer {}\r\nX-User: root\r\n", token.as_str().unwrap())
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_verified_by_their_own_key() {
    let made = made();
    let text = |value: &Value| Secret::new(value.as_str().unwrap());
    let one = |material: &Value, algorithm: &str| {
        jwt(JwtKeys::Key { material: text(material), algorithm: algorithm.into() })
    };
    let (table, _) = app().await;
    let table = table
        .route_with("*", "/set/", "u", by(jwt(JwtKeys::Set(Secret::new(made["jwks"].to_string())))))
        .route_with("*", "/pem/", "u", by(one(&made["pem"], "RS256")))
        .route_with("*", "/secret/", "u", by(one(&made["secret"], "HS256")))
        .route_with("*", "/broken/", "u", by(one(&made["secret"], "RS256")));
    let edge = Edge::with(table).await;
    for (name, token) in made["tokens"].as_object().unwrap() {
        let response = ask(&edge, "/set/", &bearer(token)).await;
        assert_eq!(response.status(), 200, "{name}");
        let text = response.text();
        assert!(
            text.contains("\r\nX-User: ann\r\n") && text.contains("\r\nX-Groups: staff,ops\r\n"),
            "{text}"
        );
        assert!(!text.contains("root"), "{text}");
        let expected = if name == "RS256" { 200 } else { 401 };
        assert_eq!(ask(&edge, "/pem/", &bearer(token)).await.status(), expected, "{name}");
        let expected = if name == "HS256" { 200 } else { 401 };
        assert_eq!(ask(&edge, "/secret/", &bearer(token)).await.status(), expected, "{name}");
        assert_eq!(ask(&edge, "/broken/", &bearer(token)).await.status(), 503, "{name}");
        let mut cut = token.as_str().unwrap().to_owned();
        cut.truncate(cut.len() - 4);
        assert_eq!(ask(&edge, "/set/", &bearer(&cut.into())).await.status(), 401, "{name}");
    }
    for (name, token) in made["wrong"].as_object().unwrap() {
        let expected = if name == "nameless" { 200 } else { 401 };
        assert_eq!(ask(&edge, "/set/", &bearer(token)).await.status(), expected, "{name}");
        assert_eq!(ask(&edge, "/pem/", &bearer(token)).await.status(), 401, "{name}");
    }
    let none = ask(&edge, "/set/", "").await;
    assert_eq!((none.status(), none.value("www-authenticate")), (401, Some("Bearer")));
    let wrong = ask(&edge, "/set/", "Authorization: Bearer a.b.c\r\n").await;
    assert_eq!(wrong.value("www-authenticate"), Some("Bearer error=\"invalid_token\""));
}

#[tokio::test]
async fn published_keys_are_fetched_once_and_again_for_one_that_is_unknown() {
    let made = made();
    let keys = made["jwks"]["keys"].as_array().unwrap().clone();
    let named = |name: &str| keys.iter().find(|key| key["kid"] == name).unwrap().clone();
    let first = serde_json::json!({ "keys": [named("RS256"), named("HS256")] }).to_string();
    let second = serde_json::json!({ "keys": [named("RS256"), named("ES256")] }).to_string();
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let issuer = backend(move |mut client: Client| {
        let (count, first, second) = (count.clone(), first.clone(), second.clone());
        async move {
            while client.try_request().await.is_some() {
                let text = if count.fetch_add(1, Ordering::SeqCst) == 0 { &first } else { &second };
                client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await;
            }
        }
    })
    .await;
    let (table, _) = app().await;
    let keys = JwtKeys::Url(Asked { url: format!("http://{issuer}/keys"), upstream: None });
    let edge = Edge::with(table.route_with("*", "/", "u", by(jwt(keys)))).await;
    let status = async |name: &str| ask(&edge, "/", &bearer(&made["tokens"][name])).await.status();
    assert_eq!((status("RS256").await, status("RS256").await), (200, 200));
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    assert_eq!(status("ES256").await, 200, "a key that came since");
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
    assert_eq!(status("HS256").await, 401, "a secret that everybody can read is none");
    assert_eq!((status("PS256").await, status("EdDSA").await), (401, 401));
    assert_eq!(fetched.load(Ordering::SeqCst), 2, "whoever invents keys does not have us ask for each");
}

#[tokio::test]
async fn without_keys_no_token_passes() {
    let (dead, _) = support::listener();
    let (table, _) = app().await;
    let keys = JwtKeys::Url(Asked { url: format!("http://{dead}/keys"), upstream: None });
    let edge = Edge::with(table.route_with("*", "/", "u", by(jwt(keys)))).await;
    assert_eq!(ask(&edge, "/", &bearer(&made()["tokens"]["RS256"])).await.status(), 503);
}

fn webhook(sender: WebhookSender) -> Access {
    let secrets = vec![Secret::new("old"), Secret::new("whsec_new")];
    let tolerance = Duration::from_secs(300);
    Access { webhook: Some(Webhook { sender, secrets, tolerance, max_body: 100_000 }), ..Access::default() }
}

fn sign(secret: &str, text: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stripe(secret: &str, age: u64, body: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - age;
    let signature = sign(secret, format!("{now}.{body}").as_bytes());
    format!("Stripe-Signature: t={now},v1={},v1={signature},v0=x\r\n", "0".repeat(64))
}

fn github(secret: &str, body: &str) -> String {
    format!("X-Hub-Signature-256: sha256={}\r\n", sign(secret, body.as_bytes()))
}

async fn post(client: &mut Client, path: &str, fields: &str, body: &str) -> Response {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n");
    client.send(head + body).await;
    client.response().await
}

#[tokio::test]
async fn a_webhook_passes_whole_when_its_body_is_signed() {
    let (table, _) = app().await;
    let table = table.route_with("*", "/stripe", "u", by(webhook(WebhookSender::Stripe))).route_with(
        "*",
        "/github",
        "u",
        by(webhook(WebhookSender::GitHub)),
    );
    let edge = Edge::with(table).await;
    let mut client = edge.client().await;
    let body = "{\"id\":\"evt_1\"}";
    for secret in ["old", "whsec_new"] {
        for (path, fields) in [("/stripe", stripe(secret, 200, body)), ("/github", github(secret, body))] {
            let response = post(&mut client, path, &fields, body).await;
            assert_eq!(response.status(), 200, "{path}");
            assert!(response.text().ends_with(&format!("\n{body}")), "{}", response.text());
        }
    }
    let wrong = [
        ("/stripe", stripe("other", 0, body)),
        ("/stripe", stripe("whsec_new", 400, body)),
        ("/stripe", stripe("whsec_new", 0, "{}")),
        ("/stripe", github("whsec_new", body)),
        ("/stripe", String::new()),
        ("/github", github("whsec_new", "{}")),
        ("/github", "X-Hub-Signature-256: sha256=\r\n".into()),
    ];
    for (path, fields) in wrong {
        let mut client = edge.client().await;
        assert_eq!(post(&mut client, path, &fields, body).await.status(), 401, "{path} {fields}");
    }
}

#[tokio::test]
async fn a_signed_body_may_come_in_any_form_up_to_its_bound() {
    let (table, _) = app().await;
    let edge = Edge::with(table.route_with("*", "/", "u", by(webhook(WebhookSender::GitHub)))).await;
    let large = "x".repeat(100_000);
    let mut client = edge.client().await;
    for _ in 0..2 {
        let response = post(&mut client, "/", &github("old", &large), &large).await;
        assert_eq!(response.status(), 200);
        assert!(response.text().ends_with(&large));
    }
    // Piece by piece, in chunks, with another request right behind it.
    let body = "one and two";
    let head =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{}\r\n", github("old", body));
    for piece in [&head, "3\r\no", "ne\r\n8\r\n and two\r", "\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        client.send(piece).await;
    }
    let response = client.response().await;
    assert_eq!(response.status(), 200);
    assert!(response.text().contains("Transfer-Encoding: chunked\n"), "{}", response.text());
    assert!(response.text().contains("one and two"), "{}", response.text());
    assert_eq!(client.response().await.status(), 401);
    // A client that waits to be told to go on.
    let mut client = edge.client().await;
    let length = body.len();
    let fields = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n{}", github("old", body));
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    client.until_contains("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.buffer.clear();
    client.send(body).await;
    assert_eq!(client.response().await.status(), 200);
    // Above the bound, said and unsaid.
    let fields = github("old", "");
    let mut client = edge.client().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n{fields}\r\n")).await;
    assert_eq!(client.response().await.status(), 413);
    let mut client = edge.client().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{fields}\r\n")).await;
    for _ in 0..2 {
        client.send(format!("{:x}\r\n{}\r\n", 60_000, &large[..60_000])).await;
    }
    assert_eq!(client.response().await.status(), 413);
}
