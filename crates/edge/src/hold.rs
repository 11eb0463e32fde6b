//! Waiting for a table that has an instance, while a service is being swapped.
//!
//! Knows nothing about what waits: a request or a TCP connection.

use crate::clock::{Deadline, Millis};
use crate::shared::Shared;
use crate::target::UpstreamState;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::sync::watch;

/// Requests and connections held at once, over all upstreams. Each costs some KiB and a descriptor; a
/// thousand requests a second for four seconds fit.
const MOST_HELD: usize = 4096;

/// Why waiting ended without a new table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// The time passed.
    TimedOut,
    /// Too many wait already.
    Full,
}

/// Something that waits. Counted until dropped, also when its client goes away.
pub(crate) struct Held {
    shared: Arc<Shared>,
    upstream: Arc<UpstreamState>,
    changes: watch::Receiver<u64>,
}

impl Held {
    /// Begins to wait. To miss no table, ask for the table again after this.
    pub(crate) fn begin(shared: &Arc<Shared>, upstream: &Arc<UpstreamState>) -> Result<Self, NotHeld> {
        let changes = shared.changes();
        if shared.held.fetch_add(1, Ordering::Relaxed) >= MOST_HELD {
            shared.held.fetch_sub(1, Ordering::Relaxed);
            return Err(NotHeld::Full);
        }
        upstream.held.fetch_add(1, Ordering::Relaxed);
        Ok(Self { shared: shared.clone(), upstream: upstream.clone(), changes })
    }

    /// Waits for the next table, until `until` at most.
    pub(crate) async fn next_table(&mut self, deadline: &Deadline, until: Millis) -> Result<(), NotHeld> {
        deadline.arm_at(until);
        let mut changed = pin!(self.changes.changed());
        std::future::poll_fn(|cx| match changed.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending if deadline.passed(cx) => Poll::Ready(Err(NotHeld::TimedOut)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.held.fetch_sub(1, Ordering::Relaxed);
        self.upstream.held.fetch_sub(1, Ordering::Relaxed);
    }
}
