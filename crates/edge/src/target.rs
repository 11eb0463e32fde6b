//! What is shared between threads about the things behind the edge: instances and upstreams.
//!
//! These outlive tables: a request holds its instance whatever table came since. Knows nothing about sockets.

use crate::clock::{self, Millis, NEVER};
use crate::manner::Manner;
use crate::shares::Wheel;
use mainstay_model::{InstanceId, ReleaseNumber};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Where an instance listens.
#[derive(Debug)]
pub(crate) enum Address {
    /// Known.
    Ip(SocketAddr),
    /// `name:port`, looked up when a connection is opened; see [`crate::connect`].
    Name { name: String, known: Mutex<Option<(Vec<SocketAddr>, Millis)>> },
}

/// Whether an instance takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes new requests.
    Active,
    /// It finishes those it has.
    Leaving,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct TargetState {
    /// Unique in this process, for the pools.
    pub(crate) id: u64,
    pub(crate) instance: String,
    /// The release it was made for; none for what is outside the stack.
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) address: Address,
    /// How it is spoken to; none for HTTP/1.1 over TCP.
    pub(crate) manner: Option<Arc<Manner>>,
    /// Requests, tunnels and TCP connections now open.
    in_flight: AtomicU64,
    phase: AtomicU8,
    /// When what is still open is closed.
    closes_by: AtomicU64,
    /// When it began to take requests.
    since: AtomicU64,
    /// It failed, to connect or again and again: until then others are preferred.
    avoid_until: AtomicU64,
    /// Failures in a row, where a route counts them.
    pub(crate) failures: AtomicU32,
    /// How often it was ejected for them.
    pub(crate) ejections: AtomicU64,
    /// How long the last time, and when that was over.
    last_pause: AtomicU64,
    /// Requests that wait for it to have room.
    waiting: AtomicU32,
    /// Tells one of them that there may be some.
    pub(crate) freed: Notify,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// When the last that was told to leave closes what it has open; 0 when none was.
static CLOSING_UNTIL: AtomicU64 = AtomicU64::new(0);

/// When the last instance that was told to leave closes what it has open, if one was. Until then somebody may have to be
/// cut off.
pub(crate) fn closing_until() -> Option<Millis> {
    let until = CLOSING_UNTIL.load(Ordering::Relaxed);
    (until != 0).then_some(until)
}

impl TargetState {
    pub(crate) fn new(instance: &str, address: Address) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            instance: instance.to_owned(),
            release: instance.split_once('/').and_then(|(_, id)| InstanceId::parse(id)).map(|id| id.release),
            address,
            manner: None,
            in_flight: AtomicU64::new(0),
            phase: AtomicU8::new(0),
            closes_by: AtomicU64::new(NEVER),
            since: AtomicU64::new(clock::now()),
            avoid_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU64::new(0),
            last_pause: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
        }
    }

    /// Whether each of its connections is told whose it is, and so is one client's alone.
    pub(crate) fn is_told(&self) -> bool {
        self.manner.as_ref().is_some_and(|manner| manner.send_proxy.is_some())
    }

    pub(crate) fn in_flight(&self) -> u64 {
        // In one order with the guard: who sees 0 also sees what the requests did.
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.phase.load(Ordering::Relaxed) == 0 { Phase::Active } else { Phase::Leaving }
    }

    /// Moves the instance to `phase`; what is open is closed at `closes_by`.
    pub(crate) fn enter(&self, phase: Phase, closes_by: Millis, now: Millis) {
        if phase == Phase::Active && self.phase() == Phase::Leaving {
            self.begin_at(now);
        }
        self.phase.store(u8::from(phase == Phase::Leaving), Ordering::Relaxed);
        self.closes_by.store(closes_by, Ordering::Relaxed);
        if closes_by != NEVER {
            CLOSING_UNTIL.fetch_max(closes_by.max(now), Ordering::Relaxed);
        }
    }

    pub(crate) fn closes_by(&self) -> Millis {
        self.closes_by.load(Ordering::Relaxed)
    }

    /// When it began to take requests.
    pub(crate) fn since(&self) -> Millis {
        self.since.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_at(&self, at: Millis) {
        self.since.store(at, Ordering::Relaxed);
    }

    pub(crate) fn avoid_until(&self) -> Millis {
        self.avoid_until.load(Ordering::Relaxed)
    }

    /// Others are preferred until then, if not for longer already.
    pub(crate) fn avoid(&self, until: Millis) {
        self.avoid_until.fetch_max(until, Ordering::Relaxed);
    }

    /// Counts an ejection and says how long it is: `first`, or twice the last one when that has not been over for longer
    /// than it took.
    pub(crate) fn next_pause(&self, now: Millis, first: Millis, longest: Millis) -> Millis {
        self.ejections.fetch_add(1, Ordering::Relaxed);
        let last = self.last_pause.load(Ordering::Relaxed);
        let is_soon = now.saturating_sub(self.avoid_until()) <= last.saturating_mul(2);
        let pause = if last > 0 && is_soon { last.saturating_mul(2).min(longest) } else { first };
        self.last_pause.store(pause, Ordering::Relaxed);
        pause
    }

    /// One more waits for room.
    pub(crate) fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn wait_no_more(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Tells one of those who wait that there may be room.
    pub(crate) fn tell_room(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }
}

/// One request, tunnel or connection on an instance; counted until dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<TargetState>);

impl InFlight {
    pub(crate) fn begin(target: Arc<TargetState>) -> Self {
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(target)
    }

    /// The same, unless `most` are open already.
    pub(crate) fn begin_below(target: Arc<TargetState>, most: u64) -> Option<Self> {
        let below = |open: u64| (open < most).then_some(open + 1);
        target.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, below).ok()?;
        Some(Self(target))
    }

    pub(crate) fn target(&self) -> &Arc<TargetState> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // In one order with those who begin to wait: either they see the room, or they are seen waiting.
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.0.tell_room();
    }
}

/// Answered requests by status class, 1xx to 5xx, of one thread. On a cache line pair of its own, so that
/// threads do not slow each other down by counting (adjacent lines are fetched together on x86).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts([AtomicU64; 5]);

/// One upstream: what a route or a TCP listener points to.
#[derive(Debug)]
pub(crate) struct UpstreamState {
    pub(crate) key: String,
    /// Requests waiting for a target.
    pub(crate) held: AtomicU64,
    /// Requests waiting for a target to have room, and how many were turned away because of that.
    pub(crate) queued: AtomicUsize,
    pub(crate) shed: AtomicU64,
    turn: AtomicUsize,
    /// Whose turn it is where not all get the same.
    pub(crate) wheel: Wheel,
    counts: Box<[Counts]>,
}

impl UpstreamState {
    pub(crate) fn new(key: &str, workers: usize) -> Self {
        let counts = (0..workers.max(1)).map(|_| Counts::default()).collect();
        Self {
            key: key.to_owned(),
            held: AtomicU64::new(0),
            queued: AtomicUsize::new(0),
            shed: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            wheel: Wheel::default(),
            counts,
        }
    }

    /// Requests waiting for a target to have room.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// A number that grows with each call, over all threads.
    pub(crate) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts one answer; `worker` is the calling thread's number.
    pub(crate) fn count(&self, worker: usize, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        if let Some(counts) = self.counts.get(worker) {
            // Only this thread writes this counter, so no read-modify-write cycle has to be atomic.
            let seen = counts.0[class].load(Ordering::Relaxed);
            counts.0[class].store(seen + 1, Ordering::Relaxed);
        }
    }

    /// The sum over all threads, without zeros.
    pub(crate) fn totals(&self) -> BTreeMap<String, u64> {
        (0..5)
            .map(|class| {
                let sum = self.counts.iter().map(|c| c.0[class].load(Ordering::Relaxed)).sum::<u64>();
                (format!("{}xx", class + 1), sum)
            })
            .filter(|(_, sum)| *sum > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_threads() {
        let upstream = UpstreamState::new("s/api:80", 2);
        upstream.count(0, 200);
        upstream.count(1, 204);
        upstream.count(1, 502);
        upstream.count(7, 500);
        assert_eq!(upstream.totals(), BTreeMap::from([("2xx".into(), 2), ("5xx".into(), 1)]));
    }

    #[test]
    fn a_request_is_counted_until_it_is_dropped() {
        let target = Arc::new(TargetState::new("s/api.1", Address::Ip(([127, 0, 0, 1], 1).into())));
        let guard = InFlight::begin(target.clone());
        assert_eq!(target.in_flight(), 1);
        drop(guard);
        assert_eq!(target.in_flight(), 0);
    }
}
