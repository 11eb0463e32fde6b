//! Opening connections to instances.
//!
//! Names are looked up on tokio's blocking threads, never on a worker. Knows nothing about HTTP or pools.

use crate::clock::{self, Deadline, Millis};
use crate::proxy;
use crate::send_queue;
use crate::target::{Address, TargetState};
use crate::wire::Wire;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::PoisonError;
use std::task::Poll;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a looked-up name is believed: short enough that a moved upstream is followed within a minute
/// without anyone's doing, long enough that the resolver is not asked per connection.
const NAME_TTL: Millis = 30_000;

/// How long an instance that refused a connection is passed over while others are there.
pub(crate) const AVOID_FOR: Millis = 1_000;

/// Both ends of a client's connection, for instances that are told of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("connecting took too long")]
    TimedOut,
    #[error("no address for {0}")]
    NoAddress(String),
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Connects as the instance is spoken to, within `patience` milliseconds.
pub(crate) async fn connect(
    target: &TargetState,
    ends: Option<Ends>,
    deadline: &Deadline,
    patience: Millis,
) -> Result<Wire, ConnectError> {
    within(target, deadline, patience, attempt(target, ends)).await
}

/// Connects for bytes that are none of our business, within `patience` milliseconds.
pub(crate) async fn connect_bare(
    target: &TargetState,
    ends: Option<Ends>,
    deadline: &Deadline,
    patience: Millis,
) -> Result<TcpStream, ConnectError> {
    within(target, deadline, patience, dial(target, ends)).await
}

async fn within<T>(
    target: &TargetState,
    deadline: &Deadline,
    patience: Millis,
    attempt: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    deadline.arm(patience);
    let mut attempt = pin!(attempt);
    let made = std::future::poll_fn(|cx| match attempt.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending if deadline.passed(cx) => Poll::Ready(Err(ConnectError::TimedOut)),
        Poll::Pending => Poll::Pending,
    })
    .await;
    if let Err(error) = &made {
        let now = clock::now();
        // Most likely somebody has to change something; once a second is often enough to say so.
        if matches!(error, ConnectError::Tls(_)) && target.avoid_until() <= now {
            tracing::warn!(instance = target.instance, %error, "cannot be spoken to");
        }
        target.avoid(now + AVOID_FOR);
    }
    made
}

async fn attempt(target: &TargetState, ends: Option<Ends>) -> Result<Wire, ConnectError> {
    let stream = dial(target, ends).await?;
    match &target.manner {
        Some(manner) if manner.is_secure() => {
            // A handshake's state is large, and what is plain should not keep room for it.
            let shaken = Box::pin(manner.shake_hands(stream, &target.address)).await;
            shaken.map(Wire::secure).map_err(ConnectError::Tls)
        }
        _ => Ok(Wire::plain(stream)),
    }
}

async fn dial(target: &TargetState, ends: Option<Ends>) -> Result<TcpStream, ConnectError> {
    let mut stream = match &target.address {
        Address::Ip(address) => TcpStream::connect(address).await?,
        Address::Name { .. } => connect_by_name(&target.address).await?,
    };
    // Heads and bodies are written whole; waiting for more would only add delay.
    stream.set_nodelay(true)?;
    send_queue::bound(&stream)?;
    if let Some(version) = target.manner.as_ref().and_then(|manner| manner.send_proxy) {
        stream.write_all(&proxy::header(version, ends)).await?;
    }
    Ok(stream)
}

async fn connect_by_name(address: &Address) -> Result<TcpStream, ConnectError> {
    let Address::Name { name, known } = address else { return Err(ConnectError::NoAddress(String::new())) };
    let fresh = |known: &Option<(Vec<SocketAddr>, Millis)>| {
        known.as_ref().filter(|(_, until)| *until > clock::now()).map(|(addresses, _)| addresses.clone())
    };
    let remembered = fresh(&known.lock().unwrap_or_else(PoisonError::into_inner));
    let addresses = match remembered {
        Some(addresses) => addresses,
        None => {
            let found: Vec<SocketAddr> = tokio::net::lookup_host(name.as_str()).await?.collect();
            let entry = Some((found.clone(), clock::now() + NAME_TTL));
            *known.lock().unwrap_or_else(PoisonError::into_inner) = entry;
            found
        }
    };
    if addresses.is_empty() {
        return Err(ConnectError::NoAddress(name.clone()));
    }
    Ok(TcpStream::connect(addresses.as_slice()).await?)
}
