//! Where a message goes, head and body: bytes one after the other as HTTP/1.1 has them, or what a carrier with frames of
//! its own makes of them.
//!
//! Knows nothing about where messages come from.

use crate::clock::{Deadline, Millis};
use crate::h1::chunked;
use crate::transport::{self, TransportError};
use http::HeaderMap;
use tokio::io::AsyncWrite;

/// Data up to this size is copied behind the head and written with it: one call instead of a gathering one,
/// and copying 8 KiB costs less than the difference.
const COPY_AT_MOST: usize = 8 * 1024;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Chunked,
}

/// A piece of a message's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'p> {
    pub(crate) data: &'p [u8],
    pub(crate) coding: Coding,
    /// Nothing follows.
    pub(crate) is_last: bool,
}

/// Takes a message piece by piece.
pub(crate) trait Sink: AsyncWrite + Unpin + Sized {
    /// Whether it shows by itself where bodies end, so that those without a length need no chunks.
    const IS_FRAMED: bool = false;

    /// Writes `head`, which may be empty and is emptied, and a piece of the body. `patience` is the time between two
    /// writes that got something done.
    async fn write_piece(
        &mut self,
        head: &mut Vec<u8>,
        piece: Piece<'_>,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(), TransportError> {
        let Piece { data, coding, is_last } = piece;
        let end: &[u8] = match (coding, data.is_empty(), is_last) {
            (Coding::Plain, ..) | (Coding::Chunked, true, false) => b"",
            (Coding::Chunked, false, false) => b"\r\n",
            (Coding::Chunked, true, true) => b"0\r\n\r\n",
            (Coding::Chunked, false, true) => b"\r\n0\r\n\r\n",
        };
        if coding == Coding::Chunked && !data.is_empty() {
            chunked::write_size(head, data.len());
        }
        let written = if data.len() <= COPY_AT_MOST {
            head.extend_from_slice(data);
            head.extend_from_slice(end);
            transport::write_all(self, &[head], deadline, patience).await
        } else {
            transport::write_all(self, &[head, data, end], deadline, patience).await
        };
        head.clear();
        written
    }

    /// Takes trailers, to be written behind the last piece; where there is no place for them they are dropped.
    fn keep_trailers(&mut self, _: HeaderMap) {}

    /// Lets a client that waits for it send its body (RFC 9110, 10.1.1).
    async fn say_continue(&mut self, deadline: &Deadline, patience: Millis) -> Result<(), TransportError> {
        transport::write_all(self, &[b"HTTP/1.1 100 Continue\r\n\r\n"], deadline, patience).await
    }
}
