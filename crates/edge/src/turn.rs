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
#[derive(Debug, Default)]
pub(crate) struct Turn(usize);

impl Turn {
    /// Notes that so many bytes were moved, and lets the others go first when that is a turn's worth.
    pub(crate) async fn spend(&mut self, bytes: usize) {
        self.0 += bytes;
        if self.0 >= MOST_BYTES {
            self.0 = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Has the task of `cx`, which is about to wait, go on once all others that can and the sockets were looked after.
pub(crate) fn wait_for_others(cx: &mut Context<'_>) {
    // It is not waited for: what counts is whom it wakes, and when.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
