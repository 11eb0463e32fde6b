//! Passing a body on, piece by piece, whichever way it goes.
//!
//! Knows nothing about heads, routes or instances.

use super::chunked::{self, ChunkError, Decoded, Decoder};
use crate::buffer::{Buf, Use};
use crate::client::Watch;
use crate::clock::{Deadline, Millis};
use crate::transport::{self, TransportError};
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};

/// Data up to this size is copied behind the head and written with it: one call instead of a gathering one,
/// and copying 8 KiB costs less than the difference.
const COPY_AT_MOST: usize = 8 * 1024;

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

    fn take(&mut self, piece: &mut [u8]) -> Result<Decoded, ChunkError> {
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

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Chunked,
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
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
        C: Watch,
    {
        let mut watching = watch.is_some();
        loop {
            let mut taken = Decoded { data: 0, read: 0, done: self.framing.is_done() };
            if let (Some(buf), false) = (slot.as_mut(), taken.done) {
                taken = self.framing.take(buf.filled_mut())?;
            }
            self.write_piece(head, slot.as_ref(), &taken, writer).await?;
            if let Some(buf) = slot {
                buf.consume(taken.read);
                if buf.is_empty() {
                    *slot = None;
                }
            }
            if taken.done {
                return Ok(());
            }
            self.deadline.arm(self.read_patience);
            let count = poll_fn(|cx| {
                match transport::poll_read(reader, slot, Use::Body, self.deadline, cx) {
                    Poll::Ready(done) => return Poll::Ready(done.map_err(BodyError::Source)),
                    Poll::Pending => {}
                }
                let gone =
                    watch.as_mut().is_some_and(|peer| transport::poll_gone(&mut **peer, &mut watching, cx));
                if gone { Poll::Ready(Err(BodyError::Gone)) } else { Poll::Pending }
            })
            .await?;
            if count == 0 {
                return self.end_of_input(writer).await;
            }
        }
    }

    async fn write_piece<W: AsyncWrite + Unpin>(
        &mut self,
        head: &mut Vec<u8>,
        slot: Option<&Buf>,
        taken: &Decoded,
        writer: &mut W,
    ) -> Result<(), BodyError> {
        let data = slot.map_or(&[][..], |buf| &buf.filled()[..taken.data]);
        let end: &[u8] = match (self.coding, data.is_empty(), taken.done) {
            (Coding::Plain, ..) | (Coding::Chunked, true, false) => b"",
            (Coding::Chunked, false, false) => b"\r\n",
            (Coding::Chunked, true, true) => b"0\r\n\r\n",
            (Coding::Chunked, false, true) => b"\r\n0\r\n\r\n",
        };
        if self.coding == Coding::Chunked && !data.is_empty() {
            chunked::write_size(head, data.len());
        }
        let written = if data.len() <= COPY_AT_MOST {
            head.extend_from_slice(data);
            head.extend_from_slice(end);
            transport::write_all(writer, &[head], self.deadline, self.write_patience).await
        } else {
            transport::write_all(writer, &[head, data, end], self.deadline, self.write_patience).await
        };
        head.clear();
        written.map_err(BodyError::Sink)
    }

    async fn end_of_input<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> Result<(), BodyError> {
        if !matches!(self.framing, Framing::UntilClose) {
            return Err(BodyError::Truncated);
        }
        if self.coding == Coding::Chunked {
            let end = transport::write_all(writer, &[b"0\r\n\r\n"], self.deadline, self.write_patience).await;
            end.map_err(BodyError::Sink)?;
        }
        Ok(())
    }
}

/// An end of input that came where none may come.
pub(crate) fn unexpected_end() -> TransportError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}
