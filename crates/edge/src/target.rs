//! What is shared between threads about the things behind the edge: instances and upstreams.
//!
//! These outlive tables: a request holds its instance whatever table came since. Knows nothing about sockets.

use crate::clock::{Millis, NEVER};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

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
    pub(crate) address: Address,
    /// Requests, tunnels and TCP connections now open.
    in_flight: AtomicU64,
    phase: AtomicU8,
    /// When what is still open is closed.
    closes_by: AtomicU64,
    /// A connection attempt failed: until then others are preferred.
    avoid_until: AtomicU64,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl TargetState {
    pub(crate) fn new(instance: &str, address: Address) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            instance: instance.to_owned(),
            address,
            in_flight: AtomicU64::new(0),
            phase: AtomicU8::new(0),
            closes_by: AtomicU64::new(NEVER),
            avoid_until: AtomicU64::new(0),
        }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        // Acquire/Release with the guard: who sees 0 also sees what the requests did.
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.phase.load(Ordering::Relaxed) == 0 { Phase::Active } else { Phase::Leaving }
    }

    /// Moves the instance to `phase`; what is open is closed at `closes_by`.
    pub(crate) fn enter(&self, phase: Phase, closes_by: Millis) {
        self.phase.store(u8::from(phase == Phase::Leaving), Ordering::Relaxed);
        self.closes_by.store(closes_by, Ordering::Relaxed);
    }

    pub(crate) fn closes_by(&self) -> Millis {
        self.closes_by.load(Ordering::Relaxed)
    }

    pub(crate) fn avoid_until(&self) -> Millis {
        self.avoid_until.load(Ordering::Relaxed)
    }

    pub(crate) fn avoid(&self, until: Millis) {
        self.avoid_until.store(until, Ordering::Relaxed);
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

    pub(crate) fn target(&self) -> &Arc<TargetState> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Release);
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
    counts: Box<[Counts]>,
}

impl UpstreamState {
    pub(crate) fn new(key: &str, workers: usize) -> Self {
        let counts = (0..workers.max(1)).map(|_| Counts::default()).collect();
        Self { key: key.to_owned(), held: AtomicU64::new(0), counts }
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
