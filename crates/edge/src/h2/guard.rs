//! The bytes of an HTTP/2 connection on their way to the frame layer, with an eye on frames that cost their sender nothing:
//! a client that sends thousands of settings, pings or empty pieces wants our time, not an answer (CVE-2019-9511 to 9518).
//!
//! Only frames' headers are read. Knows nothing about streams.

use super::PREFACE;
use crate::buffer::Buf;
use crate::client::Client;
use crate::clock::{self, Millis};
use crate::turn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Idle talk a client may save up, in frames. A page with hundreds of resources re-prioritised at once stays far below.
const MOST_SAVED: u64 = 2_000;
/// Frames of idle talk a client may send for good, a second.
const PER_SECOND: u64 = 200;
/// Bytes of answers for each WINDOW_UPDATE that is no idle talk. Whoever confirms every frame does so twice, for the stream
/// and for the connection, and the smallest frame of a stream of events has some forty bytes.
const PER_UPDATE: u64 = 16;
/// Bytes that are taken of a connection before others have their turn: two frames' worth of an upload.
const TURN: usize = 32 * 1024;
/// Bytes that a frame of idle talk counts for in that: a connection has sixty of them answered in a turn.
const IDLE_WEIGHT: usize = 512;
/// Bytes taken at once of whoever talked idly, or has said nothing yet: what is taken is answered in one go.
const WARY_READ: usize = 1024;

/// A connection under watch.
pub(super) struct Guarded<C> {
    stream: C,
    /// What had arrived before.
    early: Option<Buf>,
    frames: Frames,
    /// What was taken since others had their turn, in bytes. More than a turn's worth is worked off in several.
    taken: usize,
    is_wary: bool,
}

impl<C> Guarded<C> {
    pub(super) fn new(stream: C, early: Option<Buf>) -> Self {
        let early = early.filter(|buf| !buf.is_empty());
        Self { stream, early, frames: Frames::new(clock::now()), taken: 0, is_wary: true }
    }
}

/// Follows the frames of one direction.
struct Frames {
    /// Bytes of the preface or of a frame's payload still to come.
    skip: usize,
    header: [u8; Self::HEADER],
    header_len: usize,
    saved: u64,
    since: Millis,
    /// Bytes of answers that no WINDOW_UPDATE has been for yet.
    sent: u64,
}

impl Frames {
    /// Length, type, flags, stream.
    const HEADER: usize = 9;

    fn new(now: Millis) -> Self {
        let header = [0; Self::HEADER];
        Self { skip: PREFACE.len(), header, header_len: 0, saved: MOST_SAVED, since: now, sent: 0 }
    }

    /// Takes in what was read, and counts the frames of idle talk in it; none when there is too much of that.
    fn follow(&mut self, mut bytes: &[u8], now: Millis) -> Option<usize> {
        let mut idle = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let step = self.skip.min(bytes.len());
                self.skip -= step;
                bytes = &bytes[step..];
                continue;
            }
            let step = (Self::HEADER - self.header_len).min(bytes.len());
            self.header[self.header_len..][..step].copy_from_slice(&bytes[..step]);
            self.header_len += step;
            bytes = &bytes[step..];
            if self.header_len == Self::HEADER {
                self.header_len = 0;
                let [high, middle, low, kind, flags, ..] = self.header;
                self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                let is_paid = kind == WINDOW_UPDATE && self.pay();
                if !is_paid && is_idle_talk(kind, flags, self.skip) {
                    idle += 1;
                    if !self.spend(now) {
                        return None;
                    }
                }
            }
        }
        Some(idle)
    }

    /// Takes a WINDOW_UPDATE for one that follows from an answer.
    fn pay(&mut self) -> bool {
        let left = self.sent.checked_sub(PER_UPDATE);
        self.sent = left.unwrap_or(self.sent);
        left.is_some()
    }

    fn spend(&mut self, now: Millis) -> bool {
        if self.saved == 0 {
            let earned = now.saturating_sub(self.since) * PER_SECOND / 1000;
            self.saved = earned.min(MOST_SAVED);
            self.since = now;
        }
        let can = self.saved > 0;
        self.saved = self.saved.saturating_sub(1);
        can
    }
}

const WINDOW_UPDATE: u8 = 8;

/// Whether a frame asks for nothing: DATA and CONTINUATION without content, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY,
/// WINDOW_UPDATE and whatever is unknown (RFC 9113, 6). Opening streams is what clients are there for, and acknowledging is
/// asked of them.
fn is_idle_talk(kind: u8, flags: u8, length: usize) -> bool {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const CONTINUATION: u8 = 9;
    /// END_STREAM of DATA, ACK of SETTINGS and PING.
    const FIRST_FLAG: u8 = 1;
    match kind {
        DATA => length == 0 && flags & FIRST_FLAG == 0,
        CONTINUATION => length == 0,
        HEADERS => false,
        SETTINGS | PING => flags & FIRST_FLAG == 0,
        _ => true,
    }
}

impl<C: Client> Guarded<C> {
    fn poll_take(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = if self.is_wary { WARY_READ.min(into.remaining()) } else { into.remaining() };
        if let Some(early) = &mut self.early {
            let count = early.filled().len().min(most);
            into.put_slice(&early.filled()[..count]);
            early.consume(count);
            if early.is_empty() {
                self.early = None;
            }
            return Poll::Ready(Ok(()));
        }
        let read = if self.is_wary {
            let mut few = [0; WARY_READ];
            let mut few = ReadBuf::new(&mut few[..most]);
            Pin::new(&mut self.stream).poll_read(cx, &mut few).map_ok(|()| into.put_slice(few.filled()))
        } else {
            Pin::new(&mut self.stream).poll_read(cx, into)
        };
        if read.is_pending() {
            self.taken = 0;
        }
        read
    }
}

impl<C: Client> AsyncRead for Guarded<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.taken >= TURN {
            this.taken -= TURN;
            turn::wait_for_others(cx);
            return Poll::Pending;
        }
        let before = into.filled().len();
        ready!(this.poll_take(cx, into))?;
        let taken = &into.filled()[before..];
        let Some(idle) = this.frames.follow(taken, clock::now()) else {
            return Poll::Ready(Err(io::Error::other("too many frames that ask for nothing")));
        };
        this.taken += taken.len() + idle * IDLE_WEIGHT;
        this.is_wary = idle > 0;
        Poll::Ready(Ok(()))
    }
}

impl<C: Client> AsyncWrite for Guarded<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.frames.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))?;
        self.frames.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(bytes.len() + usize::from(length), 4);
        bytes
    }

    /// Frames followed until one is too many.
    fn followed(frame: &[u8], step: usize) -> u64 {
        let mut frames = Frames::new(0);
        assert_eq!(frames.follow(PREFACE, 0), Some(0));
        for count in 0..3 * MOST_SAVED {
            for piece in frame.chunks(step) {
                if frames.follow(piece, 0).is_none() {
                    return count;
                }
            }
        }
        u64::MAX
    }

    #[test]
    fn idle_talk_is_bounded_however_it_arrives() {
        for step in [1, 5, 100] {
            for idle in [
                frame(4, 0, 6),
                frame(6, 0, 8),
                frame(8, 0, 4),
                frame(2, 0, 5),
                frame(0, 0, 0),
                frame(99, 0, 30),
            ] {
                assert_eq!(followed(&idle, step), MOST_SAVED, "{idle:?}");
            }
            for asked in [frame(0, 0, 1), frame(0, 1, 0), frame(1, 4, 9), frame(4, 1, 0), frame(6, 1, 8)] {
                assert_eq!(followed(&asked, step), u64::MAX, "{asked:?}");
            }
        }
    }

    #[test]
    fn a_steady_ping_is_no_flood() {
        let mut frames = Frames::new(0);
        assert_eq!(frames.follow(PREFACE, 0), Some(0));
        assert!((1..20_000).all(|turn| frames.follow(&frame(6, 0, 8), turn * 10).is_some()));
    }

    #[test]
    fn room_for_answers_is_no_idle_talk() {
        let mut frames = Frames::new(0);
        assert_eq!(frames.follow(PREFACE, 0), Some(0));
        // Forty bytes at a time, each confirmed for its stream and for the connection.
        for _ in 0..10 * MOST_SAVED {
            frames.sent += 40;
            assert_eq!(frames.follow(&[frame(8, 0, 4), frame(8, 0, 4)].concat(), 0), Some(0));
        }
    }

    /// Bytes of each turn in which `bytes` are taken, when all of them are there.
    async fn turns(bytes: Vec<u8>) -> Vec<usize> {
        use std::future::poll_fn;
        use tokio::io::AsyncWriteExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut guarded = Guarded::new(listener.accept().await.unwrap().0, None);
        client.write_all(&bytes).await.unwrap();
        let (mut left, mut turns, mut piece) = (bytes.len(), Vec::new(), [0; 4096]);
        poll_fn(|cx| {
            let mut in_turn = 0;
            while left > 0 {
                let mut into = ReadBuf::new(&mut piece);
                if Pin::new(&mut guarded).poll_read(cx, &mut into).map(Result::unwrap).is_pending() {
                    turns.push(in_turn);
                    return Poll::Pending;
                }
                in_turn += into.filled().len();
                left -= into.filled().len();
            }
            turns.push(in_turn);
            Poll::Ready(())
        })
        .await;
        turns
    }

    #[tokio::test]
    async fn one_connection_does_not_hold_up_the_others() {
        let upload: Vec<u8> = (0..640).flat_map(|_| frame(0, 0, 200)).collect();
        let length = PREFACE.len() + upload.len();
        let turns = turns([PREFACE, &upload].concat()).await;
        assert!(turns.len() >= length / TURN && turns.iter().all(|taken| *taken <= TURN + 4096), "{turns:?}");
        assert_eq!(turns.iter().sum::<usize>(), length);
    }

    #[tokio::test]
    async fn idle_talk_gets_short_turns() {
        const FRAMES: usize = 1900;
        let settings = frame(4, 0, 0).repeat(FRAMES);
        let turns = turns([PREFACE, &settings].concat()).await;
        assert!(turns.len() >= FRAMES * IDLE_WEIGHT / TURN, "{turns:?}");
        // One piece may begin just before a turn is over.
        let most = TURN / IDLE_WEIGHT * Frames::HEADER + WARY_READ;
        assert!(turns.iter().all(|taken| *taken <= most), "{turns:?}");
    }
}
