//! Passing a body of known length from one socket to another through a pipe of the kernel's (splice(2)): its bytes are
//! never copied here.
//!
//! Knows nothing about heads and about whose sockets they are.

use crate::clock::{Deadline, Millis};
use crate::h1::BodyError;
use crate::tally::Tally;
use crate::transport::{self, TransportError};
use crate::turn::Turn;
use rustix::fd::OwnedFd;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use rustix::process::{Resource, getrlimit};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Less than this is cheaper copied than sent through a pipe, which takes two calls.
pub(crate) const AT_LEAST: u64 = 8 * 1024;
/// Bytes that a pipe takes at once; beyond it more calls are saved only by very fast clients.
const CAPACITY: usize = 256 * 1024;
/// Pipes kept for reuse by a thread. A body holds one from its first byte to its last.
const KEEP: usize = 32;

/// Pipes that the process may have: an eighth of its descriptors, of which each takes two. Bodies that never end would take
/// what new connections need; those that get no pipe are copied.
static MOST: LazyLock<usize> = LazyLock::new(|| {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 16;
    usize::try_from(most).unwrap_or(usize::MAX)
});
/// Pipes that it has.
static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static FREE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe, and how much is in it.
pub(crate) struct Pipe {
    outlet: OwnedFd,
    inlet: OwnedFd,
    held: usize,
}

impl Pipe {
    /// A free pipe of this thread or a new one; none when there are enough.
    pub(crate) fn take() -> Option<Self> {
        if let Some(free) = FREE.with_borrow_mut(Vec::pop) {
            return Some(free);
        }
        // Several threads may find the last one free.
        if OPEN.load(Ordering::Relaxed) >= *MOST {
            return None;
        }
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        OPEN.fetch_add(1, Ordering::Relaxed);
        // One that must stay small (`pipe-user-pages-soft`) does too.
        let _ = fcntl_setpipe_size(&inlet, CAPACITY);
        Some(Self { outlet, inlet, held: 0 })
    }

    /// What is left in a pipe belongs to nobody else: only an empty one is kept.
    fn give_back(self) {
        FREE.with_borrow_mut(|free| {
            if self.held == 0 && free.len() < KEEP {
                free.push(self);
            }
        });
    }

    /// Takes in up to `most` bytes; 0 at the end of input.
    fn poll_fill(&mut self, from: &TcpStream, most: u64, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(CAPACITY);
        let moved = poll_io(from, Interest::READABLE, cx, || {
            Ok(splice(from, None, &self.inlet, None, most, SpliceFlags::NONBLOCK)?)
        });
        if let Poll::Ready(Ok(count)) = moved {
            self.held += count;
        }
        moved
    }

    fn poll_drain(&mut self, to: &TcpStream, more: bool, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let flags = if more { SpliceFlags::NONBLOCK | SpliceFlags::MORE } else { SpliceFlags::NONBLOCK };
        let moved = poll_io(to, Interest::WRITABLE, cx, || {
            Ok(splice(&self.outlet, None, to, None, self.held, flags)?)
        });
        if let Poll::Ready(Ok(count)) = moved {
            self.held -= count;
        }
        moved
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One call on a socket, when the socket is ready for it.
fn poll_io(
    socket: &TcpStream,
    interest: Interest,
    cx: &mut Context<'_>,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        let ready =
            if interest.is_readable() { socket.poll_read_ready(cx) } else { socket.poll_write_ready(cx) };
        match ready {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        match socket.try_io(interest, &mut call) {
            // It was not ready after all, which is remembered now.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

/// A body on its way between two sockets.
pub(crate) struct Splicing<'s> {
    pub(crate) from: &'s TcpStream,
    pub(crate) to: &'s TcpStream,
    pub(crate) deadline: &'s Deadline,
    /// Time between two reads.
    pub(crate) read_patience: Millis,
    /// Time between two writes.
    pub(crate) write_patience: Millis,
    /// Where the bytes that were written are noted.
    pub(crate) tally: Option<&'s Tally>,
}

impl Splicing<'_> {
    /// Writes `head` and `begun`, the beginning of the body, and passes `left` more bytes on through `pipe`. False when the
    /// sender has sent more than that.
    pub(crate) async fn run(
        &self,
        mut pipe: Pipe,
        head: &[u8],
        begun: &[u8],
        mut left: u64,
    ) -> Result<bool, BodyError> {
        // What is there already goes out with the head, in as few segments as if it were written at once; but the head
        // does not wait for what is not.
        let found = poll_fn(|cx| Poll::Ready(pipe.poll_fill(self.from, left, cx))).await;
        if let Poll::Ready(found) = found {
            left -= taken_in(found.map_err(TransportError::Io))?;
        }
        self.write(head, begun, pipe.held > 0).await.map_err(BodyError::Sink)?;
        self.note(begun.len());
        let mut turn = Turn::default();
        loop {
            while pipe.held > 0 {
                let count = transport::patiently(self.deadline, self.write_patience, |cx| {
                    pipe.poll_drain(self.to, left > 0, cx)
                });
                let count = count.await.map_err(BodyError::Sink)?;
                self.note(count);
                turn.spend(count).await;
            }
            if left == 0 {
                pipe.give_back();
                return Ok(is_quiet(self.from));
            }
            let count = transport::patiently(self.deadline, self.read_patience, |cx| {
                pipe.poll_fill(self.from, left, cx)
            });
            left -= taken_in(count.await)?;
        }
    }

    fn note(&self, sent: usize) {
        if let Some(tally) = self.tally {
            tally.add_sent(sent);
        }
    }

    async fn write(&self, head: &[u8], begun: &[u8], more: bool) -> Result<(), TransportError> {
        let flags = if more { SendFlags::MORE | SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL };
        let (mut head, mut begun) = (head, begun);
        while !(head.is_empty() && begun.is_empty()) {
            let written = transport::patiently(self.deadline, self.write_patience, |cx| {
                poll_io(self.to, Interest::WRITABLE, cx, || {
                    let parts = [IoSlice::new(head), IoSlice::new(begun)];
                    Ok(sendmsg(self.to, &parts, &mut SendAncillaryBuffer::default(), flags)?)
                })
            });
            let written = written.await?;
            let of_head = written.min(head.len());
            head = &head[of_head..];
            begun = &begun[written - of_head..];
        }
        Ok(())
    }
}

/// Whether nothing waits on a socket. Having asked it, the reactor knows that too: unlike a read that comes back with
/// less than there was room for, taking just what is due leaves that open.
fn is_quiet(socket: &TcpStream) -> bool {
    let peeked = socket.try_io(Interest::READABLE, || {
        let (count, _) = recv(socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
        Ok(count)
    });
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn taken_in(found: Result<usize, TransportError>) -> Result<u64, BodyError> {
    match found {
        Ok(0) => Err(BodyError::Truncated),
        Ok(count) => Ok(count as u64),
        Err(error) => Err(BodyError::Source(error)),
    }
}
