//! Words of a stack file about the edge, from the file to what a client gets.

use crate::sandbox::{Sandbox, eventually, free_port};
use crate::served::{Answer, ask};
use std::fs;

fn stack(port: u16) -> String {
    let exe = env!("CARGO_BIN_EXE_mainstay");
    format!(
        "name: test\n\
         services:\n\
         \x20 app:\n\
         \x20   command: ['{exe}', demo-app, web]\n\
         \x20   deploy: {{ replicas: 2 }}\n\
         \x20   stop_grace_period: 1s\n\
         \x20   healthcheck:\n\
         \x20     {{ test: [CMD, '{exe}', demo-app, healthcheck], interval: 200ms, timeout: 5s, retries: 3 }}\n\
         \x20   x-mainstay:\n\
         \x20     routes:\n\
         \x20       - {{ host: app.test, balance: sticky, compress: {{ min_length: 100 }} }}\n\
         \x20       - {{ host: app.test, path: /version, limit: rare }}\n\
         \x20       - {{ host: app.test, path: /healthz, access: {{ networks: [deny all] }} }}\n\
         \x20       - {{ host: www.app.test, path: /old/, redirect: 'https://new.test{{uri}}' }}\n\
         \x20 site:\n\
         \x20   x-mainstay: {{ routes: [{{ host: site.test }}], static: {{ root: ./dist }} }}\n\
         x-mainstay:\n\
         \x20 edge:\n\
         \x20   listen: {{ http: '127.0.0.1:{port}' }}\n\
         \x20   headers: strict\n\
         \x20   access_log: json\n\
         \x20   clients: {{ head_line: 1k }}\n\
         \x20   limits: {{ rare: {{ rate: 1r/m }} }}\n\
         \x20   maintenance: '${{MAINTENANCE:-false}}'\n\
         \x20   error_pages: {{ '403': ./403.html, 4xx: ./4xx.html, '421': ./421.html }}\n"
    )
}

/// Which of the two processes made a page.
fn process(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("process ").unwrap_or_else(|| panic!("{text}"));
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn every_word_does_what_it_says() {
    let port = free_port();
    let sandbox = Sandbox::new(&stack(port));
    fs::create_dir(sandbox.path().join("dist")).unwrap();
    for (name, text) in
        [("dist/index.html", "site"), ("403.html", "not you"), ("4xx.html", "not so"), ("421.html", "who?")]
    {
        sandbox.write(name, text);
    }
    sandbox.run(&["up"]).ok();
    let get = |host: &str, path: &str, fields: &str| ask(port, host, path, fields);

    let page = get("app.test", "/", "");
    assert_eq!((page.status, page.field("x-frame-options")), (200, Some("DENY")));
    let cookie = page.field("set-cookie").unwrap();
    assert!(
        cookie.starts_with("mainstay=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    for _ in 0..6 {
        let again = get("app.test", "/", &cookie);
        assert_eq!((process(&again), again.field("set-cookie")), (process(&page), None));
    }
    let packed = get("app.test", "/", "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.field("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < page.body.len(), "{} of {}", packed.body.len(), page.body.len());

    assert_eq!(get("app.test", "/version", "").text(), "1");
    let refused = get("app.test", "/version", "");
    assert_eq!((refused.status, refused.text().as_str()), (429, "not so"));
    assert!(refused.field("retry-after").is_some());
    let denied = get("app.test", "/healthz", "");
    assert_eq!((denied.status, denied.text().as_str()), (403, "not you"));
    let moved = get("www.app.test", "/old/a?b", "");
    assert_eq!((moved.status, moved.field("location")), (308, Some("https://new.test/old/a?b")));
    let nowhere = get("www.app.test", "/", "");
    assert_eq!((nowhere.status, nowhere.text().as_str()), (404, "not so"), "a host with other paths");
    let unknown = get("other.test", "/", "");
    assert_eq!((unknown.status, unknown.text().as_str()), (421, "who?"));
    let long = format!("X: {}\r\n", "x".repeat(1100));
    assert_eq!(get("app.test", "/", &long).status, 431);

    let site = get("site.test", "/", "");
    assert_eq!((site.text().as_str(), site.field("x-frame-options")), ("site", Some("DENY")));
    assert_eq!(get("site.test", "/missing.js", "").text(), "not so");

    sandbox.write(".env", "MAINTENANCE=true\n");
    sandbox.run(&["up"]).ok();
    assert_eq!([get("app.test", "/", "").status, get("site.test", "/", "").status], [503, 503]);
    sandbox.write(".env", "");
    sandbox.run(&["up"]).ok();
    assert_eq!(get("app.test", "/", &cookie).status, 200);

    let log = sandbox.path().join("state/edge/log/test.access.log");
    let denied = |line: &serde_json::Value| line["uri"] == "/healthz" && line["status"] == 403;
    let passed = |line: &serde_json::Value| line["uri"] == "/version" && line["status"] == 200;
    let lines = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<serde_json::Value>>()
    };
    // They are handed over once a second.
    eventually("lines of the log", || lines().iter().any(denied) && lines().iter().any(passed));
    let line = lines().into_iter().find(passed).unwrap();
    assert_eq!((&line["release"], &line["service"]), (&1.into(), &"test/app".into()), "{line}");
}
