//! A running edge, hand-made backends and a raw client, so that tests read as what happens on the wire.
//!
//! Nothing here waits by sleeping: things are waited for by reading sockets or asking the edge.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

pub mod cases;
pub mod hyper;
pub mod load;
pub mod pebble;
pub mod server;
pub mod tls;

use mainstay_edge::control::Client as Control;
use mainstay_edge::{Config, Error, listen, run};
use mainstay_model::table::{
    Draining, EdgeStatus, Listener, ListenerKind, Passthrough, RouteTable, TableRoute, Target, Upstream,
};
use mainstay_model::{CertificateFiles, HostPattern, ManagedCertificate, RoutePolicy, Timestamp};
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A table under construction.
pub struct Table(pub RouteTable);

pub fn table(version: u64) -> Table {
    Table(RouteTable { version, ..RouteTable::default() })
}

impl Table {
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.0.listeners.push(Listener { address, kind: ListenerKind::Http, proxied: false });
        self
    }

    pub fn https(mut self, address: SocketAddr) -> Self {
        self.0.listeners.push(Listener {
            address,
            kind: ListenerKind::Https { http3: false },
            proxied: false,
        });
        self
    }

    /// The last listener is behind a load balancer.
    pub fn proxied(mut self) -> Self {
        self.0.listeners.last_mut().unwrap().proxied = true;
        self
    }

    pub fn certificate(mut self, files: &CertificateFiles) -> Self {
        self.0.tls.files.push(files.clone());
        self
    }

    pub fn managed(mut self, certificate: ManagedCertificate) -> Self {
        self.0.tls.managed.push(certificate);
        self
    }

    pub fn tcp(mut self, address: SocketAddr, upstream: &str) -> Self {
        self.0.listeners.push(Listener {
            address,
            kind: ListenerKind::Tcp { upstream: upstream.into() },
            proxied: false,
        });
        self
    }

    pub fn sni(mut self, address: SocketAddr) -> Self {
        self.0.listeners.push(Listener { address, kind: ListenerKind::Sni, proxied: false });
        self
    }

    /// TLS for `host` is passed on, on one listener or wherever TLS is spoken.
    pub fn passthrough(mut self, on: Option<SocketAddr>, host: &str, upstream: &str) -> Self {
        let host = HostPattern::try_from(host.to_owned()).unwrap();
        self.0.passthrough.push(Passthrough { on, host, upstream: upstream.into() });
        self
    }

    pub fn route(self, host: &str, path: &str, upstream: &str) -> Self {
        self.route_with(host, path, upstream, |_| {})
    }

    pub fn route_with(
        mut self,
        host: &str,
        path: &str,
        upstream: &str,
        change: impl FnOnce(&mut TableRoute),
    ) -> Self {
        let mut route = TableRoute {
            host: HostPattern::try_from(host.to_owned()).unwrap(),
            path: path.into(),
            upstream: Some(upstream.into()),
            site: String::new(),
            https: None,
            policy: RoutePolicy::default(),
        };
        change(&mut route);
        self.0.routes.push(route);
        self
    }

    pub fn upstream(&mut self, key: &str) -> &mut Upstream {
        self.0.upstreams.entry(key.into()).or_default()
    }

    pub fn target(self, key: &str, instance: &str, address: impl ToString) -> Self {
        let mut this = self;
        this.upstream(key).targets.push(target(instance, address));
        this
    }

    pub fn draining(self, key: &str, instance: &str, address: impl ToString, until: Timestamp) -> Self {
        let mut this = self;
        this.upstream(key).draining.push(Draining { target: target(instance, address), until });
        this
    }

    pub fn hold(self, key: &str, until: Timestamp) -> Self {
        let mut this = self;
        this.upstream(key).hold_until = Some(until);
        this
    }

    pub fn empty_upstream(self, key: &str) -> Self {
        let mut this = self;
        this.upstream(key);
        this
    }
}

fn target(instance: &str, address: impl ToString) -> Target {
    Target { instance: instance.into(), address: address.to_string(), weight: None, is_backup: false }
}

/// The wall clock, so many milliseconds from now.
pub fn in_ms(ms: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(now.as_millis() as u64) + Duration::from_millis(ms)
}

/// An edge in a thread of this process.
pub struct Edge {
    pub control: Control,
    /// Its HTTP listener, on a port nobody else has.
    pub address: SocketAddr,
    pub dir: TempDir,
    pub sockets: Vec<(SocketAddr, Vec<OwnedFd>)>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

pub const WORKERS: usize = 2;

impl Edge {
    /// Starts an edge without a table.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let thread = start_in(dir.path());
        let control = connect(&control_path(dir.path())).await;
        let (address, sockets) = listener();
        Self { control, address, dir, sockets: vec![(address, sockets)], thread: Some(thread) }
    }

    /// Starts an edge with this table, to which its HTTP listener is added.
    pub async fn with(table: Table) -> Self {
        let mut edge = Self::start().await;
        edge.apply(table).await;
        edge
    }

    pub async fn apply(&mut self, table: Table) {
        self.try_apply(table).await.unwrap();
    }

    pub async fn try_apply(&mut self, table: Table) -> Result<(), mainstay_edge::control::ControlError> {
        let table = table.http(self.address);
        let sockets = std::mem::take(&mut self.sockets);
        self.control.apply(&table.0, &sockets).await
    }

    /// Another listening address, passed with the next table.
    pub fn another_listener(&mut self) -> SocketAddr {
        let (address, sockets) = listener();
        self.sockets.push((address, sockets));
        address
    }

    pub async fn status(&mut self) -> EdgeStatus {
        self.control.status().await.unwrap()
    }

    /// Asks until the status is as wanted.
    pub async fn until(&mut self, wanted: impl Fn(&EdgeStatus) -> bool) -> EdgeStatus {
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub async fn get(&self, host: &str, path: &str) -> Response {
        let mut client = self.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        client.response().await
    }

    /// Ends it and says how it ended.
    pub async fn end(mut self, grace: Duration) -> TempDir {
        self.control.shutdown(grace).await.unwrap();
        self.join();
        let fresh = tempfile::tempdir().unwrap();
        std::mem::replace(&mut self.dir, fresh)
    }

    /// Another process in its place, which was started in its directory.
    pub fn replace(&mut self, control: Control, thread: JoinHandle<Result<(), Error>>) {
        self.control = control;
        self.thread = Some(thread);
    }

    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

/// Bound sockets on a free port of the loopback interface.
pub fn listener() -> (SocketAddr, Vec<OwnedFd>) {
    let sockets = listen::bind("127.0.0.1:0".parse().unwrap(), WORKERS).unwrap();
    let first = std::net::TcpListener::from(sockets[0].try_clone().unwrap());
    (first.local_addr().unwrap(), sockets)
}

pub fn control_path(dir: &Path) -> PathBuf {
    dir.join("edge.sock")
}

pub fn start_in(dir: &Path) -> JoinHandle<Result<(), Error>> {
    let config =
        Config { control: control_path(dir), table: dir.join("table.json"), workers: WORKERS, user: None };
    std::thread::spawn(move || run(config))
}

/// Connects as soon as the edge listens.
pub async fn connect(path: &Path) -> Control {
    loop {
        match Control::connect(path).await {
            Ok(control) => return control,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Starts a backend; `serve` gets each of its connections.
pub async fn backend<F>(serve: impl Fn(Client) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(Client { stream, buffer: Vec::new() }));
        }
    });
    address
}

/// A backend that answers every request with `name` and the request it got.
pub async fn echo(name: &'static str) -> SocketAddr {
    backend(move |mut client| async move {
        while let Some(request) = client.try_request().await {
            let text = format!("{name}\n{}\n{}", request.head, String::from_utf8_lossy(&request.body));
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await;
        }
    })
    .await
}

/// A backend that sends the same bytes to each request and then, if `close`, closes.
pub async fn replying(bytes: impl Into<Vec<u8>>, close: bool) -> SocketAddr {
    let bytes = bytes.into();
    backend(move |mut client| {
        let bytes = bytes.clone();
        async move {
            while client.try_request().await.is_some() {
                client.send(&bytes).await;
                if close {
                    return;
                }
            }
        }
    })
    .await
}

/// One end of a connection, with what has arrived on it.
pub struct Client<S = TcpStream> {
    pub stream: S,
    pub buffer: Vec<u8>,
}

/// A message from a backend's or a client's view.
#[derive(Debug)]
pub struct Message {
    /// First line and fields.
    pub head: String,
    pub body: Vec<u8>,
}

pub type Response = Message;

impl Message {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Sends; a peer that has gone is no failure here, reading will tell.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends back whatever comes, to its end.
    pub async fn give_back(&mut self) {
        loop {
            let bytes = std::mem::take(&mut self.buffer);
            self.send(bytes).await;
            if self.more().await == 0 {
                return;
            }
        }
    }

    /// Reads some more; 0 at the end.
    pub async fn more(&mut self) -> usize {
        let mut piece = vec![0; 64 * 1024];
        let count = self.stream.read(&mut piece).await.unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..count]);
        count
    }

    pub async fn until_contains(&mut self, text: &str) {
        while !self.buffer.windows(text.len()).any(|w| w == text.as_bytes()) {
            assert_ne!(
                self.more().await,
                0,
                "ended before {text:?}: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Everything until the peer ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.buffer)
    }

    /// Whether the peer has ended and sent nothing more.
    pub async fn at_end(&mut self) -> bool {
        self.buffer.is_empty() && self.more().await == 0
    }

    /// The next head, or none when the peer ended before.
    pub async fn try_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                let head = std::mem::replace(&mut self.buffer, rest);
                return Some(String::from_utf8_lossy(&head[..end]).into_owned());
            }
            if self.more().await == 0 {
                return None;
            }
        }
    }

    pub async fn try_request(&mut self) -> Option<Message> {
        let head = self.try_head().await?;
        self.body(head, false).await
    }

    pub async fn response(&mut self) -> Response {
        let head = self.try_head().await.expect("a response");
        self.body(head, true).await.expect("a whole body")
    }

    /// The response to a HEAD request.
    pub async fn response_without_body(&mut self) -> Response {
        Message { head: self.try_head().await.expect("a response"), body: Vec::new() }
    }

    pub async fn body(&mut self, head: String, is_response: bool) -> Option<Message> {
        let mut message = Message { head, body: Vec::new() };
        if message.value("transfer-encoding") == Some("chunked") {
            message.body = self.chunks().await?;
        } else if let Some(length) = message.value("content-length") {
            let length: usize = length.parse().ok()?;
            while self.buffer.len() < length {
                if self.more().await == 0 {
                    return None;
                }
            }
            let rest = self.buffer.split_off(length);
            message.body = std::mem::replace(&mut self.buffer, rest);
        } else if is_response && !matches!(message.status(), 101 | 100 | 204 | 304) {
            message.body = self.rest().await;
        }
        Some(message)
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let rest = self.buffer.split_off(end + 2);
                let line = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8(line[..end].to_vec()).ok();
            }
            if self.more().await == 0 {
                return None;
            }
        }
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16).ok()?;
            if size == 0 {
                assert_eq!(self.line().await?, "", "the edge sends no trailers");
                return Some(body);
            }
            while self.buffer.len() < size + 2 {
                if self.more().await == 0 {
                    return None;
                }
            }
            let rest = self.buffer.split_off(size + 2);
            body.extend_from_slice(&self.buffer[..size]);
            self.buffer = rest;
        }
    }
}
