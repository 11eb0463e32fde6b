//! The agent's side of the control socket.
//!
//! Knows nothing about how the edge does what it is asked.

use super::ControlError;
use super::wire::{self, Receiver, Reply, Request, Sockets};
use mainstay_model::table::{EdgeStatus, RouteTable};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// A conversation with a running edge.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    receiver: Receiver,
}

impl Client {
    /// Connects to the edge that listens at `path`.
    pub async fn connect(path: &Path) -> Result<Self, ControlError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|source| ControlError::NoEdge { path: path.to_owned(), source })?;
        Ok(Self { stream, receiver: Receiver::default() })
    }

    /// Puts a table in force. `listeners` are sockets for addresses the edge does not have yet, from
    /// [`crate::listen::bind`]; for addresses without, the edge binds them itself. When this returns, every
    /// request begun under the old table shows in the in-flight counts of [`Client::status`]. On an error
    /// nothing has changed.
    pub async fn apply(
        &mut self,
        table: &RouteTable,
        listeners: &[(SocketAddr, Vec<OwnedFd>)],
    ) -> Result<(), ControlError> {
        let sockets = listeners.iter().map(|(address, fds)| Sockets { address: *address, count: fds.len() });
        let request = Request::Apply { table: Box::new(table.clone()), sockets: sockets.collect() };
        let fds: Vec<_> = listeners.iter().flat_map(|(_, fds)| fds.iter().map(AsFd::as_fd)).collect();
        wire::send(&self.stream, &request, &fds).await?;
        match self.reply().await? {
            (Reply::Done, _) => Ok(()),
            _ => Err(ControlError::WrongReply),
        }
    }

    /// What the edge is doing.
    pub async fn status(&mut self) -> Result<EdgeStatus, ControlError> {
        wire::send(&self.stream, &Request::Status, &[]).await?;
        match self.reply().await? {
            (Reply::Status(status), _) => Ok(status),
            _ => Err(ControlError::WrongReply),
        }
    }

    /// All counts, in Prometheus' text format.
    pub async fn metrics(&mut self) -> Result<String, ControlError> {
        wire::send(&self.stream, &Request::Metrics, &[]).await?;
        match self.reply().await? {
            (Reply::Metrics(text), _) => Ok(text),
            _ => Err(ControlError::WrongReply),
        }
    }

    /// Copies of all listening sockets, for an agent that comes back or for another edge. The edge goes on
    /// accepting on them.
    pub async fn take_listeners(&mut self) -> Result<Vec<(SocketAddr, Vec<OwnedFd>)>, ControlError> {
        wire::send(&self.stream, &Request::TakeListeners, &[]).await?;
        match self.reply().await? {
            (Reply::Listeners(sockets), fds) => group(&sockets, fds).ok_or(ControlError::WrongReply),
            _ => Err(ControlError::WrongReply),
        }
    }

    /// Ends the edge: it accepts nothing more, finishes what is under way, and exits after `grace` at the
    /// latest.
    pub async fn shutdown(&mut self, grace: Duration) -> Result<(), ControlError> {
        let request = Request::Shutdown { grace_ms: crate::clock::millis(grace) };
        wire::send(&self.stream, &request, &[]).await?;
        match self.reply().await? {
            (Reply::Done, _) => Ok(()),
            _ => Err(ControlError::WrongReply),
        }
    }

    async fn reply(&mut self) -> Result<(Reply, Vec<OwnedFd>), ControlError> {
        match self.receiver.next(&self.stream).await? {
            Some((Reply::Refused(why), _)) => Err(ControlError::Refused(why)),
            Some(reply) => Ok(reply),
            None => Err(ControlError::Ended),
        }
    }
}

/// Sockets by address; none when the numbers do not add up.
pub(crate) fn group(sockets: &[Sockets], fds: Vec<OwnedFd>) -> Option<Vec<(SocketAddr, Vec<OwnedFd>)>> {
    let mut fds = fds.into_iter();
    let mut grouped = Vec::with_capacity(sockets.len());
    for Sockets { address, count } in sockets {
        let own: Vec<OwnedFd> = fds.by_ref().take(*count).collect();
        if own.len() != *count {
            return None;
        }
        grouped.push((*address, own));
    }
    fds.next().is_none().then_some(grouped)
}
