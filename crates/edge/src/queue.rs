//! Waiting for an instance to have room, where a route says how many requests each takes at once.
//!
//! Who came first goes first; when the queue is full the newest is turned away. Knows nothing about requests.

use crate::clock::{Deadline, Millis};
use crate::target::{TargetState, UpstreamState};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::sync::futures::Notified;

/// A place in the queue of an upstream; left when dropped, also when the client goes.
pub(crate) struct Place {
    upstream: Arc<UpstreamState>,
    until: Millis,
    targets: Vec<Arc<TargetState>>,
    /// It found room, so nobody else has to be told of any.
    is_served: bool,
}

/// Why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Too many wait already.
    Full,
    /// The time passed.
    TimedOut,
}

impl Place {
    /// Takes a place among at most `size`. To miss no room, look once more after this.
    pub(crate) fn take(
        upstream: &Arc<UpstreamState>,
        targets: &[Arc<TargetState>],
        size: usize,
        until: Millis,
    ) -> Result<Self, NoRoom> {
        if upstream.queued.fetch_add(1, Ordering::Relaxed) >= size {
            upstream.queued.fetch_sub(1, Ordering::Relaxed);
            upstream.shed.fetch_add(1, Ordering::Relaxed);
            return Err(NoRoom::Full);
        }
        for target in targets {
            target.wait();
        }
        Ok(Self { upstream: upstream.clone(), until, targets: targets.to_vec(), is_served: false })
    }

    /// Leaves it for an instance.
    pub(crate) fn serve(mut self) {
        self.is_served = true;
    }

    /// Whether these are the instances it waits for: a new table may have others.
    pub(crate) fn is_for(&self, targets: &[Arc<TargetState>]) -> bool {
        self.targets.len() == targets.len()
            && self.targets.iter().zip(targets).all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// Waits for the same place with other instances.
    pub(crate) fn move_to(&mut self, targets: &[Arc<TargetState>]) {
        for target in targets {
            target.wait();
        }
        for target in std::mem::replace(&mut self.targets, targets.to_vec()) {
            target.wait_no_more();
        }
    }

    /// Waits until one of the instances has had room; somebody else may have taken it since.
    pub(crate) async fn room(&self, deadline: &Deadline) -> Result<(), NoRoom> {
        deadline.arm_at(self.until);
        let mut freed: Vec<Pin<Box<Notified<'_>>>> =
            self.targets.iter().map(|target| Box::pin(target.freed.notified())).collect();
        let outcome = std::future::poll_fn(|cx| {
            if freed.iter_mut().any(|freed| freed.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            if deadline.passed(cx) { Poll::Ready(Err(NoRoom::TimedOut)) } else { Poll::Pending }
        })
        .await;
        if outcome.is_err() {
            self.upstream.shed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.upstream.queued.fetch_sub(1, Ordering::Relaxed);
        for target in &self.targets {
            target.wait_no_more();
            // It may have been woken and gone without taking the room: then somebody else may. Nobody is woken without
            // need, for who is goes to the end.
            if !self.is_served {
                target.tell_room();
            }
        }
    }
}
