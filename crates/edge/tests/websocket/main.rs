//! WebSockets through the edge, as Autobahn's suite has it: whatever a client does, over HTTP/1.1, TLS and HTTP/2
//! (RFC 8441), well or badly, whole or octet by octet, it gets the bytes that it gets from the server itself. The server is
//! uvicorn with each of its implementations; `testkit/env/setup` installs it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]
#![allow(clippy::cast_possible_truncation, reason = "lengths are checked where they are written")]

mod cases;
#[path = "../support/mod.rs"]
mod support;

use bytes::Bytes;
use cases::{Case, End, Step, cases};
use h2::client::{Builder, SendRequest};
use http::Request;
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::server::Server;
use support::tls::{Authority, connect};
use support::{Client, Edge, table};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Cases up to this size are sent octet by octet too.
const SMALL: usize = 400;

/// What a client got: the handshake's answer, as far as it must not differ, and everything after it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    is_open: bool,
    extensions: Option<String>,
    protocol: Option<String>,
    /// To HTTP/2, the answer to its key would mean nothing.
    accept: Option<String>,
    received: Vec<u8>,
}

impl Got {
    fn without_key(self) -> Self {
        Self { accept: None, ..self }
    }
}

/// Sends in one piece, or octet by octet.
#[derive(Debug, Clone, Copy)]
enum Pace {
    Whole,
    Octets,
}

async fn server(implementation: &str) -> Server {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/servers");
    Server::start("uvicorn", |command, _, address| {
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string(), "--ws", implementation]);
        // It says nothing of its own accord while this runs.
        command.args(["--ws-ping-interval", "3600", "--log-level", "critical", "--app-dir"]);
        command.arg(sources).arg("websocket:app").env("PYTHONDONTWRITEBYTECODE", "1");
    })
    .await
}

/// All that comes, while the steps of a case are done. `received` is what has come already.
async fn converse<S: AsyncRead + AsyncWrite>(
    stream: S,
    case: &Case,
    pace: Pace,
    mut received: Vec<u8>,
) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut replies = 0;
    for Step { sent, replies: more } in &case.steps {
        replies += more;
        tokio::join!(send(&mut writer, sent, pace), receive(&mut reader, &mut received, replies));
    }
    if case.end == End::HalfClose {
        // A server that has ended does not hear it.
        let _ = writer.shutdown().await;
    }
    receive(&mut reader, &mut received, usize::MAX).await;
    received
}

/// A server that has ended does not take everything.
async fn send(writer: &mut (impl AsyncWrite + Unpin), sent: &[u8], pace: Pace) {
    let step = match pace {
        Pace::Whole => sent.len().max(1),
        Pace::Octets => 1,
    };
    for piece in sent.chunks(step) {
        if writer.write_all(piece).await.is_err() || writer.flush().await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Reads until so many frames have come, or the end; how it ends is the transport's business.
async fn receive(reader: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>, replies: usize) {
    let mut piece = vec![0; 64 * 1024];
    while frames(received) < replies {
        match reader.read(&mut piece).await {
            Ok(count @ 1..) => received.extend_from_slice(&piece[..count]),
            Ok(0) | Err(_) => return,
        }
    }
}

/// How many whole frames these are, which a server sends without a mask.
fn frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [_, length, rest @ ..] = bytes {
        let extended = match length {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((long, payload)) = rest.split_at_checked(extended) else { break };
        let long = long.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let length = if extended == 0 { usize::from(*length) } else { long };
        let Some(next) = payload.get(length..) else { break };
        (bytes, count) = (next, count + 1);
    }
    count
}

/// The case in a connection that speaks HTTP/1.1.
async fn by_http1<S: AsyncRead + AsyncWrite + Unpin>(stream: S, case: &Case, pace: Pace) -> Got {
    let mut client = Client { stream, buffer: Vec::new() };
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
        case.fields
    );
    client.send(head).await;
    let head = client.try_head().await.expect("an answer");
    let message = support::Message { head, body: Vec::new() };
    let value = |name: &str| message.value(name).map(str::to_owned);
    let mut got = Got {
        is_open: message.status() == 101,
        extensions: value("sec-websocket-extensions"),
        protocol: value("sec-websocket-protocol"),
        accept: value("sec-websocket-accept"),
        received: std::mem::take(&mut client.buffer),
    };
    got.received = converse(client.stream, case, pace, got.received).await;
    got
}

/// The case in a stream of its own on a connection that speaks HTTP/2.
async fn by_http2(sender: &SendRequest<Bytes>, case: &Case, pace: Pace) -> Got {
    let mut request = Request::builder().method("CONNECT").uri("https://a.test/ws");
    request = request.header("sec-websocket-version", "13");
    for field in case.fields.lines() {
        let (name, value) = field.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let mut sender = sender.clone().ready().await.unwrap();
    let (answer, up) = sender.send_request(request, false).unwrap();
    let answer = answer.await.unwrap();
    let value = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut got = Got {
        is_open: answer.status() == 200,
        extensions: value("sec-websocket-extensions"),
        protocol: value("sec-websocket-protocol"),
        accept: value("sec-websocket-accept"),
        received: Vec::new(),
    };
    let stream = support::load::joined(up, answer.into_body());
    got.received = converse(stream, case, pace, Vec::new()).await;
    got
}

/// The edge in front of a server, and the ways to it.
struct Site {
    edge: Edge,
    https: SocketAddr,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Site {
    async fn to(server: SocketAddr) -> Self {
        let authority = Authority::new();
        let mut edge = Edge::start().await;
        let https = edge.another_listener();
        let files = authority.issue(edge.dir.path(), "a", &["a.test"]);
        let next = table(1).route("a.test", "/", "u").target("u", "s/u.1", server);
        edge.apply(next.https(https).certificate(&files)).await;
        let config = |alpn: &[&str]| authority.client(alpn, &[&rustls::version::TLS13]);
        Self { edge, https, http1: config(&["http/1.1"]), http2: config(&["h2"]) }
    }

    async fn speak_http2(&self) -> SendRequest<Bytes> {
        let secure = connect(&self.http2, self.https, "a.test").await.unwrap();
        let mut builder = Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
        let (mut sender, connection) = builder.handshake(secure.stream).await.unwrap();
        tokio::spawn(connection);
        while !sender.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
            sender = sender.ready().await.unwrap();
        }
        sender
    }
}

async fn plain(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Both in a form that can be read when they differ.
fn same(what: &str, case: &Case, pace: Pace, through: &Got, directly: &Got) {
    let short = |got: &Got| {
        let bytes = &got.received[..got.received.len().min(200)];
        format!("{got:?}", got = Got { received: bytes.to_vec(), ..got.clone() })
            + &format!(" of {}", got.received.len())
    };
    assert!(
        through == directly,
        "{}, {what}, {pace:?}:\n{}\ninstead of\n{}",
        case.name,
        short(through),
        short(directly)
    );
}

/// Longest that one case may take on any machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

async fn in_time(what: &str, case: &Case, got: impl Future<Output = Got>) -> Got {
    match tokio::time::timeout(PATIENCE, got).await {
        Ok(got) => got,
        Err(_) => panic!("{}, {what}: it does not end", case.name),
    }
}

async fn examine(implementation: &str) {
    let server = server(implementation).await;
    let mut site = Site::to(server.address).await;
    let http2 = site.speak_http2().await;
    let (mut opened, mut answered) = (0, 0);
    for case in cases() {
        let paces = if case.size() <= SMALL { &[Pace::Whole, Pace::Octets][..] } else { &[Pace::Whole] };
        let stream = plain(server.address).await;
        let directly = in_time("directly", &case, by_http1(stream, &case, Pace::Whole)).await;
        opened += usize::from(directly.is_open);
        answered += usize::from(!directly.received.is_empty());
        for pace in paces {
            let stream = plain(site.edge.address).await;
            let got = in_time("HTTP/1.1", &case, by_http1(stream, &case, *pace)).await;
            same("HTTP/1.1", &case, *pace, &got, &directly);
            let secure = connect(&site.http1, site.https, "a.test").await.unwrap();
            let got = in_time("TLS", &case, by_http1(secure.stream, &case, *pace)).await;
            same("TLS", &case, *pace, &got, &directly);
            let got = in_time("HTTP/2", &case, by_http2(&http2, &case, *pace)).await;
            same("HTTP/2", &case, *pace, &got, &directly.clone().without_key());
        }
    }
    assert!(
        opened > 180 && answered > 100,
        "{opened} opened, {answered} answered: the server does not do its part"
    );
    drop(http2);
    site.edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn websockets_is_seen_as_it_is() {
    examine("websockets-sansio").await;
}

#[tokio::test]
async fn wsproto_is_seen_as_it_is() {
    examine("wsproto").await;
}
