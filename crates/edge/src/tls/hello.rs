//! The first thing a client says in TLS (RFC 8446, 4.1.2), read before it is known who answers it.
//!
//! It may come in any number of pieces, within a deadline and no larger than a head of HTTP. Knows nothing about who is asked
//! for.

use crate::buffer::{Buf, Use};
use crate::clock::Deadline;
use crate::transport::{self, TransportError};
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use std::io;
use tokio::net::TcpStream;

/// A hello, understood, and its bytes with whatever came behind it.
pub(crate) struct Hello {
    pub(crate) accepted: Accepted,
    pub(crate) bytes: Buf,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("the client said nothing whole: {0}")]
    Transport(#[from] TransportError),
    #[error("the client went away")]
    Gone,
    #[error("no TLS: {0}")]
    Malformed(#[source] rustls::Error),
}

impl Hello {
    /// Reads one. The deadline must be armed.
    pub(crate) async fn read(stream: &mut TcpStream, deadline: &Deadline) -> Result<Self, HelloError> {
        let mut acceptor = Acceptor::default();
        let mut slot = None;
        loop {
            let count = transport::read(stream, &mut slot, Use::Head, deadline).await?;
            let bytes: Buf = slot.take_if(|_| count > 0).ok_or(HelloError::Gone)?;
            let mut fresh = &bytes.filled()[bytes.filled().len() - count..];
            while !fresh.is_empty() {
                acceptor.read_tls(&mut fresh).map_err(TransportError::Io)?;
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok(Self { accepted, bytes }),
                Ok(None) => slot = Some(bytes),
                Err((error, alert)) => {
                    say(alert, stream);
                    return Err(HelloError::Malformed(error));
                }
            }
        }
    }

    /// The name that is asked for, in lower case.
    pub(crate) fn name(&self) -> Option<String> {
        self.accepted.client_hello().server_name().map(str::to_ascii_lowercase)
    }
}

/// Tells the client what is wrong. A fresh connection takes these few bytes at once, or nobody is there.
fn say(mut alert: AcceptedAlert, stream: &TcpStream) {
    let mut bytes = Vec::new();
    let said: io::Result<usize> = alert.write_all(&mut bytes).and_then(|()| stream.try_write(&bytes));
    if let Err(error) = said {
        tracing::debug!(%error, "a client was not told what is wrong");
    }
}
