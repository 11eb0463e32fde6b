//! Buffers that are taken when bytes move and given back when they do not.
//!
//! Each worker thread keeps its own free lists, so no lock is taken. Dropping a buffer returns it. Knows
//! nothing about sockets or HTTP.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Room for one message head. A head that does not fit is refused, so this is also the head's byte budget:
/// twice nginx's largest header buffer (8 KiB), as cookies of single-page applications reach 10 KiB.
pub(crate) const HEAD_CAPACITY: usize = 16 * 1024;
/// Room for a piece of a body: 64 KiB is what one read of a loopback socket commonly returns, and the 4 KiB on
/// top let a 64 KiB body arrive together with its head in one read.
pub(crate) const BODY_CAPACITY: usize = 68 * 1024;
/// Head buffers kept for reuse by a thread (1 MiB at most).
const KEEP_HEADS: usize = 64;
/// Body buffers kept for reuse by a thread (about 1 MiB at most): bodies move one piece per wake-up, so few
/// are taken at once.
const KEEP_BODIES: usize = 16;
/// An output buffer that grew beyond this is not kept.
const KEEP_OUT_CAPACITY: usize = 2 * HEAD_CAPACITY;

thread_local! {
    static FREE: RefCell<Free> = const { RefCell::new(Free { heads: Vec::new(), bodies: Vec::new(), outs: Vec::new() }) };
}

struct Free {
    heads: Vec<Box<[u8]>>,
    bodies: Vec<Box<[u8]>>,
    outs: Vec<Vec<u8>>,
}

/// What a buffer is for, which decides its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A message head, from a client.
    Head,
    /// Body bytes, or whatever an upstream sends.
    Body,
}

/// A fixed-size byte buffer with a filled part that is consumed from the front.
#[derive(Debug)]
pub(crate) struct Buf {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buf {
    /// Takes a free buffer of this thread, or a new one.
    pub(crate) fn take(purpose: Use) -> Self {
        let reused = FREE.with_borrow_mut(|free| match purpose {
            Use::Head => free.heads.pop(),
            Use::Body => free.bodies.pop(),
        });
        let capacity = match purpose {
            Use::Head => HEAD_CAPACITY,
            Use::Body => BODY_CAPACITY,
        };
        Self { data: reused.unwrap_or_else(|| vec![0; capacity].into_boxed_slice()), start: 0, end: 0 }
    }

    /// The bytes not yet consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// The same, to be rearranged in place.
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops `count` bytes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room behind the filled bytes, after moving them to the front when there was none. Empty when full.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.end == self.data.len() && self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.data[self.end..]
    }

    /// Appends `bytes`; false, and nothing is changed, when they do not fit.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.spare().get_mut(..bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.grow(bytes.len());
        true
    }

    /// Says that `count` bytes of [`Buf::spare`] are now filled.
    pub(crate) fn grow(&mut self, count: usize) {
        self.end = (self.end + count).min(self.data.len());
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        // The thread may be ending and its list gone: then the memory is simply freed.
        let _ = FREE.try_with(|free| {
            let Ok(mut free) = free.try_borrow_mut() else { return };
            if data.len() == HEAD_CAPACITY && free.heads.len() < KEEP_HEADS {
                free.heads.push(data);
            } else if data.len() == BODY_CAPACITY && free.bodies.len() < KEEP_BODIES {
                free.bodies.push(data);
            }
        });
    }
}

/// A growing output buffer, for heads that are being written.
#[derive(Debug)]
pub(crate) struct Out(Vec<u8>);

impl Out {
    /// Takes a free, empty buffer of this thread, or a new one.
    pub(crate) fn take() -> Self {
        let reused = FREE.with_borrow_mut(|free| free.outs.pop());
        Self(reused.unwrap_or_else(|| Vec::with_capacity(HEAD_CAPACITY)))
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if bytes.capacity() > KEEP_OUT_CAPACITY {
            return;
        }
        bytes.clear();
        let _ = FREE.try_with(|free| {
            let Ok(mut free) = free.try_borrow_mut() else { return };
            if free.outs.len() < KEEP_HEADS {
                free.outs.push(bytes);
            }
        });
    }
}

impl Deref for Out {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Out {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_move_to_the_front_only_when_room_runs_out() {
        let mut buf = Buf::take(Use::Head);
        let room = buf.spare().len();
        buf.spare().fill(7);
        buf.grow(room);
        assert!(buf.spare().len() <= HEAD_CAPACITY && buf.spare().is_empty());
        buf.consume(room - 3);
        assert_eq!(buf.spare().len(), HEAD_CAPACITY - 3);
        assert_eq!(buf.filled(), [7, 7, 7]);
        buf.consume(99);
        assert!(buf.is_empty());
    }

    #[test]
    fn a_dropped_buffer_is_taken_again() {
        let mut first = Buf::take(Use::Body);
        let place = first.spare().as_ptr();
        drop(first);
        assert_eq!(Buf::take(Use::Body).spare().as_ptr(), place);
    }
}
