//! Bytes both ways between a client and an instance: upgraded connections, plain TCP listeners, and TLS that is not ours.
//!
//! Each side's end is passed on to the other. Knows nothing about HTTP.

use crate::balance;
use crate::buffer::{Buf, Use};
use crate::client::Client;
use crate::clock::{self, Deadline, Millis, NEVER};
use crate::connect::{self, Ends};
use crate::hold::Held;
use crate::shared::Shared;
use crate::table::{Kind, Table};
use crate::target::InFlight;
use crate::tls::Hello;
use crate::transport::{self, TransportError};
use crate::turn;
use crate::websocket::{Frames, GOING_AWAY};
use crate::wire::Wire;
use crate::worker::Worker;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an upgraded connection may say nothing. Longer than any ping interval in use, as ending a silent
/// one surprises more than keeping it.
pub(crate) const UPGRADED_IDLE: Millis = 3_600_000;
/// Time to connect to the instance behind a TCP listener.
const CONNECT_PATIENCE: Millis = 10_000;
/// How long a client may take to say whom it asks for, as long as for a handshake.
const HELLO_PATIENCE: Millis = 15_000;
/// How long a client has to read a close frame and end its side.
const CLOSE_PATIENCE: Millis = 2_000;
/// How long before the process ends that begins: what is said last has to be on the wire by then, on a busy machine too.
const GOODBYE_BEFORE_END: Millis = 5_000;
/// Instances tried for one TCP connection.
const MOST_ATTEMPTS: usize = 4;
/// A peer that vanished without a word is found after a minute of silence and a few questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The listener it came in by.
    pub(crate) address: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// Serves one connection of a TCP listener.
pub(crate) async fn serve_tcp(worker: &Rc<Worker>, client: TcpStream, from: Arrival) {
    let find = |table: &Table| match table.kind(from.address) {
        Some(Kind::Tcp(index)) => Some(index),
        _ => None,
    };
    pass_on(worker, client, None, from.peer, find).await;
}

/// Serves one connection of a listener where TLS is passed on by the name it asks for.
pub(crate) async fn serve_sni(worker: &Rc<Worker>, mut client: TcpStream, from: Arrival) {
    let deadline = Deadline::new();
    deadline.arm(HELLO_PATIENCE);
    match Hello::read(&mut client, &deadline).await {
        Ok(hello) => {
            let name = hello.name();
            let find = |table: &Table| table.upstream_named(Some(from.address), name.as_deref());
            pass_on(worker, client, Some(hello.bytes), from.peer, find).await;
        }
        Err(error) => tracing::debug!(%error, peer = %from.peer, "no TLS to pass on"),
    }
}

/// Joins a client's connection, of which `said` has been read, to an instance of the upstream that `find` finds.
pub(crate) async fn pass_on(
    worker: &Rc<Worker>,
    client: TcpStream,
    said: Option<Buf>,
    peer: SocketAddr,
    find: impl Fn(&Table) -> Option<usize>,
) {
    let deadline = Deadline::new();
    let Some((upstream, in_flight)) = reach(worker, &client, peer, find, &deadline).await else { return };
    deadline.follow(Some(in_flight.target().clone()));
    let mut tunnel = Tunnel::new(client, Wire::plain(upstream));
    tunnel.begin_with(said, None);
    // Databases' clients hold connections for days: only a peer that vanished, or a drain, ends them.
    tunnel.run(&worker.shared, &deadline, NEVER).await;
    drop(in_flight);
}

/// Connects to an instance, waiting for one while the service is being swapped.
async fn reach(
    worker: &Rc<Worker>,
    client: &TcpStream,
    peer: SocketAddr,
    find: impl Fn(&Table) -> Option<usize>,
    deadline: &Deadline,
) -> Option<(TcpStream, InFlight)> {
    let mut held: Option<Held> = None;
    let mut tried = [0; MOST_ATTEMPTS];
    let mut attempt = 0;
    loop {
        let table = worker.table();
        let upstream = &table.upstreams[find(&table)?];
        let picked = balance::pick(&upstream.targets, worker.turn(), clock::now(), |id| tried.contains(&id));
        if let Some(target) = picked {
            let in_flight = InFlight::begin(target.clone());
            let ends = || Some(Ends { client: peer, local: client.local_addr().ok()? });
            let ends = target.is_told().then(ends).flatten();
            match connect::connect_bare(target, ends, deadline, CONNECT_PATIENCE).await {
                Ok(stream) => return Some((stream, in_flight)),
                Err(error) => {
                    tracing::debug!(instance = target.instance, %error, "cannot connect");
                    *tried.get_mut(attempt)? = target.id;
                    attempt += 1;
                    continue;
                }
            }
        }
        let until = upstream.hold_until?;
        match &mut held {
            None => held = Some(Held::begin(&worker.shared, &upstream.state).ok()?),
            Some(held) => held.next_table(deadline, until).await.ok()?,
        }
    }
}

/// Two connections joined.
pub(crate) struct Tunnel<C> {
    client: C,
    upstream: Wire,
    to_upstream: Way,
    to_client: Way,
    /// Frames towards the client, when this is a WebSocket.
    frames: Option<Frames>,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Read and not yet written.
    waiting: Option<Buf>,
    /// Written, but perhaps not yet on the socket.
    unflushed: bool,
    source_ended: bool,
    done: bool,
}

impl<C: Client> Tunnel<C> {
    pub(crate) fn new(mut client: C, mut upstream: Wire) -> Self {
        for stream in client.socket().into_iter().chain([upstream.socket()]) {
            if let Err(error) = probe_when_silent(stream) {
                tracing::debug!(%error, "no TCP keep-alive");
            }
        }
        Self { client, upstream, to_upstream: Way::default(), to_client: Way::default(), frames: None }
    }

    /// Bytes that each side had sent before the tunnel began.
    pub(crate) fn begin_with(&mut self, from_client: Option<Buf>, from_upstream: Option<Buf>) {
        self.to_upstream.waiting = from_client.filter(|buf| !buf.is_empty());
        self.to_client.waiting = from_upstream.filter(|buf| !buf.is_empty());
    }

    /// From here on the instance sends WebSocket frames.
    pub(crate) fn watch_websocket(&mut self) {
        self.frames = Some(Frames::default());
    }

    /// Runs until both sides have ended, nothing happens for `idle` milliseconds, the instance's drain deadline
    /// passes, or the edge ends.
    pub(crate) async fn run(mut self, shared: &Shared, deadline: &Deadline, idle: Millis) {
        deadline.arm(idle);
        let mut ending = pin!(shared.ending());
        let mut told_by = NEVER;
        let outcome = poll_fn(|cx| {
            if told_by == NEVER && self.frames.is_some() && ending.as_mut().poll(cx).is_ready() {
                // Before the process has gone there must be time for a goodbye.
                told_by = shared.ends_at().unwrap_or(NEVER).saturating_sub(GOODBYE_BEFORE_END);
                deadline.cap(told_by.saturating_sub(clock::now()));
                deadline.arm(idle);
            }
            self.poll(deadline, idle, cx)
        });
        let outcome = outcome.await;
        deadline.cap(NEVER);
        if matches!(outcome, Err(TransportError::TimedOut)) && (deadline.is_cut() || clock::now() >= told_by)
        {
            self.say_goodbye(deadline).await;
        }
    }

    fn poll(
        &mut self,
        deadline: &Deadline,
        idle: Millis,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransportError>> {
        let mut moved = false;
        let Self { client, upstream, to_upstream, to_client, frames } = self;
        let (mut client_read, mut client_write) = client.split();
        let (mut upstream_read, mut upstream_write) = upstream.split();
        let mut up = to_upstream.poll(&mut client_read, &mut upstream_write, None, &mut moved, cx);
        if matches!(up, Poll::Ready(Err(Broken::Sink(_)))) {
            // The instance listens no more. What it has said before is for the client nevertheless.
            (to_upstream.done, up) = (true, Poll::Ready(Ok(())));
        }
        let mut down = to_client.poll(&mut upstream_read, &mut client_write, frames.as_mut(), &mut moved, cx);
        if matches!(down, Poll::Ready(Err(Broken::Source(_)))) {
            to_client.source_ended = true;
            down = to_client.poll(&mut upstream_read, &mut client_write, frames.as_mut(), &mut moved, cx);
        }
        if moved {
            deadline.arm(idle);
        }
        match (up, down) {
            (Poll::Ready(Err(broken)), _) | (_, Poll::Ready(Err(broken))) => {
                let (Broken::Source(error) | Broken::Sink(error)) = broken;
                Poll::Ready(Err(error.into()))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            _ if deadline.passed(cx) => Poll::Ready(Err(TransportError::TimedOut)),
            _ => Poll::Pending,
        }
    }

    /// Tells a WebSocket client to come back, when it can be told between two frames, and waits for it to end.
    async fn say_goodbye(mut self, deadline: &Deadline) {
        let at_boundary = self.frames.as_ref().is_some_and(Frames::at_boundary);
        if !at_boundary || self.to_client.waiting.is_some() {
            return;
        }
        deadline.follow(None);
        let said = transport::write_all(&mut self.client, &[&GOING_AWAY], deadline, CLOSE_PATIENCE).await;
        if said.is_err() || self.client.shutdown().await.is_err() {
            return;
        }
        deadline.arm(CLOSE_PATIENCE);
        let mut ignored = None;
        while let Ok(1..) = transport::read(&mut self.client, &mut ignored, Use::Body, deadline).await {
            ignored = None;
        }
    }
}

/// Which end of a direction failed.
enum Broken {
    Source(io::Error),
    Sink(io::Error),
}

impl Way {
    fn poll<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        mut frames: Option<&mut Frames>,
        moved: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>>
    where
        R: tokio::io::AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut written = 0;
        while !self.done {
            if written >= turn::MOST_BYTES {
                turn::wait_for_others(cx);
                return Poll::Pending;
            }
            if let Some(buf) = &mut self.waiting {
                let count =
                    ready!(Pin::new(&mut *writer).poll_write(cx, buf.filled())).map_err(Broken::Sink)?;
                if count == 0 {
                    return Poll::Ready(Err(Broken::Sink(io::ErrorKind::WriteZero.into())));
                }
                if let Some(frames) = &mut frames {
                    frames.follow(&buf.filled()[..count]);
                }
                *moved = true;
                written += count;
                self.unflushed = true;
                buf.consume(count);
                if buf.is_empty() {
                    self.waiting = None;
                }
            } else if self.source_ended {
                ready!(Pin::new(&mut *writer).poll_shutdown(cx)).map_err(Broken::Sink)?;
                self.done = true;
            } else {
                let read = transport::poll_fill_slot(reader, &mut self.waiting, Use::Body, cx);
                if read.is_pending() && self.unflushed {
                    let flushed = Pin::new(&mut *writer).poll_flush(cx).map_err(Broken::Sink)?;
                    self.unflushed = flushed.is_pending();
                }
                self.source_ended = ready!(read).map_err(Broken::Source)? == 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn probe_when_silent(stream: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)
}
