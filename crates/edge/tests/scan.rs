//! What scanners of TLS servers have to say, by others: testssl.sh, and OpenSSL where its own eyes are better. Both are
//! installed by `testkit/env/setup`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use mainstay_model::{HeaderRules, Preset};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use support::tls::Authority;
use support::{Edge, echo, table};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Everything testssl.sh looks for but each single cipher and simulated clients, which find nothing that the others do not
/// and take two minutes; and client-initiated renegotiation, which it tells by a time-out and OpenSSL at once.
const CHECKS: &str = "-p -s -f -P -S -h -H -I -T -BB -C -B -O -Z -W -A -L -F -J -D -4";

/// What it objects to and is meant so, or is about this test.
const MEANT: [&str; 5] = [
    // All that is offered is strong: then clients know best what they are quick at (Mozilla's guideline, nginx's default).
    "cipher_order",
    // Its OpenSSL says goodbye before the ticket has come; ours waits, below.
    "sessionresumption_ticket",
    // The certificate is the test's own.
    "cert_validityPeriod",
    "cert_revocation",
    // Of the machine it runs on.
    "engine_problem",
];

struct Site {
    _edge: Edge,
    address: SocketAddr,
    root: PathBuf,
    report: PathBuf,
}

impl Site {
    async fn start() -> Self {
        let authority = Authority::new();
        let mut edge = Edge::start().await;
        let address = edge.another_listener();
        let files = authority.issue_through_another(edge.dir.path(), "a", &["localhost"]);
        let other = authority.issue_through_another(edge.dir.path(), "b", &["b.test"]);
        let strict = HeaderRules { preset: Some(Preset::Strict), ..HeaderRules::default() };
        let next = table(1)
            .route_with("localhost", "/", "u", |route| route.policy.headers = Some(strict))
            .target("u", "s/u.1", echo("b").await);
        edge.apply(next.https(address).certificate(&files).certificate(&other)).await;
        let (root, report) = (edge.dir.path().join("root.pem"), edge.dir.path().join("report.json"));
        std::fs::write(&root, authority.root_pem()).unwrap();
        Self { _edge: edge, address, root, report }
    }

    /// What `openssl s_client` says that trusts the root, asks for `name`, and sends `input`.
    async fn openssl(&self, name: &str, more: &str, input: &str) -> String {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &self.address.to_string(), "-servername", name, "-CAfile"]);
        command.arg(&self.root).args(more.split_ascii_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl is on the path");
        let mut stdin = child.stdin.take().unwrap();
        // It may have ended already.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

#[tokio::test]
async fn a_scanner_finds_nothing_weak() {
    let site = Site::start().await;
    let mut scan = Command::new("testssl");
    scan.args(["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"]);
    scan.args(CHECKS.split(' ')).arg("--add-ca").arg(&site.root).arg("--jsonfile").arg(&site.report);
    scan.arg(format!("localhost:{}", site.address.port())).stdin(Stdio::null());
    let output = scan.output().await.expect("testssl is on the path: see testkit/env/setup");
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Vec<Value> = serde_json::from_slice(&std::fs::read(&site.report).unwrap()).unwrap();
    let of = |id: &str| report.iter().find(|finding| finding["id"] == id).map(|finding| &finding["severity"]);
    for id in [
        "SSLv3",
        "TLS1_3",
        "cipherlist_STRONG",
        "PFS",
        "heartbleed",
        "ROBOT",
        "HSTS_time",
        "cert_chain_of_trust",
    ] {
        assert_eq!(of(id), Some(&Value::from("OK")), "{id}: {text}");
    }
    let is_fine = |finding: &&Value| matches!(finding["severity"].as_str(), Some("OK" | "INFO" | "DEBUG"));
    let weak = report.iter().filter(|finding| !is_fine(finding));
    let weak: Vec<_> = weak.filter(|f| !MEANT.contains(&f["id"].as_str().unwrap_or_default())).collect();
    assert_eq!(weak, Vec::<&Value>::new(), "{text}");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn openssl_resumes_its_sessions() {
    let site = Site::start().await;
    let kept = site.root.with_extension("session").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let first = site.openssl("localhost", &format!("{version} -ign_eof -sess_out {kept}"), GET).await;
        assert!(first.contains("\nNew, TLSv1.") && first.contains("HTTP/1.1 200 OK"), "{first}");
        let again = site.openssl("localhost", &format!("{version} -ign_eof -sess_in {kept}"), GET).await;
        assert!(again.contains("\nReused, TLSv1.") && again.contains("HTTP/1.1 200 OK"), "{again}");
        assert!(first.contains("Compression: NONE") && !first.contains("Early data was accepted"), "{first}");
    }
}

#[tokio::test]
async fn openssl_may_not_negotiate_again() {
    let site = Site::start().await;
    let told = site.openssl("localhost", "-tls1_2", "R\n").await;
    assert!(told.contains("RENEGOTIATING") && told.contains("no renegotiation"), "{told}");
}

#[tokio::test]
async fn the_chain_comes_in_its_order_and_without_its_root() {
    let site = Site::start().await;
    let told = site.openssl("localhost", "-showcerts -status -verify_return_error", "").await;
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    let subjects: Vec<_> = told.lines().filter(|line| line.trim_start().contains(" s:")).collect();
    assert_eq!(subjects.len(), 2, "{told}");
    assert!(
        subjects[0].contains("0 s:CN = rcgen") && subjects[1].contains("1 s:CN = another authority"),
        "{told}"
    );
    assert!(told.contains("OCSP response: no response sent"), "{told}");
}

#[tokio::test]
async fn what_is_old_or_weak_is_refused() {
    let site = Site::start().await;
    // Whether it is the client that does not speak it would make the test worthless: it is let to.
    for old in ["-tls1", "-tls1_1", "-tls1_2 -cipher AES128-SHA:AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384"]
    {
        let told = site.openssl("localhost", &format!("{old} -cipher ALL:@SECLEVEL=0"), "").await;
        let told = if old.starts_with("-tls1_2") { site.openssl("localhost", old, "").await } else { told };
        assert!(told.contains("alert") && told.contains("Cipher is (NONE)"), "{old}: {told}");
    }
    for curve in ["X448", "P-521", "ffdhe2048"] {
        let told = site.openssl("localhost", &format!("-tls1_3 -groups {curve}"), "").await;
        assert!(told.contains("alert handshake failure"), "{curve}: {told}");
    }
    // Who asks for nobody we know gets the first certificate, and can see that it does not fit.
    let told = site.openssl("stranger.test", "-verify_hostname stranger.test", "").await;
    assert!(told.contains("hostname mismatch") && told.contains("s:CN = another authority"), "{told}");
    let told = site.openssl("b.test", "-verify_hostname b.test", "").await;
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    let told = site.openssl("localhost", "-alpn http/1.0,spdy/3", "").await;
    assert!(told.contains("alert no application protocol"), "{told}");
}
