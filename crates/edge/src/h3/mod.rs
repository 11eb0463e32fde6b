//! HTTP/3 towards clients (RFC 9114): QUIC by quinn, frames by `h3`; every stream is a request on the one path, as in
//! [`crate::h2`].
//!
//! One thread has the UDP socket of an address, as QUIC's connections outlive their clients' addresses, by which the kernel
//! would choose among several. Knows nothing about routes and instances.

mod stream;

use crate::accept::OpenConnection;
use crate::client::Scheme;
use crate::clock::{Deadline, Millis};
use crate::h1::{Connection, Facts, Peer, Refused};
use crate::h2::{CONNECTION_WINDOW, LARGEST_HEAD, MOST_CANCELLED, MOST_STREAMS, STREAM_WINDOW, read_head};
use crate::worker::Worker;
use bytes::Bytes;
use h3::error::Code;
use h3::server::RequestResolver;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, Incoming, TransportConfig, VarInt};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use stream::Stream;

/// What the connections of this edge are made of.
type Transport = h3_quinn::Connection;

/// Streams of the client's own: one for control and two for header compression (RFC 9114, 6.2), and some that mean nothing.
const MOST_ONE_WAY: u32 = 8;
/// Bytes of answers kept for a connection while its client does not take them.
const SEND_WINDOW: u64 = 512 * 1024;
/// Open connections above which a client must show first that it is where it says (RFC 9000, 8.1.2).
const OPEN_BEFORE_RETRY: usize = 1_000;
/// How long what is under way may take once the edge ends: its successor reads the same socket, and each gets some of the
/// other's packets meanwhile.
const LEAVE_PATIENCE: Millis = 2_000;

/// Serves what arrives at a socket, until dropped.
pub(crate) async fn run(worker: Rc<Worker>, socket: UdpSocket, address: SocketAddr) {
    let endpoint = match open(&worker, socket) {
        Ok(endpoint) => Open(endpoint),
        Err(error) => return tracing::error!(%address, %error, "no HTTP/3"),
    };
    let endpoint = &endpoint.0;
    while let Some(incoming) = endpoint.accept().await {
        let table = worker.table();
        // A limit by address is worth nothing where an address can be anything.
        let must_show = table.clients.per_client.is_some() || endpoint.open_connections() > OPEN_BEFORE_RETRY;
        if must_show && incoming.may_retry() {
            // It has not gone: it has just come.
            let _ = incoming.retry();
            continue;
        }
        let Some(open) = OpenConnection::admitted(&worker, &table, incoming.remote_address().ip(), address)
        else {
            worker.shared.connections.refused.fetch_add(1, Ordering::Relaxed);
            incoming.refuse();
            continue;
        };
        worker.spawn(incoming.remote_address().ip(), serve(open, incoming, address));
    }
}

/// An endpoint that takes connections, until dropped.
struct Open(Endpoint);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set_server_config(None);
    }
}

fn open(worker: &Worker, socket: UdpSocket) -> io::Result<Endpoint> {
    let tls = QuicServerConfig::try_from(worker.shared.tls.quic.clone()).map_err(io::Error::other)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let mut transport = TransportConfig::default();
    let idle = Duration::from_millis(worker.table().clients.idle);
    transport
        .max_concurrent_bidi_streams(MOST_STREAMS.into())
        .max_concurrent_uni_streams(MOST_ONE_WAY.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IdleTimeout::try_from(idle).ok());
    config.transport_config(Arc::new(transport));
    Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(quinn::TokioRuntime))
}

/// How the requests of a connection ended.
#[derive(Default)]
struct Outcomes {
    answered: Cell<u64>,
    cancelled: Cell<u64>,
}

async fn serve(open: OpenConnection, incoming: Incoming, address: SocketAddr) {
    let worker = &open.worker;
    let handshakes = &worker.shared.tls.handshakes;
    let connection = match incoming.await {
        Ok(connection) => connection,
        Err(error) => {
            handshakes.failed.fetch_add(1, Ordering::Relaxed);
            return tracing::debug!(%error, "no QUIC connection");
        }
    };
    handshakes.full.fetch_add(1, Ordering::Relaxed);
    let mut peer = Peer::new(connection.remote_address(), Scheme::Https);
    let own = connection.local_ip().unwrap_or(address.ip());
    peer.local = Some(SocketAddr::new(own, address.port()));
    peer.tls = Some("1.3");
    peer.protocol = Some("HTTP/3.0");
    if let Err(error) = converse(worker, &connection, &peer).await {
        tracing::debug!(%error, "an HTTP/3 connection ended");
    }
}

/// Answers the requests of a connection until there are no more.
async fn converse(
    worker: &Rc<Worker>,
    connection: &quinn::Connection,
    peer: &Peer,
) -> Result<(), h3::error::ConnectionError> {
    let mut frames = h3::server::builder()
        .max_field_section_size(LARGEST_HEAD.into())
        .send_grease(false)
        .build::<_, Bytes>(Transport::new(connection.clone()))
        .await?;
    let outcomes = Rc::new(Outcomes::default());
    let deadline = Deadline::new();
    let mut ending = pin!(worker.shared.ending());
    let mut is_leaving = false;
    loop {
        let next = async {
            let mut accepting = pin!(frames.accept());
            poll_fn(|cx| {
                if !is_leaving && ending.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Next::Leave);
                }
                if deadline.passed(cx) {
                    return Poll::Ready(Next::Over);
                }
                accepting.as_mut().poll(cx).map(Next::Stream)
            })
            .await
        };
        match next.await {
            Next::Stream(stream) => {
                let Some(resolver) = stream? else { return Ok(()) };
                if outcomes.cancelled.get() > MOST_CANCELLED + outcomes.answered.get() {
                    close(connection, Code::H3_EXCESSIVE_LOAD, b"too many requests cancelled");
                    return Ok(());
                }
                let answering = answer(worker.clone(), peer.clone(), connection.clone(), resolver);
                let outcomes = outcomes.clone();
                worker.spawn(peer.ip, async move {
                    let count = if answering.await { &outcomes.answered } else { &outcomes.cancelled };
                    count.set(count.get() + 1);
                });
            }
            Next::Leave => {
                is_leaving = true;
                frames.shutdown(0).await?;
                deadline.arm(LEAVE_PATIENCE);
            }
            Next::Over => {
                close(connection, Code::H3_NO_ERROR, b"");
                return Ok(());
            }
        }
    }
}

/// What a connection does next.
enum Next<S> {
    Stream(S),
    /// The edge ends.
    Leave,
    /// It has been given its time for that.
    Over,
}

fn close(connection: &quinn::Connection, code: Code, reason: &[u8]) {
    connection.close(VarInt::from_u64(code.value()).unwrap_or_default(), reason);
}

/// Answers one request; false when its client cancelled it.
async fn answer(
    worker: Rc<Worker>,
    peer: Peer,
    connection: quinn::Connection,
    resolver: RequestResolver<Transport, Bytes>,
) -> bool {
    // Until its head is there, and what shows whether a body follows.
    let deadline = Deadline::new();
    deadline.arm(worker.table().clients.head);
    let mut answering = pin!(async {
        let Ok((request, stream)) = resolver.resolve_request().await else { return false };
        let (parts, ()) = request.into_parts();
        let mut stream = Stream::new(stream);
        let Ok(has_body) = stream.has_body().await else { return false };
        deadline.disarm();
        let is_whole = stream.is_whole();
        let mut path = Connection::new(&worker, stream, peer);
        match read_head(&parts, has_body, worker.table().clients.head_line) {
            // There is no other protocol to change to.
            Ok((head, bounds)) => drop(path.answer_to(head, bounds).await),
            Err(refusal) => {
                let facts = Facts { is_head: parts.method == http::Method::HEAD, ..Facts::default() };
                drop(path.refuse(Refused::plain(refusal, facts), None).await);
            }
        }
        is_whole.get()
    });
    let mut closed = pin!(connection.closed());
    poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(was_answered) => Poll::Ready(was_answered),
        Poll::Pending if deadline.passed(cx) => Poll::Ready(false),
        // Nothing more is done for a request that nobody waits for.
        Poll::Pending => closed.as_mut().poll(cx).map(|_| false),
    })
    .await
}
