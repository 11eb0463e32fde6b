//! A certificate authority of the test's own: Let's Encrypt's Pebble, and the name server it asks.
//!
//! `testkit/env/setup` installs both.

use super::tls::Authority;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{Account, BodyWrapper, BytesResponse, HttpClient, RevocationRequest};
use mainstay_model::{Acme, CertificateFiles};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Where the edge listens, so that Pebble knows where to ask.
pub struct Ports {
    pub http: u16,
    pub https: u16,
}

/// What an authority makes one put up with.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Nonces that it refuses, of a hundred.
    pub bad_nonces: u8,
    /// Seconds that it may take to look at a proof.
    pub longest_look: Option<u8>,
    /// Proofs that it remembers, of a hundred.
    pub reused: u8,
}

/// As it is most of the time.
pub const FAIR: Weather = Weather { bad_nonces: 30, longest_look: None, reused: 50 };

pub struct Pebble {
    weather: Weather,
    pub dir: TempDir,
    directory: u16,
    management: u16,
    names: u16,
    own: Authority,
    files: CertificateFiles,
    config: PathBuf,
    pebble: Option<Child>,
    _names: Child,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

impl Pebble {
    /// Starts it; `more` is added to its settings.
    pub async fn start(ports: &Ports, more: serde_json::Value, weather: Weather) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = Authority::new();
        let files = own.issue(dir.path(), "pebble", &["localhost"]);
        std::fs::write(dir.path().join("roots.pem"), own.root_pem()).unwrap();
        let (directory, management, names, dns) = (free_port(), free_port(), free_port(), free_port());
        let address = |port| format!("127.0.0.1:{port}");
        let mut settings = json!({
            "listenAddress": address(directory),
            "managementListenAddress": address(management),
            "certificate": files.cert, "privateKey": files.key,
            "httpPort": ports.http, "tlsPort": ports.https,
            "profiles": { "default": { "description": "", "validityPeriod": 90 * 86_400 } },
        });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config = dir.path().join("pebble.json");
        std::fs::write(&config, json!({ "pebble": settings }).to_string()).unwrap();
        let mut name_server = quiet("pebble-challtestsrv")
            .args(["-management", &address(names), "-dnsserver", &address(dns), "-defaultIPv6", ""])
            .args(["-defaultIPv4", "127.0.0.1", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""])
            .spawn()
            .expect("pebble-challtestsrv is on the path: see testkit/env/setup");
        reachable(names, &mut name_server).await;
        let mut this = Self {
            weather,
            dir,
            directory,
            management,
            names,
            own,
            files,
            config,
            pebble: None,
            _names: name_server,
        };
        std::fs::write(this.dir.path().join("dns"), dns.to_string()).unwrap();
        this.come_up().await;
        this
    }

    /// Starts it, when it was down. It remembers nothing.
    pub async fn come_up(&mut self) {
        let dns = std::fs::read_to_string(self.dir.path().join("dns")).unwrap();
        let Weather { bad_nonces, longest_look, reused } = self.weather;
        let mut pebble = quiet("pebble");
        pebble.arg("-config").arg(&self.config).args(["-dnsserver", &format!("127.0.0.1:{dns}")]);
        pebble.env("PEBBLE_WFE_NONCEREJECT", bad_nonces.to_string());
        pebble.env("PEBBLE_AUTHZREUSE", reused.to_string());
        match longest_look {
            None => pebble.env("PEBBLE_VA_NOSLEEP", "1"),
            Some(seconds) => pebble.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
        };
        let mut pebble = pebble.spawn().expect("pebble is on the path: see testkit/env/setup");
        reachable(self.directory, &mut pebble).await;
        reachable(self.management, &mut pebble).await;
        self.pebble = Some(pebble);
    }

    /// Revokes the first certificate of `chain`, as the account that the edge in `dir` has.
    pub async fn revoke(&self, dir: &Path, chain: &str) {
        let entries = std::fs::read_dir(dir.join("tls")).unwrap().map(|entry| entry.unwrap().path());
        let is_account = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("account-");
        let account = std::fs::read(entries.into_iter().find(is_account).unwrap()).unwrap();
        let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let config = self.own.client(&["http/1.1"], &[&rustls::version::TLS13]);
        let address = SocketAddr::from(([127, 0, 0, 1], self.directory));
        let builder = Account::builder_with_http(Box::new(Asker { config, address }));
        let account = builder.from_credentials(serde_json::from_slice(&account).unwrap()).await.unwrap();
        let request = RevocationRequest { certificate: &certificate, reason: None };
        // It may not like the nonce.
        while let Err(error) = account.revoke(&request).await {
            assert!(error.to_string().contains("badNonce"), "{error}");
        }
    }

    pub async fn go_down(&mut self) {
        self.pebble.take().unwrap().kill().await.unwrap();
    }

    pub fn acme(&self) -> Acme {
        Acme {
            directory: format!("https://localhost:{}/dir", self.directory),
            email: Some("admin@a.test".into()),
            external_account: None,
            dns: None,
            trust: Some(self.dir.path().join("roots.pem")),
        }
    }

    /// The root of what it issues.
    pub async fn root(&self) -> String {
        self.manage("GET", "/roots/0", "").await
    }

    /// A request to its management address.
    pub async fn manage(&self, method: &str, path: &str, body: &str) -> String {
        let config = self.own.client(&["http/1.1"], &[&rustls::version::TLS13]);
        let address = SocketAddr::from(([127, 0, 0, 1], self.management));
        let mut client = super::tls::connect(&config, address, "localhost").await.unwrap();
        client.send(request(method, path, body)).await;
        let response = client.response().await;
        assert_eq!(response.status(), 200, "{}: {}", response.head, response.text());
        response.text()
    }

    /// A program that sets and unsets TXT records with the name server.
    pub fn dns_program(&self) -> PathBuf {
        let path = self.dir.path().join("hook");
        let script = format!(
            "#!/bin/sh\ncase $1 in set) what=set-txt ;; unset) what=clear-txt ;; *) exit 2 ;; esac\n\
             exec curl -fsS -o /dev/null -d \"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\" \
             http://127.0.0.1:{}/$what\n",
            self.names
        );
        write_program(&path, &script);
        path
    }

    pub fn certificate(&self) -> &CertificateFiles {
        &self.files
    }
}

/// Asks its directory for what an edge never does.
struct Asker {
    config: Arc<ClientConfig>,
    address: SocketAddr,
}

impl HttpClient for Asker {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let (config, address) = (self.config.clone(), self.address);
        Box::pin(async move {
            let stream = super::tls::connect(&config, address, "localhost").await.unwrap().stream;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let (mut parts, body) = request.into_parts();
            parts.headers.insert("host", format!("localhost:{}", address.port()).parse().unwrap());
            parts.uri = parts.uri.path().parse().unwrap();
            let body = body.collect().await.unwrap().to_bytes();
            let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await.unwrap();
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Ok(BytesResponse::from(Response::from_parts(parts, Full::new(body))))
        })
    }
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Waits until `child` listens.
async fn reachable(port: u16, child: &mut Child) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended at its start");
        tokio::task::yield_now().await;
    }
}

/// What a plain request gets, for tests that look at port 80.
pub async fn plain(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    all
}
