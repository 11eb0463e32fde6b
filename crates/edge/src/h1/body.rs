//! Passing a body on, piece by piece, whichever way it goes.
//!
//! Knows nothing about heads, routes or instances.

use super::chunked::{ChunkError, Decoded, Decoder};
use crate::buffer::{Buf, Use};
use crate::client::Watch;
use crate::clock::{self, Deadline, Millis};
use crate::sink::{Coding, Piece, Sink};
use crate::source::Source;
use crate::tally::Tally;
use crate::transport::{self, TransportError};
use crate::turn::Turn;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::io::AsyncRead;

/// How the end of a body is told.
#[derive(Debug, Clone)]
pub(crate) enum Framing {
    /// So many bytes are still to come; 0 for no body.
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

impl Framing {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    pub(super) fn take(&mut self, piece: &mut [u8]) -> Result<Decoded, ChunkError> {
        match self {
            Self::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                *left -= data as u64;
                Ok(Decoded { data, read: data, done: *left == 0 })
            }
            Self::Chunked(decoder) => decoder.decode(piece),
            Self::UntilClose => Ok(Decoded { data: piece.len(), read: piece.len(), done: false }),
        }
    }
}

/// Why a body was not passed on whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the sender: {0}")]
    Source(#[source] TransportError),
    #[error("the sender stopped in the middle")]
    Truncated,
    #[error(transparent)]
    Malformed(#[from] ChunkError),
    #[error("the receiver: {0}")]
    Sink(#[source] TransportError),
    #[error("the receiver has gone")]
    Gone,
    #[error("it is larger than its route takes")]
    TooLarge,
}

/// How long a body may take before its rate counts.
const SLOW_START: Millis = 60_000;

/// How a client's body arrives.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Millis,
    received: u64,
    /// Bytes a second.
    least: u64,
}

impl Pace {
    /// The pace that is asked of a body; one without a known length may be a conversation, and has none.
    pub(crate) fn of(framing: &Framing, least: u64) -> Option<Self> {
        matches!(framing, Framing::Length(_)).then(|| Self { since: clock::now(), received: 0, least })
    }

    /// When the next bytes must have come.
    fn next_by(&self) -> Millis {
        self.since
            .saturating_add(SLOW_START)
            .saturating_add(self.received.saturating_mul(1000) / self.least.max(1))
    }
}

/// A body on its way.
pub(crate) struct Passage<'p> {
    pub(crate) framing: Framing,
    pub(crate) coding: Coding,
    pub(crate) deadline: &'p Deadline,
    /// Time between two reads.
    pub(crate) read_patience: Millis,
    /// Time between two writes.
    pub(crate) write_patience: Millis,
    /// Bytes that may still come.
    pub(crate) most: u64,
    pub(crate) pace: Option<Pace>,
    /// Where the bytes that were written are noted.
    pub(crate) tally: Option<&'p Tally>,
}

impl Passage<'_> {
    /// Writes `head` and then the body: what `slot` holds of it, then what arrives. What follows the body
    /// stays in `slot`. When `watch` is given, its peer is only listening: the passage ends when it goes.
    pub(crate) async fn run<R, W, C>(
        mut self,
        head: &mut Vec<u8>,
        reader: &mut R,
        slot: &mut Option<Buf>,
        writer: &mut W,
        mut watch: Option<&mut C>,
    ) -> Result<(), BodyError>
    where
        R: Source,
        W: Sink,
        C: Watch,
    {
        let mut watching = watch.is_some();
        let mut turn = Turn::default();
        loop {
            let mut taken = Decoded { data: 0, read: 0, done: self.framing.is_done() };
            if let (Some(buf), false) = (slot.as_mut(), taken.done) {
                taken = self.framing.take(buf.filled_mut())?;
                self.most = self.most.checked_sub(taken.data as u64).ok_or(BodyError::TooLarge)?;
            }
            let data = slot.as_ref().map_or(&[][..], |buf| &buf.filled()[..taken.data]);
            let piece = Piece { data, coding: self.coding, is_last: taken.done };
            let written = writer.write_piece(head, piece, self.deadline, self.write_patience).await;
            written.map_err(BodyError::Sink)?;
            if let Some(tally) = self.tally {
                tally.add_sent(taken.data);
            }
            if let Some(buf) = slot {
                buf.consume(taken.read);
                if buf.is_empty() {
                    *slot = None;
                }
            }
            if taken.done {
                return Ok(());
            }
            turn.spend(taken.data).await;
            let count = self.more(taken.data, reader, slot, &mut watch, &mut watching).await?;
            if count == 0 {
                return self.end_of_input(head, reader, writer).await;
            }
        }
    }

    /// Reads some more, after `passed` bytes went on; 0 at the end of input.
    pub(super) async fn more<R: AsyncRead + Unpin, C: Watch>(
        &mut self,
        passed: usize,
        reader: &mut R,
        slot: &mut Option<Buf>,
        watch: &mut Option<&mut C>,
        watching: &mut bool,
    ) -> Result<usize, BodyError> {
        self.deadline.arm(self.read_patience);
        if let Some(pace) = &mut self.pace {
            pace.received += passed as u64;
            self.deadline.arm_at(pace.next_by().min(clock::now().saturating_add(self.read_patience)));
        }
        poll_fn(|cx| {
            match transport::poll_read(reader, slot, Use::Body, self.deadline, cx) {
                Poll::Ready(done) => return Poll::Ready(done.map_err(BodyError::Source)),
                Poll::Pending => {}
            }
            let gone = watch.as_mut().is_some_and(|peer| transport::poll_gone(&mut **peer, watching, cx));
            if gone { Poll::Ready(Err(BodyError::Gone)) } else { Poll::Pending }
        })
        .await
    }

    async fn end_of_input<R: Source, W: Sink>(
        &mut self,
        head: &mut Vec<u8>,
        reader: &mut R,
        writer: &mut W,
    ) -> Result<(), BodyError> {
        if !matches!(self.framing, Framing::UntilClose) {
            return Err(BodyError::Truncated);
        }
        reader.take_trailers().into_iter().for_each(|trailers| writer.keep_trailers(trailers));
        let piece = Piece { data: b"", coding: self.coding, is_last: true };
        writer.write_piece(head, piece, self.deadline, self.write_patience).await.map_err(BodyError::Sink)
    }
}

/// An end of input that came where none may come.
pub(crate) fn unexpected_end() -> TransportError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_body_gains_time_by_what_it_sends() {
        let mut pace = Pace { since: 1_000, received: 0, least: 500 };
        assert_eq!(pace.next_by(), 61_000);
        pace.received = 5_000;
        assert_eq!(pace.next_by(), 71_000);
        assert!(
            Pace::of(&Framing::UntilClose, 500).is_none() && Pace::of(&Framing::Length(1), 500).is_some()
        );
    }
}
