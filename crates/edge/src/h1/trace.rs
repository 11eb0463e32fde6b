//! Trace contexts (W3C Trace Context, level 1): passed on when there is one, begun when there is none.
//!
//! Knows nothing about spans: the edge is a participant that passes on, not one that reports.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Length of version 00: `00-` trace id `-` parent id `-` flags.
const LEN: usize = 55;
/// The trace id in it.
const ID: std::ops::Range<usize> = 3..35;

/// The value of `traceparent` that the instance gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace {
    value: [u8; LEN],
    pub(super) is_new: bool,
}

impl Trace {
    /// The client's, where it is one.
    pub(super) fn of(theirs: Option<&[u8]>) -> Self {
        match theirs.and_then(|value| <[u8; LEN]>::try_from(value).ok()).filter(is_valid) {
            Some(value) => Self { value, is_new: false },
            None => Self::begin(),
        }
    }

    fn begin() -> Self {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-01";
        let (trace, parent) = value[ID.start..].split_at_mut(ID.len() + 1);
        hex(&mut trace[..16], random());
        hex(&mut trace[16..32], random());
        hex(&mut parent[..16], random());
        Self { value, is_new: true }
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.value[ID]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }
}

fn is_valid(value: &[u8; LEN]) -> bool {
    let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_something = |part: &[u8]| is_hex(part) && part.iter().any(|b| *b != b'0');
    value.starts_with(b"00-")
        && is_something(&value[ID])
        && value[35] == b'-'
        && is_something(&value[36..52])
        && value[52] == b'-'
        && is_hex(&value[53..])
}

fn hex(out: &mut [u8], number: u64) {
    for (place, digit) in out.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
    }
}

/// Unique, not secret: a trace id is told to everybody.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
    }
    // xorshift64*: never 0, and of full period.
    let mut x = STATE.get();
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    STATE.set(x);
    x.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_context_is_passed_on_and_anything_else_begins_one() {
        let theirs = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let passed = Trace::of(Some(theirs));
        assert!(!passed.is_new && passed.value() == theirs && passed.id() == &theirs[3..35]);
        for bad in [
            &b"00-00000000000000000000000000000000-b7ad6b7169203331-01"[..],
            b"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            b"",
        ] {
            let begun = Trace::of(Some(bad));
            assert!(begun.is_new && is_valid(&begun.value), "{:?}", String::from_utf8_lossy(begun.value()));
        }
        assert_ne!(Trace::of(None).id(), Trace::of(None).id());
    }
}
