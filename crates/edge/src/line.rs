//! What one request is put over: a connection of its own, or a stream of one that it shares.
//!
//! Knows nothing about which instance is at its other end.

use crate::call::{Call, Way};
use crate::clock::{Deadline, Millis};
use crate::connect::ConnectError;
use crate::h1::ForwardError;
use crate::transport::{self, TransportError};
use crate::wire::{Reader, Wire, Writer};

/// Where a request goes and its answer comes from.
#[derive(Debug)]
pub(crate) enum Line {
    Wire(Wire),
    Call(Box<Call>),
}

impl Line {
    /// A stream of a connection, which is made where there is none; and whether that had been there.
    pub(crate) async fn call(
        way: Way,
        takes_trailers: bool,
        deadline: &Deadline,
    ) -> Result<(Self, bool), ConnectError> {
        let (call, was_there) = Call::begin(way, deadline).await?;
        call.set_takes_trailers(takes_trailers);
        Ok((Self::Call(Box::new(call)), was_there))
    }

    /// Both directions at once.
    pub(crate) fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Self::Wire(wire) => wire.split(),
            Self::Call(call) => (Reader::Call(call), Writer::Call(call)),
        }
    }

    /// Sends a request that is all in `bytes`: an HTTP/1.1 head, and behind it the body. `patience` is the time between two
    /// writes that got something done.
    pub(crate) async fn send(
        &mut self,
        bytes: &[u8],
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(), TransportError> {
        match self {
            Self::Wire(wire) => transport::write_all(&mut wire.split().1, &[bytes], deadline, patience).await,
            Self::Call(call) => {
                let head = call.send_head(bytes, |head| head == bytes.len())?;
                if head == bytes.len() {
                    return Ok(());
                }
                let body = &bytes[head..];
                transport::write_by(body.len(), deadline, patience, |done, cx| {
                    call.poll_send(&body[done..], true, cx)
                })
                .await
            }
        }
    }

    /// Takes note of why no answer came. One that should have come and did not says that nobody may be there any more: other
    /// requests do not go the same way.
    pub(crate) fn blame(&self, error: &ForwardError) {
        match self {
            Self::Call(call) if matches!(error, ForwardError::UpstreamTimedOut) => call.retire(),
            // It is closed with its request.
            Self::Call(_) | Self::Wire(_) => {}
        }
    }
}
