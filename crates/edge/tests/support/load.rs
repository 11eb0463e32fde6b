//! Clients that ask all the time, each kind in its own way, and write down what they saw. Nothing is tried twice: whatever
//! fails has failed.

use super::tls::{Authority, connect};
use super::{Client, Edge};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;

/// Between two requests of one client, so that what is tested has the larger part of the machine.
const PACE: Duration = Duration::from_millis(2);
/// Requests that an HTTP/2 client has open at once.
const STREAMS: usize = 4;

/// How a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A connection for each request.
    New,
    /// One connection for as long as the edge keeps it.
    Kept,
    /// The same with bodies of 64 KiB.
    Upload,
    /// A TLS connection for each request.
    NewTls,
    Http2,
    WebSocket,
    /// The same over TLS.
    WebSocketTls,
    /// The same in a stream of HTTP/2.
    WebSocketHttp2,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::Kept,
        Self::Upload,
        Self::NewTls,
        Self::Http2,
        Self::WebSocket,
        Self::WebSocketTls,
        Self::WebSocketHttp2,
    ];
}

/// What all clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Answered requests, echoed frames.
    pub answered: BTreeMap<Kind, AtomicU64>,
    pub failures: Mutex<Vec<String>>,
    /// How long WebSockets lived that were told to go.
    pub told_to_go: Mutex<Vec<Duration>>,
    /// TLS handshakes.
    pub full: AtomicU64,
    pub resumed: AtomicU64,
}

impl Seen {
    pub fn count(&self, kind: Kind) -> u64 {
        self.answered[&kind].load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }
}

/// Clients at work.
pub struct Load {
    pub seen: Arc<Seen>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

/// What a client needs.
#[derive(Clone)]
struct Asker {
    kind: Kind,
    http: SocketAddr,
    https: SocketAddr,
    tls: Arc<ClientConfig>,
    seen: Arc<Seen>,
    over: Arc<AtomicBool>,
}

impl Load {
    /// One client of each kind, against an edge that has a certificate of `authority` for `a.test`.
    pub fn begin(edge: &Edge, https: SocketAddr, authority: &Authority) -> Self {
        let answered = Kind::ALL.into_iter().map(|kind| (kind, AtomicU64::new(0))).collect();
        let seen = Arc::new(Seen { answered, ..Seen::default() });
        let over = Arc::new(AtomicBool::new(false));
        let clients = Kind::ALL.into_iter().map(|kind| {
            let alpn: &[&str] = match kind {
                Kind::Http2 | Kind::WebSocketHttp2 => &["h2"],
                _ => &["http/1.1"],
            };
            let tls = authority.client(alpn, &[&rustls::version::TLS13]);
            let (seen, over) = (seen.clone(), over.clone());
            tokio::spawn(Asker { kind, http: edge.address, https, tls, seen, over }.run())
        });
        let clients = clients.collect();
        Self { seen, over, clients }
    }

    /// Waits until every kind was answered so many more times.
    pub async fn answered_more(&self, more: u64) {
        let counts = || Kind::ALL.map(|kind| self.seen.count(kind));
        let before = counts();
        while counts().iter().zip(before).any(|(now, before)| *now < before + more) {
            assert_eq!(self.seen.failures(), Vec::<String>::new());
            tokio::time::sleep(PACE).await;
        }
    }

    /// Waits for what is under way.
    pub async fn end(self) -> Arc<Seen> {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        self.seen
    }
}

impl Asker {
    async fn run(self) {
        while !self.is_over() {
            let outcome = match self.kind {
                Kind::New | Kind::Kept | Kind::Upload => self.plain().await,
                Kind::NewTls => self.tls().await,
                Kind::Http2 => self.http2().await,
                Kind::WebSocket => match self.connect().await {
                    Ok(client) => self.upgrade(client).await,
                    Err(why) => Err(why),
                },
                Kind::WebSocketTls => match self.connect_tls().await {
                    Ok(client) => self.upgrade(client).await,
                    Err(why) => Err(why),
                },
                Kind::WebSocketHttp2 => self.websocket_in_http2().await,
            };
            if let Err(why) = outcome {
                self.seen.failures.lock().unwrap().push(format!("{:?}: {why}", self.kind));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    async fn answered(&self) {
        self.seen.answered[&self.kind].fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
    }

    async fn connect(&self) -> Result<Client, String> {
        let stream = tokio::net::TcpStream::connect(self.http).await.map_err(|e| format!("connect: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Client { stream, buffer: Vec::new() })
    }

    async fn connect_tls(&self) -> Result<super::tls::Secure, String> {
        let client = connect(&self.tls, self.https, "a.test").await.map_err(|e| format!("connect: {e}"))?;
        let counter = if client.was_resumed() { &self.seen.resumed } else { &self.seen.full };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }

    /// Requests on one connection until it ends, or one only.
    async fn plain(&self) -> Result<(), String> {
        let mut client = self.connect().await?;
        let body = if self.kind == Kind::Upload { vec![b'x'; 64 * 1024] } else { Vec::new() };
        let close = if self.kind == Kind::New { "Connection: close\r\n" } else { "" };
        let head =
            format!("POST / HTTP/1.1\r\nHost: a.test\r\n{close}Content-Length: {}\r\n\r\n", body.len());
        while !self.is_over() {
            client.send([head.as_bytes(), &body].concat()).await;
            let closes = whole(&mut client).await?;
            self.answered().await;
            if closes {
                break;
            }
        }
        Ok(())
    }

    async fn tls(&self) -> Result<(), String> {
        let mut client = self.connect_tls().await?;
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
        whole(&mut client).await?;
        self.answered().await;
        Ok(())
    }

    async fn speak_http2(&self) -> Result<SendRequest<Bytes>, String> {
        let client = self.connect_tls().await?;
        let (sender, connection) =
            Builder::new().handshake(client.stream).await.map_err(|e| format!("handshake: {e}"))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Requests on one connection until it says goodbye.
    async fn http2(&self) -> Result<(), String> {
        let sender = self.speak_http2().await?;
        while !self.is_over() {
            let mut waiting = Vec::new();
            for _ in 0..STREAMS {
                // Where no stream can be opened any more, nothing was asked yet.
                let Ok(mut ready) = sender.clone().ready().await else { break };
                let request = Request::get("https://a.test/").body(()).map_err(|e| e.to_string())?;
                match ready.send_request(request, true) {
                    Ok((answer, _)) => waiting.push(answer),
                    Err(_) => break,
                }
            }
            if waiting.is_empty() {
                break;
            }
            for answer in waiting {
                let mut answer = match answer.await {
                    Ok(answer) => answer,
                    // Nobody has looked at it, and nobody was to: it crossed the server's goodbye (RFC 9113, 6.8), and
                    // clients ask again on their next connection, as this one does.
                    Err(error) if error.is_go_away() && error.reason() == Some(Reason::NO_ERROR) => continue,
                    Err(error) => return Err(format!("answer: {error}")),
                };
                if answer.status() != 200 {
                    return Err(format!("status {}", answer.status()));
                }
                while let Some(piece) = answer.body_mut().data().await {
                    piece.map_err(|e| format!("body: {e}"))?;
                }
                self.answered().await;
            }
        }
        Ok(())
    }

    async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(&self, mut client: Client<S>) -> Result<(), String> {
        client
            .send(
                "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await;
        let head = client.try_head().await.ok_or("ended before 101")?;
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(head);
        }
        assert!(client.buffer.is_empty());
        self.talk(client.stream).await
    }

    async fn websocket_in_http2(&self) -> Result<(), String> {
        let mut sender = self.speak_http2().await?;
        while !sender.is_extended_connect_protocol_enabled() {
            sender = sender.ready().await.map_err(|e| format!("ready: {e}"))?;
            tokio::time::sleep(PACE).await;
        }
        let mut request = Request::builder()
            .method("CONNECT")
            .uri("https://a.test/ws")
            .body(())
            .map_err(|e| e.to_string())?;
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        // Where no stream can be opened any more, nothing was asked yet.
        let Ok(mut ready) = sender.ready().await else { return Ok(()) };
        let Ok((answer, up)) = ready.send_request(request, false) else { return Ok(()) };
        let answer = answer.await.map_err(|e| format!("answer: {e}"))?;
        if answer.status() != 200 {
            return Err(format!("status {}", answer.status()));
        }
        self.talk(joined(up, answer.into_body())).await
    }

    /// Frames back and forth until the edge says goodbye.
    async fn talk(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
        let begun = Instant::now();
        while !self.is_over() {
            // A binary frame of four bytes with a mask of zeros, which comes back as it is.
            let frame = [0x82, 0x84, 0, 0, 0, 0, b'p', b'i', b'n', b'g'];
            // A goodbye may be on its way.
            let _ = stream.write_all(&frame).await;
            let mut back = [0; 10];
            let cut = |e| format!("cut off after {:?}: {e}", begun.elapsed());
            stream.read_exact(&mut back[..4]).await.map_err(cut)?;
            if back[..4] == [0x88, 2, 0x03, 0xe9] {
                self.seen.told_to_go.lock().unwrap().push(begun.elapsed());
                return Ok(());
            }
            stream.read_exact(&mut back[4..]).await.map_err(cut)?;
            if back != frame {
                return Err(format!("{back:?} came back"));
            }
            self.answered().await;
        }
        Ok(())
    }
}

/// Reads an answer that must be 200 and whole; whether it is the connection's last.
async fn whole<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> Result<bool, String> {
    let head = client.try_head().await.ok_or("ended before the answer")?;
    let response = client.body(head, true).await.ok_or("ended within the answer")?;
    match response.status() {
        200 => Ok(response.value("connection") == Some("close")),
        _ => Err(response.head),
    }
}

/// Both directions of an HTTP/2 stream as one.
pub fn joined(mut up: SendStream<Bytes>, mut down: RecvStream) -> tokio::io::DuplexStream {
    /// More than both ever have on the way.
    const ROOM: usize = 4096;
    let (near, far) = tokio::io::duplex(ROOM);
    let (mut reader, mut writer) = tokio::io::split(far);
    tokio::spawn(async move {
        let mut piece = [0; ROOM];
        while let Ok(count @ 1..) = reader.read(&mut piece).await {
            if up.send_data(Bytes::copy_from_slice(&piece[..count]), false).is_err() {
                return;
            }
        }
        let _ = up.send_data(Bytes::new(), true);
    });
    tokio::spawn(async move {
        while let Some(Ok(piece)) = down.data().await {
            let _ = down.flow_control().release_capacity(piece.len());
            if writer.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    });
    near
}
