//! What a route says about the instances of its service, where it says anything: how one is chosen, how many requests each
//! takes at once, when one that fails is left alone.
//!
//! A route that says nothing has none of this. Knows nothing about connections.

use crate::balance::Choosing;
use crate::clock::{self, Millis};
use crate::tally::Tally;
use crate::target::{TargetState, UpstreamState};
use mainstay_model::{Balance, HashKey, RoutePolicy};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::atomic::Ordering;

/// How long an ejection grows to at most: a service that is repaired should not wait longer for its requests.
const LONGEST_PAUSE: Millis = 5 * 60_000;

/// The rules of a route.
#[derive(Debug)]
pub(crate) struct Steering {
    balance: Balance,
    /// Requests under way on one instance; `u64::MAX` for any number.
    pub(crate) most: u64,
    /// Requests that wait for an instance to have room.
    pub(crate) queue: usize,
    /// How long they wait.
    pub(crate) patience: Millis,
    /// How long the share of an instance grows that is new or back; 0 for not at all.
    pub(crate) slow_start: Millis,
    ejection: Option<(u32, Millis)>,
}

impl Steering {
    pub(crate) fn new(policy: &RoutePolicy) -> Option<Box<Self>> {
        let RoutePolicy { balance, max_in_flight, queue, slow_start, eject, timeouts, .. } = policy;
        let is_plain = *balance == Balance::default() && slow_start.is_none();
        if is_plain && max_in_flight.is_none() && eject.is_none() {
            return None;
        }
        Some(Box::new(Self {
            balance: balance.clone(),
            most: max_in_flight.map_or(u64::MAX, u64::from),
            queue: usize::try_from(*queue).unwrap_or(usize::MAX),
            patience: clock::millis(timeouts.queue_or_default()),
            slow_start: slow_start.map_or(0, clock::millis),
            ejection: eject.map(|eject| (eject.after, clock::millis(eject.pause))),
        }))
    }

    /// What requests are told apart by, if they are.
    pub(crate) fn key(&self) -> Option<&HashKey> {
        match &self.balance {
            Balance::Hash(key) => Some(key),
            Balance::LeastConn | Balance::RoundRobin | Balance::Random | Balance::Sticky(_) => None,
        }
    }

    /// The cookie that says with which instance a client stays, if one does.
    pub(crate) fn cookie(&self) -> Option<&str> {
        match &self.balance {
            Balance::Sticky(name) => Some(name),
            Balance::LeastConn | Balance::RoundRobin | Balance::Random | Balance::Hash(_) => None,
        }
    }

    /// How an instance is chosen for a request; `lot` is that of its key.
    pub(crate) fn choosing(&self, upstream: &UpstreamState, turn: usize, lot: Option<u64>) -> Choosing {
        match (&self.balance, lot) {
            (Balance::RoundRobin, _) => Choosing::InTurn(upstream.next_turn()),
            (Balance::Random, _) => Choosing::OfTwo(hash((turn, clock::precise()))),
            (Balance::Hash(_), Some(lot)) => Choosing::ByKey(lot),
            (Balance::LeastConn | Balance::Sticky(_), _) | (Balance::Hash(_), None) => {
                Choosing::LeastBusy(turn)
            }
        }
    }

    /// Takes note of how an instance answered.
    pub(crate) fn judge(&self, target: &TargetState, tally: &Tally, now: Millis) {
        let Some((after, pause)) = self.ejection else { return };
        let failed = tally.fault.get().is_some() || tally.status.get() >= 500;
        if !failed {
            target.failures.store(0, Ordering::Relaxed);
            return;
        }
        let failures = target.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures < after || target.avoid_until() > now {
            return;
        }
        target.failures.store(0, Ordering::Relaxed);
        let pause = target.next_pause(now, pause, LONGEST_PAUSE);
        target.avoid(now.saturating_add(pause));
        tracing::warn!(instance = target.instance, pause_ms = pause, "ejected: it fails again and again");
    }
}

/// A number that is the same for a value in every thread and process.
pub(crate) fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Address;
    use mainstay_model::Ejection;
    use std::time::Duration;

    #[test]
    fn who_fails_in_a_row_is_left_alone_for_longer_each_time() {
        let eject = Some(Ejection { after: 3, pause: Duration::from_secs(10) });
        let steering = Steering::new(&RoutePolicy { eject, ..RoutePolicy::default() }).unwrap();
        let target = TargetState::new("s/a.1", Address::Ip(([127, 0, 0, 1], 1).into()));
        let tally = Tally::default();
        let answer = |status: u16, now: Millis| {
            tally.status.set(status);
            steering.judge(&target, &tally, now);
            target.avoid_until()
        };
        assert_eq!([500, 503, 200, 500, 500].map(|status| answer(status, 1_000)), [0; 5]);
        assert_eq!(answer(502, 1_000), 11_000);
        // While it is out, what it still had under way changes nothing.
        assert_eq!([500; 4].map(|status| answer(status, 10_999)), [11_000; 4]);
        assert_eq!(target.ejections.load(Ordering::Relaxed), 1);
        let again = |now: Millis| [500; 3].map(|status| answer(status, now))[2];
        assert_eq!(again(12_000), 32_000, "twice as long");
        assert_eq!(again(72_000), 112_000, "and again");
        assert_eq!(again(300_000), 310_000, "but not for ever after");
        assert!(Steering::new(&RoutePolicy::default()).is_none());
        let slow_start = Some(Duration::from_secs(30));
        let slow = Steering::new(&RoutePolicy { slow_start, ..RoutePolicy::default() }).unwrap();
        assert_eq!((slow.slow_start, steering.slow_start), (30_000, 0));
    }
}
