//! Moving bytes between a socket and a buffer under a deadline.
//!
//! Generic over the stream. Knows nothing about HTTP.

use crate::buffer::{Buf, Use};
use crate::client::Watch;
use crate::clock::{Deadline, Millis};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Why bytes did not move.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The deadline passed.
    #[error("timed out")]
    TimedOut,
    /// The buffer is full and what it holds is not yet complete.
    #[error("larger than the buffer")]
    Full,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One read into `slot`, which gets a buffer only when bytes are there. 0 means the peer ended its side.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    slot: &mut Option<Buf>,
    purpose: Use,
    deadline: &Deadline,
) -> Result<usize, TransportError> {
    poll_fn(|cx| poll_read(reader, slot, purpose, deadline, cx)).await
}

/// The same, for those who poll several things.
pub(crate) fn poll_read<R: AsyncRead + Unpin>(
    reader: &mut R,
    slot: &mut Option<Buf>,
    purpose: Use,
    deadline: &Deadline,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, TransportError>> {
    match poll_into(reader, slot, purpose, cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending if deadline.passed(cx) => Poll::Ready(Err(TransportError::TimedOut)),
        Poll::Pending => Poll::Pending,
    }
}

/// The same without a deadline.
pub(crate) fn poll_fill_slot<R: AsyncRead + Unpin>(
    reader: &mut R,
    slot: &mut Option<Buf>,
    purpose: Use,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    poll_into(reader, slot, purpose, cx).map_err(|error| match error {
        TransportError::Io(error) => error,
        other => io::Error::other(other),
    })
}

fn poll_into<R: AsyncRead + Unpin>(
    reader: &mut R,
    slot: &mut Option<Buf>,
    purpose: Use,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, TransportError>> {
    let mut buf = slot.take().unwrap_or_else(|| Buf::take(purpose));
    let outcome = poll_fill(reader, &mut buf, cx);
    // An idle connection owns no buffer.
    if !buf.is_empty() {
        *slot = Some(buf);
    }
    outcome
}

fn poll_fill<R: AsyncRead + Unpin>(
    reader: &mut R,
    buf: &mut Buf,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, TransportError>> {
    let spare = buf.spare();
    if spare.is_empty() {
        return Poll::Ready(Err(TransportError::Full));
    }
    let mut into = ReadBuf::new(spare);
    ready!(Pin::new(reader).poll_read(cx, &mut into))?;
    let count = into.filled().len();
    buf.grow(count);
    Poll::Ready(Ok(count))
}

/// Writes all of `parts`, in as few calls as the socket allows. `patience` is the time between two writes
/// that got something done.
pub(crate) async fn write_all<W: AsyncWrite + Unpin>(
    writer: &mut W,
    parts: &[&[u8]],
    deadline: &Deadline,
    patience: Millis,
) -> Result<(), TransportError> {
    let mut done = 0;
    let total: usize = parts.iter().map(|p| p.len()).sum();
    while done < total {
        let step = patiently(deadline, patience, |cx| poll_write(writer, parts, done, cx)).await?;
        if step == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        done += step;
    }
    flush(writer, deadline, patience).await
}

/// Sends `total` bytes by `send`, which is given how many are done and says how many more; it is asked once even for none.
pub(crate) async fn write_by(
    total: usize,
    deadline: &Deadline,
    patience: Millis,
    mut send: impl FnMut(usize, &mut Context<'_>) -> Poll<io::Result<usize>>,
) -> Result<(), TransportError> {
    let mut done = 0;
    loop {
        done += patiently(deadline, patience, |cx| send(done, cx)).await?;
        if done == total {
            return Ok(());
        }
    }
}

/// Sees to it that what a layer above the socket has taken is on the socket too; sockets themselves keep nothing.
async fn flush<W: AsyncWrite + Unpin>(
    writer: &mut W,
    deadline: &Deadline,
    patience: Millis,
) -> Result<(), TransportError> {
    patiently(deadline, patience, |cx| Pin::new(&mut *writer).poll_flush(cx)).await
}

/// Polls until done, for `patience` at most. Most steps never wait; only those that do pay for a deadline.
pub(crate) async fn patiently<T>(
    deadline: &Deadline,
    patience: Millis,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> Result<T, TransportError> {
    let mut armed = false;
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(TransportError::Io)),
        Poll::Pending => {
            if !armed {
                deadline.arm(patience);
                armed = true;
            }
            if deadline.passed(cx) { Poll::Ready(Err(TransportError::TimedOut)) } else { Poll::Pending }
        }
    })
    .await
}

fn poll_write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    parts: &[&[u8]],
    done: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    /// Head, chunk size, data, chunk end.
    const MOST_PARTS: usize = 4;
    let mut slices = [IoSlice::new(&[]); MOST_PARTS];
    let mut used = 0;
    let mut skip = done;
    for part in parts.iter().take(MOST_PARTS) {
        if skip >= part.len() {
            skip -= part.len();
            continue;
        }
        slices[used] = IoSlice::new(&part[skip..]);
        skip = 0;
        used += 1;
    }
    if used == 1 {
        return Pin::new(writer).poll_write(cx, &slices[0]);
    }
    Pin::new(writer).poll_write_vectored(cx, &slices[..used])
}

/// Whether a client that is only being written to has gone. `watching` is cleared when it turns out to have
/// sent more: then nothing can be said until that is read.
pub(crate) fn poll_gone<R: Watch>(reader: &mut R, watching: &mut bool, cx: &mut Context<'_>) -> bool {
    if !*watching {
        return false;
    }
    match reader.poll_ended(cx) {
        Poll::Pending => false,
        Poll::Ready(ended) => {
            *watching = ended;
            ended
        }
    }
}
