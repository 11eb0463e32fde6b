//! Pages that stand in for what a service would say.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use mainstay_model::{ErrorPages, Maintenance, PageFor, Site, TrustedProxy};
use std::time::Duration;
use support::{Client, Edge, Response, Table, backend, echo, replying, table};

const BROWSER: &str = "Accept: text/html\r\n";
const PROGRAM: &str = "Accept: application/json\r\n";

async fn ask(edge: &Edge, method: &str, path: &str, fields: &str) -> Response {
    let mut client = edge.client().await;
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    if method == "HEAD" { client.response_without_body().await } else { client.response().await }
}

fn site(table: &mut Table, site: Site) {
    let trusted_proxies = vec![TrustedProxy::Net("127.0.0.0/8".parse().unwrap())];
    table.0.sites.insert("s".into(), Site { trusted_proxies, ..site });
}

#[tokio::test]
async fn a_stack_that_is_closed_is_open_for_those_who_work_on_it() {
    let upstream = echo("app").await;
    let make = |version, page: Option<&str>| {
        let mut table = table(version)
            .route_with("*", "/", "u", |route| route.site = "s".into())
            .route("other", "/", "u")
            .target("u", "s/u.1", upstream);
        let allow = vec!["192.0.2.0/24".parse().unwrap()];
        let retry_after = Duration::from_secs(120);
        let maintenance = Some(Maintenance { page: page.map(str::to_owned), allow, retry_after });
        site(&mut table, Site { maintenance, ..Site::default() });
        table
    };
    let mut edge = Edge::with(make(1, Some("<h1>back soon</h1>"))).await;
    let closed = ask(&edge, "GET", "/", BROWSER).await;
    assert_eq!((closed.status(), closed.text().as_str()), (503, "<h1>back soon</h1>"));
    assert_eq!(closed.values("retry-after"), ["120"]);
    assert_eq!(closed.value("content-type"), Some("text/html; charset=utf-8"));
    let program = ask(&edge, "POST", "/", PROGRAM).await;
    assert_eq!((program.status(), program.values("retry-after")), (503, vec!["120"]));
    assert!(program.text().starts_with("{\"status\":503"), "{}", program.text());
    let head = ask(&edge, "HEAD", "/", BROWSER).await;
    assert_eq!((head.status(), head.value("content-length")), (503, Some("18")));
    assert_eq!(ask(&edge, "GET", "/", "X-Forwarded-For: 192.0.2.7\r\n").await.status(), 200);
    assert_eq!(edge.get("other", "/").await.status(), 200, "another stack is not concerned");
    edge.apply(make(2, None)).await;
    let own = ask(&edge, "GET", "/", BROWSER).await;
    assert!(own.text().contains("503 Service Unavailable"), "{}", own.text());
    assert_eq!(own.values("retry-after"), ["120"]);
}

#[tokio::test]
async fn pages_by_status_for_what_the_edge_says_and_what_services_say() {
    let page = |name: &str, text: &str| (PageFor::try_from(name.to_owned()).unwrap(), text.to_owned());
    let pages = [page("413", "too much"), page("5xx", "oh no"), page("503", "full")];
    let make = |version, intercept, failing, dead| {
        let mut table = table(version)
            .route_with("*", "/", "failing", |route| {
                route.site = "s".into();
                route.policy.max_body = Some(5);
            })
            .route_with("*", "/dead", "dead", |route| route.site = "s".into())
            .route_with("*", "/none", "none", |route| route.site = "s".into())
            .target("failing", "s/f.1", failing)
            .target("dead", "s/d.1", dead)
            .empty_upstream("none");
        site(
            &mut table,
            Site { errors: ErrorPages { pages: pages.clone().into(), intercept }, ..Site::default() },
        );
        table
    };
    let failing = backend(|mut client: Client| async move {
        while let Some(request) = client.try_request().await {
            let status = if request.head.contains("/missing") { "404 No" } else { "500 Own" };
            client.send(format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nown")).await;
        }
    })
    .await;
    let dead = replying("", true).await;
    let mut edge = Edge::with(make(1, false, failing, dead)).await;
    let said = async |edge: &Edge, method: &str, path: &str, fields: &str| {
        let response = ask(edge, method, path, fields).await;
        (response.status(), response.text())
    };
    assert_eq!(said(&edge, "POST", "/", "Content-Length: 6\r\n").await, (413, "too much".into()));
    assert_eq!(said(&edge, "GET", "/dead", BROWSER).await, (502, "oh no".into()));
    let full = ask(&edge, "GET", "/none", BROWSER).await;
    assert_eq!((full.status(), full.text().as_str(), full.values("retry-after").len()), (503, "full", 1));
    assert!(said(&edge, "GET", "/dead", PROGRAM).await.1.starts_with('{'));
    assert_eq!(said(&edge, "GET", "/", BROWSER).await, (500, "own".into()));
    edge.apply(make(2, true, failing, dead)).await;
    assert_eq!(said(&edge, "GET", "/", BROWSER).await, (500, "oh no".into()));
    assert_eq!(said(&edge, "GET", "/", PROGRAM).await, (500, "own".into()));
    assert_eq!(said(&edge, "GET", "/missing", BROWSER).await, (404, "own".into()));
    // An upload is answered so too, and one connection goes on after a page.
    let mut client = edge.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "oh no");
    }
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("1\r\nx\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "oh no");
}

#[tokio::test]
async fn hosts_and_paths_that_no_route_has_get_pages_too() {
    let page = |name: &str, text: &str| (PageFor::try_from(name.to_owned()).unwrap(), text.to_owned());
    let upstream = echo("app").await;
    let make = |version, pages: &[(PageFor, String)]| {
        let of = |site: &'static str| {
            move |route: &mut mainstay_model::table::TableRoute| route.site = site.into()
        };
        let mut table = table(version)
            .route_with("a", "/app/", "u", of("a"))
            .route_with("b", "/app/", "u", of("b"))
            .target("u", "s/u.1", upstream);
        let errors = ErrorPages { pages: pages.iter().cloned().collect(), intercept: false };
        table.0.sites.insert("a".into(), Site { errors, ..Site::default() });
        let errors = ErrorPages { pages: [page("4xx", "of b")].into(), intercept: false };
        table.0.sites.insert("b".into(), Site { errors, ..Site::default() });
        table
    };
    let ask = async |edge: &Edge, host: &str, accept: &str| {
        let mut client = edge.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{accept}\r\n")).await;
        let answer = client.response().await;
        (answer.status(), answer.text())
    };
    let own = [page("404", "nothing here"), page("421", "who is that?")];
    let mut edge = Edge::with(make(1, &own)).await;
    assert_eq!(ask(&edge, "a", BROWSER).await, (404, "nothing here".to_owned()));
    assert_eq!(ask(&edge, "b", BROWSER).await, (404, "of b".to_owned()));
    assert_eq!(ask(&edge, "c", BROWSER).await, (421, "who is that?".to_owned()));
    let (status, text) = ask(&edge, "c", PROGRAM).await;
    assert!(status == 421 && text.starts_with("{\"status\":421"), "{text}");
    edge.apply(make(2, &[])).await;
    let (status, text) = ask(&edge, "c", BROWSER).await;
    assert!(
        status == 421 && text.contains("421 Misdirected Request"),
        "a page for all errors is its stack's: {text}"
    );
    assert!(ask(&edge, "a", BROWSER).await.1.contains("404 Not Found"));
}
