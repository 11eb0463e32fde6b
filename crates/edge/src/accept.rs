//! Accepting connections and handing them to what their listener speaks.
//!
//! Knows nothing about what is spoken.

use crate::client::Scheme;
use crate::clients::Clients;
use crate::clock::Deadline;
use crate::h1::Peer;
use crate::table::{Kind, Table};
use crate::tunnel::Arrival;
use crate::turn::Turn;
use crate::worker::Worker;
use crate::{h1, proxy, tls, tunnel};
use rustix::net::SocketFlags;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting pauses when the process has no file descriptor left: connections close meanwhile, and
/// the kernel's queue holds those that wait.
const PAUSE_WHEN_FULL: u64 = 100;

/// Connections that are begun before those that are open have their turn: half a millisecond. Few at a time would have
/// everybody wait who comes behind a crowd.
const MOST_IN_TURN: usize = 64;

/// Accepts for as long as the listener is open.
pub(crate) async fn run(worker: Rc<Worker>, listener: Rc<TcpListener>, address: SocketAddr) {
    let mut turn = Turn::of(MOST_IN_TURN);
    loop {
        turn.spend(1).await;
        match listener.accept().await {
            Ok((stream, peer)) => begin(&worker, stream, peer, address),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept; trying again");
                pause().await;
            }
        }
    }
}

/// Accepts what already waits in the queue of a listener that is about to be closed. The queue itself is asked:
/// the reactor may not have heard of all that is in it.
pub(crate) fn drain(worker: &Rc<Worker>, listener: &TcpListener, address: SocketAddr) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    while let Ok((socket, peer)) = rustix::net::acceptfrom_with(listener, flags) {
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let stream = TcpStream::from_std(std::net::TcpStream::from(socket));
        if let (Some(peer), Ok(stream)) = (peer, stream) {
            begin(worker, stream, peer, address);
        }
    }
}

fn begin(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, address: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return;
    }
    let table = worker.table();
    let Some(open) = OpenConnection::admitted(worker, &table, peer.ip(), address) else {
        worker.shared.connections.refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    // While a listener is being closed its address is in no table any more; what waited is HTTP or will be told so.
    let kind = table.kind(address).unwrap_or(Kind::Http);
    let from = Arrival { address, peer };
    match table.proxied.contains(&address) {
        true => drop(tokio::task::spawn_local(serve_proxied(open, stream, from, kind))),
        false => serve(open, stream, from, kind),
    }
}

/// Serves a connection behind a load balancer, as its client's.
async fn serve_proxied(open: OpenConnection, mut stream: TcpStream, from: Arrival, kind: Kind) {
    match proxy::read(&mut stream).await {
        Ok(client) => serve(open, stream, Arrival { peer: client.unwrap_or(from.peer), ..from }, kind),
        Err(error) => tracing::debug!(%error, peer = %from.peer, "a connection without its client"),
    }
}

fn serve(open: OpenConnection, stream: TcpStream, from: Arrival, kind: Kind) {
    let peer = from.peer;
    let worker = open.worker.clone();
    match kind {
        Kind::Http => worker.spawn(peer.ip(), async move {
            h1::serve(&open.worker, stream, Peer::new(peer, Scheme::Http)).await;
        }),
        Kind::Https => worker.spawn(peer.ip(), async move { tls::serve(&open.worker, stream, peer).await }),
        Kind::Tcp(_) => {
            worker.spawn(peer.ip(), async move { tunnel::serve_tcp(&open.worker, stream, from).await });
        }
        Kind::Sni => {
            worker.spawn(peer.ip(), async move { tunnel::serve_sni(&open.worker, stream, from).await });
        }
    }
}

/// Counts a connection of its worker until dropped.
pub(crate) struct OpenConnection {
    pub(crate) worker: Rc<Worker>,
    /// Whose connections are counted by its address too.
    client: Option<IpAddr>,
}

impl OpenConnection {
    /// Counts it, unless there are too many in all or of this client. Proxies bring many clients: those that are trusted,
    /// and those that say who the client is, may have any number.
    pub(crate) fn admitted(
        worker: &Rc<Worker>,
        table: &Table,
        peer: IpAddr,
        address: SocketAddr,
    ) -> Option<Self> {
        let Clients { connections, per_client, .. } = table.clients;
        if connections != usize::MAX && worker.shared.connections.count() >= connections {
            return None;
        }
        let counted = per_client.filter(|_| !table.proxied.contains(&address) && !table.trusts(peer));
        if counted.is_some_and(|most| !worker.shared.connections.enter(peer, most)) {
            return None;
        }
        Some(Self::new(worker.clone(), counted.map(|_| peer)))
    }

    fn new(worker: Rc<Worker>, client: Option<IpAddr>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        worker.shared.connections.note(worker.index, worker.connections.get());
        Self { worker, client }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let Self { worker, client } = self;
        worker.connections.set(worker.connections.get() - 1);
        worker.shared.connections.note(worker.index, worker.connections.get());
        client.iter().for_each(|client| worker.shared.connections.leave(*client));
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn pause() {
    let deadline = Deadline::new();
    deadline.arm(PAUSE_WHEN_FULL);
    poll_fn(|cx| if deadline.passed(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
}
