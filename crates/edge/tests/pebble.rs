//! Certificates from a real authority: every way to prove a name, renewal, and what happens while it is down.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::table::{CertificateStatus, EdgeStatus};
use mainstay_model::{DnsProvider, ExternalAccount, Issuer, ManagedCertificate, Secret};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use support::pebble::{FAIR, Pebble, Ports, Weather, plain};
use support::tls::{Authority, connect};
use support::{Edge, Table, control_path, echo, start_in, table};

/// An edge and an authority that asks it.
struct Site {
    edge: Edge,
    https: SocketAddr,
    pebble: Pebble,
}

impl Site {
    async fn start(more: serde_json::Value) -> Self {
        Self::with_ports(more, FAIR, |ports| ports).await
    }

    /// `believed` are the ports that the authority asks.
    async fn with_ports(
        more: serde_json::Value,
        weather: Weather,
        believed: impl FnOnce(Ports) -> Ports,
    ) -> Self {
        let mut edge = Edge::start().await;
        let https = edge.another_listener();
        let ports = believed(Ports { http: edge.address.port(), https: https.port() });
        let pebble = Pebble::start(&ports, more, weather).await;
        Self { edge, https, pebble }
    }

    async fn table(
        &self,
        version: u64,
        names: &[&str],
        change: impl FnOnce(&mut mainstay_model::Acme),
    ) -> Table {
        let mut acme = self.pebble.acme();
        change(&mut acme);
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        table(version)
            .route_with("*", "/", "u", |route| route.https = Some(self.https.port()))
            .target("u", "s/u.1", echo("b").await)
            .https(self.https)
            .managed(ManagedCertificate { names, issuer: Issuer::Acme(acme) })
    }

    async fn want(&mut self, names: &[&str], change: impl FnOnce(&mut mainstay_model::Acme)) {
        let next = self.table(1, names, change).await;
        self.edge.apply(next).await;
    }

    async fn until_issued(&mut self) -> CertificateStatus {
        let status = self.edge.until(|status| one(status).is_some_and(|c| c.not_after.is_some())).await;
        one(&status).unwrap().clone()
    }

    /// Where the certificate at hand is kept.
    fn chain(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.edge.dir.path().join("tls")).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|e| e == "pem")).unwrap()
    }

    async fn until_failed(&mut self) -> String {
        let status = self.edge.until(|status| one(status).is_some_and(|c| c.problem.is_some())).await;
        one(&status).unwrap().problem.clone().unwrap()
    }

    /// A request by TLS that trusts the authority's root.
    async fn ask(&self, name: &str) -> (Vec<String>, u16) {
        let config = Authority::trusting(&self.pebble.root().await);
        let mut client = connect(&config, self.https, name).await.unwrap();
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).await;
        (client.shown(), client.response().await.status())
    }

    /// Ends the edge and starts another in its place, with what is on disk changed by `change`.
    async fn restart(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        let sockets = self.edge.control.take_listeners().await.unwrap();
        let version = self.edge.status().await.version;
        self.edge.control.shutdown(Duration::ZERO).await.unwrap();
        self.edge.join();
        let dir = self.edge.dir.path();
        let entries = std::fs::read_dir(dir.join("tls")).unwrap().map(|entry| entry.unwrap().path());
        let is_history = |path: &std::path::PathBuf| {
            path.extension().is_some_and(|e| e == "json")
                && !path.file_name().unwrap().to_string_lossy().starts_with("account-")
        };
        let history = entries.into_iter().find(is_history).expect("a history");
        let mut value = serde_json::from_slice(&std::fs::read(&history).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(&history, value.to_string()).unwrap();
        let text = std::fs::read(dir.join("table.json")).unwrap();
        let mut model: mainstay_model::table::RouteTable = serde_json::from_slice(&text).unwrap();
        model.version = version + 1;
        let thread = start_in(dir);
        let mut control = support::connect(&control_path(dir)).await;
        control.apply(&model, &sockets).await.unwrap();
        self.edge.replace(control, thread);
    }
}

fn one(status: &EdgeStatus) -> Option<&CertificateStatus> {
    status.certificates.first()
}

#[tokio::test]
async fn names_are_proven_by_http_beside_the_redirect() {
    let mut site = Site::start(json!({})).await;
    site.want(&["a.test", "www.a.test"], |_| {}).await;
    let issued = site.until_issued().await;
    assert_eq!(issued.problem, None);
    let (mut names, status) = site.ask("www.a.test").await;
    names.sort();
    assert_eq!((names, status), (vec!["a.test".to_owned(), "www.a.test".to_owned()], 200));
    let moved =
        plain(site.edge.address, "GET /x?y HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
    assert!(moved.starts_with("HTTP/1.1 301 "), "{moved}");
    let place = format!("Location: https://a.test:{}/x?y\r\n", site.https.port());
    assert!(moved.contains(&place), "{moved}");
    let posted = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(plain(site.edge.address, posted).await.starts_with("HTTP/1.1 308 "));
    // Keys and the account are for nobody else.
    for entry in std::fs::read_dir(site.edge.dir.path().join("tls")).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o077;
        let is_history = name.ends_with(".json") && !name.starts_with("account-");
        assert!(mode == 0 || is_history, "{name}: {mode:o}");
    }
}

#[tokio::test]
async fn where_http_does_not_reach_tls_proves_a_name() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut site = Site::with_ports(json!({}), FAIR, |ports| Ports { http: port, ..ports }).await;
    site.want(&["a.test"], |_| {}).await;
    let problem = site.until_failed().await;
    assert!(problem.contains("a.test"), "{problem}");
    // The pause is over, and the next attempt is another way.
    site.restart(|history| history["failures"]["last"] = json!(0)).await;
    site.until_issued().await;
    assert_eq!(site.ask("a.test").await.1, 200);
}

#[tokio::test]
async fn wildcards_are_proven_by_dns() {
    let mut site = Site::start(json!({})).await;
    let program = site.pebble.dns_program().display().to_string();
    site.want(&["a.test", "*.a.test"], |acme| {
        acme.dns = Some(DnsProvider::Exec { command: vec![program] });
    })
    .await;
    site.until_issued().await;
    assert_eq!(site.ask("anything.a.test").await.1, 200);
}

#[tokio::test]
async fn an_account_can_belong_to_another() {
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let more = json!({ "externalAccountBindingRequired": true, "externalAccountMACKeys": { "kid-1": key } });
    let mut site = Site::start(more).await;
    site.want(&["a.test"], |_| {}).await;
    site.until_failed().await;
    let next = site.table(2, &["a.test"], |acme| {
        acme.external_account = Some(ExternalAccount { id: "kid-1".into(), key: Secret::new(key) });
    });
    let next = next.await;
    site.edge.apply(next).await;
    // Another issuer, another certificate: what failed before is not counted against it.
    site.restart(|history| history["failures"] = json!({ "count": 0, "last": 0, "retry_after": null })).await;
    site.until_issued().await;
}

#[tokio::test]
async fn the_authority_says_when_to_renew_and_the_old_is_served_while_it_is_down() {
    let mut site = Site::start(json!({})).await;
    site.want(&["a.test"], |_| {}).await;
    site.until_issued().await;
    let before = site.ask("a.test").await;
    let chain = site.chain();
    let first = std::fs::read_to_string(&chain).unwrap();
    let begin = first.find("-----BEGIN CERTIFICATE").unwrap();
    let end = first[begin..].find("-----END CERTIFICATE-----\n").unwrap() + begin + 26;
    let window =
        json!({ "suggestedWindow": { "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z" } });
    let told = json!({ "Certificate": &first[begin..end], "ARIResponse": window.to_string() });
    site.pebble.manage("POST", "/set-renewal-info/", &told.to_string()).await;
    let root = Authority::trusting(&site.pebble.root().await);

    // Asked anew, it says that the time has come; before it can issue, it is gone.
    site.restart(|history| {
        history["suggestion"] = json!(null);
        history["issued"] = json!(null);
    })
    .await;
    site.edge.until(|status| one(status).is_some_and(|c| c.not_after.is_some())).await;
    while std::fs::read_to_string(&chain).unwrap() == first {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.ask("a.test").await, before);

    site.pebble.go_down().await;
    site.restart(|history| {
        *history = json!({
            "failures": { "count": 0, "last": 0, "retry_after": null },
            "suggestion": { "window": [1, 2], "asked": 4_000_000_000_u64, "good_for": 1 },
        });
    })
    .await;
    let problem = site.until_failed().await;
    assert!(problem.contains("cannot reach localhost"), "{problem}");
    let client = connect(&root, site.https, "a.test").await.unwrap();
    assert_eq!(client.shown(), ["a.test"]);
}

#[tokio::test]
async fn an_authority_that_is_slow_forgetful_and_hard_to_please_is_got_along_with() {
    let weather = Weather { bad_nonces: 20, longest_look: Some(2), reused: 0 };
    let mut site = Site::with_ports(json!({}), weather, |ports| ports).await;
    site.want(&["a.test", "b.test", "www.a.test"], |_| {}).await;
    site.until_issued().await;
    assert_eq!(site.ask("b.test").await.1, 200);
}

#[tokio::test]
async fn a_revoked_certificate_is_replaced() {
    let mut site = Site::start(json!({})).await;
    site.want(&["a.test"], |_| {}).await;
    site.until_issued().await;
    let chain = site.chain();
    let first = std::fs::read_to_string(&chain).unwrap();
    site.pebble.revoke(site.edge.dir.path(), &first).await;
    // Some hours later it is asked again, and then it says so.
    site.restart(|history| {
        history["suggestion"] = json!(null);
        history["issued"] = json!(null);
    })
    .await;
    while std::fs::read_to_string(&chain).unwrap() == first {
        tokio::task::yield_now().await;
    }
    site.edge.until(|status| one(status).is_some_and(|c| c.problem.is_none() && c.not_after.is_some())).await;
    assert_eq!(site.ask("a.test").await.1, 200);
    // The new one is good, and stays.
    let second = std::fs::read_to_string(&chain).unwrap();
    site.restart(|history| history["suggestion"] = json!(null)).await;
    let text = || std::fs::read_to_string(chain.with_extension("json")).unwrap();
    while !text().contains("window") {
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(&chain).unwrap(), second);
}

#[tokio::test]
async fn an_authority_of_ones_own_issues_what_no_other_would() {
    let mut edge = Edge::start().await;
    let https = edge.another_listener();
    let wanted = ManagedCertificate { names: vec!["box".into(), "db.lan".into()], issuer: Issuer::Internal };
    let next = table(1).route("*", "/", "u").target("u", "s/u.1", echo("b").await);
    edge.apply(next.https(https).managed(wanted)).await;
    edge.until(|status| one(status).is_some_and(|c| c.not_after.is_some())).await;
    let root = std::fs::read_to_string(edge.dir.path().join("tls/root.pem")).unwrap();
    let client = connect(&Authority::trusting(&root), https, "db.lan").await.unwrap();
    assert_eq!(client.shown(), ["box", "db.lan"]);
}
