//! Turns: how much is done for one connection before the others of its thread are looked after.
//!
//! The runtime lets a task go on for as long as its sockets have something to do, which is tens of milliseconds for whoever
//! sends or takes without end. Knows nothing about what is done.

use std::future::Future;
use std::pin::pin;
use std::task::Context;

/// Bytes moved in one turn: a tenth of a millisecond of copying and encrypting, and far more than looking around costs.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// What has been done since others had their turn.
#[derive(Debug)]
pub(crate) struct Turn {
    done: usize,
    most: usize,
}

impl Default for Turn {
    /// A turn of bytes.
    fn default() -> Self {
        Self::of(MOST_BYTES)
    }
}

impl Turn {
    /// A turn of so many, of whatever is counted.
    pub(crate) fn of(most: usize) -> Self {
        Self { done: 0, most }
    }

    /// Notes that so much was done, and lets the others go first when that is a turn's worth.
    pub(crate) async fn spend(&mut self, count: usize) {
        self.done += count;
        if self.done >= self.most {
            self.done = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Has the task of `cx`, which is about to wait, go on once all others that can and the sockets were looked after.
pub(crate) fn wait_for_others(cx: &mut Context<'_>) {
    // It is not waited for: what counts is whom it wakes, and when.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::task::Poll;

    /// How often another task had its turn while `busy` was at work.
    async fn others_beside(busy: impl Future<Output = ()>) -> u32 {
        let (turns, is_over) = (Cell::new(0), Cell::new(false));
        let other = async {
            while !is_over.get() {
                turns.set(turns.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let busy = async {
            busy.await;
            is_over.set(true);
        };
        tokio::join!(busy, other);
        turns.get()
    }

    #[tokio::test]
    async fn bytes_without_end_are_moved_in_turns() {
        const TURNS: usize = 10;
        let busy = async {
            let mut turn = Turn::default();
            for _ in 0..4 * TURNS {
                turn.spend(MOST_BYTES / 4).await;
            }
        };
        assert!(others_beside(busy).await >= TURNS as u32);
        let short = async { Turn::default().spend(MOST_BYTES - 1).await };
        assert!(others_beside(short).await <= 1);
    }

    #[tokio::test]
    async fn who_waits_for_others_is_polled_again() {
        let mut left = 10;
        poll_fn(|cx| {
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            // Nobody else would wake it.
            wait_for_others(cx);
            Poll::Pending
        })
        .await;
    }
}
