//! Files that the edge serves itself: a built site without a container, held against nginx.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::{Choice, Compression, ContentCoding, Files, RoutePolicy};
use std::net::SocketAddr;
use std::path::Path;
use support::server::Server;
use support::{Client, Edge, Response, table};

fn site(dir: &Path) {
    std::fs::create_dir_all(dir.join("docs")).unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(dir.join(name), text).unwrap();
    write("index.html", b"<html>${STRIPE_PUBLIC_KEY} ${OTHER}</html>");
    write("main-4f3a9c1b.js", "let a = 1;\n".repeat(2000).as_bytes());
    write("data.json", b"{\"a\": 1}");
    write("logo.png", &[0x89; 3000]);
    write("docs/index.html", b"docs");
    write(".env", b"SECRET");
    write("big.bin", &(0..1_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    std::os::unix::fs::symlink("/etc/passwd", dir.join("passwd")).unwrap();
}

async fn edge(dir: &Path, change: impl Fn(&mut RoutePolicy)) -> Edge {
    let env = [("STRIPE_PUBLIC_KEY".to_owned(), "pk_test".to_owned())].into();
    let files = Files { root: dir.to_path_buf(), spa: true, env, ..Files::default() };
    let routes = table(1).route_with("*", "/", "u", |route| {
        route.upstream = None;
        route.policy.files = Some(files);
        change(&mut route.policy);
    });
    Edge::with(routes).await
}

async fn ask(address: SocketAddr, line: &str, fields: &str) -> Response {
    let mut client = Client::connect(address).await;
    client.send(format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    if line.starts_with("HEAD") { client.response_without_body().await } else { client.response().await }
}

#[tokio::test]
async fn a_single_page_application_is_served_without_a_container() {
    let dir = tempfile::tempdir().unwrap();
    site(dir.path());
    let edge = edge(dir.path(), |_| {}).await;
    let get = async |path: &str, fields: &str| ask(edge.address, &format!("GET {path}"), fields).await;
    let entry = get("/", "").await;
    assert_eq!(entry.text(), "<html>pk_test ${OTHER}</html>", "only what is named is put in");
    assert_eq!(
        (entry.value("cache-control"), entry.value("content-type")),
        (Some("no-cache"), Some("text/html; charset=utf-8"))
    );
    let script = get("/main-4f3a9c1b.js", "").await;
    assert_eq!(script.value("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(get("/data.json", "").await.value("cache-control"), None);
    // A user who goes to what is no file gets the page; a script that is missing stays missing.
    for (path, fields, status) in [
        ("/account/settings", "Accept: text/html,*/*\r\n", 200),
        ("/account/settings", "Sec-Fetch-Mode: navigate\r\n", 200),
        ("/account/settings", "Accept: application/json\r\n", 404),
        ("/account/settings", "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n", 404),
        ("/old-0a1b2c3d.js", "Accept: text/html\r\n", 404),
        ("/.env", "Accept: text/html\r\n", 404),
        ("/passwd", "", 404),
        ("/%2e%2e/x", "", 400),
        ("/docs%2findex.html", "", 404),
    ] {
        assert_eq!(get(path, fields).await.status(), status, "{path} {fields}");
    }
    assert_eq!(get("/health", "").await.text(), "healthy\n");
    assert_eq!(
        get("/config.js", "").await.text(),
        "window.env = Object.freeze({\"STRIPE_PUBLIC_KEY\":\"pk_test\"});\n"
    );
    let tag = entry.value("etag").unwrap().to_owned();
    assert_eq!(get("/", &format!("If-None-Match: {tag}\r\n")).await.status(), 304);
    assert_eq!(ask(edge.address, "POST /", "Content-Length: 0\r\n").await.status(), 405);
    let moved = get("/docs", "").await;
    assert_eq!((moved.status(), moved.value("location")), (301, Some("/docs/")));
    // A build that replaces the directory is served at once.
    let fresh = tempfile::tempdir().unwrap();
    std::fs::write(fresh.path().join("index.html"), "new").unwrap();
    std::fs::remove_dir_all(dir.path()).unwrap();
    std::fs::rename(fresh.path(), dir.path()).unwrap();
    assert_eq!(get("/", "").await.text(), "new");
    std::fs::create_dir(fresh.path()).unwrap();
}

#[tokio::test]
async fn files_are_compressed_and_what_is_beside_them_is_used() {
    let dir = tempfile::tempdir().unwrap();
    site(dir.path());
    std::fs::write(dir.path().join("main-4f3a9c1b.js.br"), "made before").unwrap();
    let settings = Compression {
        codings: vec![ContentCoding::Brotli, ContentCoding::Gzip],
        types: vec!["text/javascript".into()],
        min_length: 100,
    };
    let edge = edge(dir.path(), |policy| policy.compress = Some(Choice::On(settings.clone()))).await;
    let before = ask(edge.address, "GET /main-4f3a9c1b.js", "Accept-Encoding: br\r\n").await;
    assert_eq!((before.value("content-encoding"), before.text().as_str()), (Some("br"), "made before"));
    let made = ask(edge.address, "GET /main-4f3a9c1b.js", "Accept-Encoding: gzip\r\n").await;
    assert_eq!((made.value("content-encoding"), made.value("vary")), (Some("gzip"), Some("Accept-Encoding")));
    let mut plain = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&made.body[..]), &mut plain).unwrap();
    assert_eq!(plain, "let a = 1;\n".repeat(2000));
    let part =
        ask(edge.address, "GET /main-4f3a9c1b.js", "Accept-Encoding: gzip\r\nRange: bytes=0-2\r\n").await;
    assert_eq!((part.status(), part.text().as_str(), part.value("content-encoding")), (206, "let", None));
}

/// What an answer says that caches and players go by.
fn told(response: &Response) -> Vec<(String, Option<String>)> {
    let names: &[&str] = match response.status() {
        200 | 206 => &["etag", "last-modified", "content-range", "content-length", "accept-ranges"],
        304 => &["etag", "last-modified"],
        416 => &["content-range"],
        _ => &[],
    };
    let mut all = vec![("status".to_owned(), Some(response.status().to_string()))];
    all.extend(names.iter().map(|name| ((*name).to_owned(), response.value(name).map(str::to_owned))));
    if response.status() == 206 {
        // A part has no further parts to offer; nginx leaves the field out, and so nothing depends on it.
        all.retain(|(name, _)| name != "accept-ranges");
    }
    all
}

/// Conditions and ranges; ETAG, DATE, BEFORE and AFTER stand for those of the file.
const CASES: [&str; 30] = [
    "",
    "If-None-Match: ETAG\r\n",
    "If-None-Match: W/ETAG\r\n",
    "If-None-Match: \"x\", ETAG\r\n",
    "If-None-Match: \"x\"\r\n",
    "If-None-Match: *\r\n",
    "If-Match: ETAG\r\n",
    "If-Match: \"x\"\r\n",
    "If-Match: *\r\n",
    "If-Match: \"x\", ETAG\r\n",
    "If-Modified-Since: DATE\r\n",
    "If-Modified-Since: BEFORE\r\n",
    "If-Modified-Since: AFTER\r\n",
    "If-Modified-Since: nonsense\r\n",
    "If-Unmodified-Since: DATE\r\n",
    "If-Unmodified-Since: BEFORE\r\n",
    "If-Unmodified-Since: AFTER\r\n",
    "Range: bytes=0-9\r\n",
    "Range: bytes=10-\r\n",
    "Range: bytes=-10\r\n",
    "Range: bytes=0-99999999\r\n",
    "Range: bytes=99999999-\r\n",
    "Range: bytes=-99999999\r\n",
    "Range: lines=0-9\r\n",
    "Range: bytes=0-0\r\n",
    "Range: bytes=0-9\r\nIf-Range: ETAG\r\n",
    "Range: bytes=0-9\r\nIf-Range: \"x\"\r\n",
    "Range: bytes=0-9\r\nIf-Range: DATE\r\n",
    "Range: bytes=0-9\r\nIf-Range: BEFORE\r\n",
    "Range: bytes=0-9\r\nIf-None-Match: ETAG\r\n",
];

#[tokio::test]
async fn conditions_and_ranges_are_answered_as_nginx_answers_them() {
    let root = tempfile::tempdir().unwrap();
    site(root.path());
    let http = "default_type application/octet-stream; if_modified_since before;";
    let theirs = Server::nginx(http, &format!("root {};", root.path().display())).await;
    let edge = edge(root.path(), |_| {}).await;
    let mut compared = 0;
    for path in ["/data.json", "/logo.png", "/main-4f3a9c1b.js", "/big.bin", "/docs/index.html"] {
        let plain = ask(theirs.address, &format!("HEAD {path}"), "").await;
        let (tag, date) =
            (plain.value("etag").unwrap().to_owned(), plain.value("last-modified").unwrap().to_owned());
        let at = httpdate::parse_http_date(&date).unwrap();
        let hour = std::time::Duration::from_secs(3600);
        for case in CASES {
            let fields = case
                .replace("ETAG", &tag)
                .replace("DATE", &date)
                .replace("BEFORE", &httpdate::fmt_http_date(at - hour))
                .replace("AFTER", &httpdate::fmt_http_date(at + hour));
            for method in ["GET", "HEAD"] {
                // Ranges are for GET alone (RFC 9110, 14.2); nginx answers HEAD with them too.
                if method == "HEAD" && case.contains("Range") {
                    continue;
                }
                let line = format!("{method} {path}");
                let (nginx, ours) =
                    (ask(theirs.address, &line, &fields).await, ask(edge.address, &line, &fields).await);
                assert_eq!(told(&nginx), told(&ours), "nginx, then the edge: {line} {fields}");
                if matches!(nginx.status(), 200 | 206) {
                    assert!(nginx.body == ours.body, "{line} {fields}");
                }
                compared += 1;
            }
        }
    }
    println!("{compared} answers alike");
    assert!(compared > 150);
}

#[tokio::test]
async fn what_other_releases_had_is_found_by_the_hash_in_its_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("old/index.html", "old page");
    write("old/old.html", "old");
    write("old/js/app-1a112222.js", "old app");
    write("old/js/app-1a112222.js.br", "compressed");
    write("new/index.html", "new page");
    write("new/js/app-3a334444.js", "new app");
    write(".new/js/app-5a556666.js", "half");
    let serving = dir.path().join("new");
    let edge = edge(&dir.path().join("nowhere"), move |policy| {
        let (codings, types) = (vec![ContentCoding::Brotli], vec!["text/javascript".into()]);
        policy.compress = Some(Choice::On(Compression { codings, types, min_length: 1 }));
        policy.files.as_mut().unwrap().snapshot = Some(serving.clone());
    })
    .await;
    let get = async |path: &str, fields: &str| ask(edge.address, &format!("GET {path}"), fields).await;
    assert_eq!(get("/", "").await.text(), "new page");
    assert_eq!(get("/js/app-3a334444.js", "").await.text(), "new app");
    let old = get("/js/app-1a112222.js", "").await;
    assert_eq!((old.status(), old.text().as_str()), (200, "old app"));
    assert_eq!(old.value("cache-control"), Some("public, max-age=31536000, immutable"));
    let compressed = get("/js/app-1a112222.js", "Accept-Encoding: br\r\n").await;
    assert_eq!(
        (compressed.value("content-encoding"), compressed.text().as_str()),
        (Some("br"), "compressed")
    );
    for missing in ["/old.html", "/js/app-5a556666.js", "/js/app-7a778888.js", "/js/app.js"] {
        assert_eq!(get(missing, "").await.status(), 404, "{missing}");
    }
}
