//! Control of the edge over a unix socket, by the agent.
//!
//! Requests and replies are single lines of JSON; listening sockets travel with them. Only root and the edge's
//! own user are listened to. Knows nothing about HTTP.

mod client;
pub(crate) mod server;
pub(crate) mod wire;

pub use client::Client;

use crate::persist::PersistError;
use crate::table::TableError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What went wrong between agent and edge.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket could not be reached or failed.
    #[error("the edge's control socket failed")]
    Io(#[from] io::Error),
    /// No edge listens at this path.
    #[error("no edge listens at {}", path.display())]
    NoEdge { path: PathBuf, source: io::Error },
    /// The other side sent something else than was agreed.
    #[error("not a control message")]
    Malformed(#[source] serde_json::Error),
    /// The other side ended in the middle of a message.
    #[error("the edge ended the conversation")]
    Ended,
    /// A message beyond any sensible size.
    #[error("a control message is too long")]
    TooLong,
    /// More sockets than a message can carry.
    #[error("too many sockets for one message")]
    TooManySockets,
    /// The edge understood and said no; nothing changed.
    #[error("the edge refused: {0}")]
    Refused(String),
    /// An answer to another question.
    #[error("the edge gave an answer that was not asked for")]
    WrongReply,
}

/// Why a table was not put in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{source}: {}", reason_of(source))]
    Persist {
        #[from]
        source: PersistError,
    },
}

fn reason_of(error: &PersistError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
