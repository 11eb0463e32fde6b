//! How control messages travel: one line of JSON each, sockets beside it as SCM_RIGHTS.
//!
//! Descriptors are attached to the first bytes of the line, a batch to each byte, as the kernel takes at most 253
//! at a time. Knows nothing about what messages do.

use super::ControlError;
use mainstay_model::table::{EdgeStatus, RouteTable};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Descriptors sent with one byte (the kernel's SCM_MAX_FD is 253).
const BATCH: usize = 128;
/// Longest message. A table of 10,000 routes takes some 3 MiB.
const LONGEST: usize = 16 * 1024 * 1024;

/// What the edge is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Put a table in force. The sockets come with the message, in this order.
    Apply {
        table: Box<RouteTable>,
        sockets: Vec<Sockets>,
    },
    Status,
    /// All counts, as Prometheus text.
    Metrics,
    /// Hand out copies of all listening sockets.
    TakeListeners,
    /// End: no new connections from now on, none at all after `grace_ms`.
    Shutdown {
        grace_ms: u64,
    },
}

/// Sockets of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sockets {
    pub(crate) address: SocketAddr,
    pub(crate) count: usize,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Done,
    Status(EdgeStatus),
    Metrics(String),
    Listeners(Vec<Sockets>),
    /// Nothing was changed.
    Refused(String),
}

/// Sends one message.
pub(crate) async fn send<M: Serialize>(
    stream: &UnixStream,
    message: &M,
    sockets: &[BorrowedFd<'_>],
) -> Result<(), ControlError> {
    let mut line = serde_json::to_vec(message).map_err(ControlError::Malformed)?;
    line.push(b'\n');
    let mut sent = 0;
    for batch in sockets.chunks(BATCH) {
        let byte = line.get(sent..=sent).ok_or(ControlError::TooManySockets)?;
        sent += send_some(stream, byte, batch).await?;
    }
    while sent < line.len() {
        sent += send_some(stream, &line[sent..], &[]).await?;
    }
    Ok(())
}

async fn send_some(stream: &UnixStream, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, flags)?)
    };
    stream.async_io(Interest::WRITABLE, send).await
}

/// The receiving side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    bytes: Vec<u8>,
    sockets: Vec<OwnedFd>,
}

impl Receiver {
    /// The next message with its sockets; none when the other side ended.
    pub(crate) async fn next<M: DeserializeOwned>(
        &mut self,
        stream: &UnixStream,
    ) -> Result<Option<(M, Vec<OwnedFd>)>, ControlError> {
        let mut searched = 0;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.bytes[searched..]) {
                let rest = self.bytes.split_off(searched + found + 1);
                let line = std::mem::replace(&mut self.bytes, rest);
                let message = serde_json::from_slice(&line).map_err(ControlError::Malformed)?;
                return Ok(Some((message, std::mem::take(&mut self.sockets))));
            }
            searched = self.bytes.len();
            if searched > LONGEST {
                return Err(ControlError::TooLong);
            }
            if stream.async_io(Interest::READABLE, || self.receive_some(stream)).await? == 0 {
                return if self.bytes.is_empty() { Ok(None) } else { Err(ControlError::Ended) };
            }
        }
    }

    fn receive_some(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received =
            rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut piece)], &mut ancillary, flags)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                self.sockets.extend(sockets);
            }
        }
        self.bytes.extend_from_slice(&piece[..received.bytes]);
        Ok(received.bytes)
    }
}
