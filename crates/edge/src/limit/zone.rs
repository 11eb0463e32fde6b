//! What a limit remembers of its keys, shared by all threads.
//!
//! Split into parts with a lock each, held for a few dozen nanoseconds. Knows nothing about requests.

use super::Key;
use super::bucket::{self, Excess, Level};
use super::lru::Lru;
use crate::clock::Millis;
use mainstay_model::Rate;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts of a zone. Threads meet in one of them rarely: as many as four per core of a 16-core server.
const PARTS: usize = 64;

#[derive(Debug)]
pub(crate) struct Zone {
    /// Keys are mixed with this, so that nobody can choose addresses that fall into one part.
    secret: RandomState,
    rates: Box<[Mutex<Lru<Level>>]>,
    /// Requests now open, by key. Bounded by the requests themselves.
    open: Box<[Mutex<std::collections::HashMap<Key, u32>>]>,
}

impl Zone {
    /// A zone that remembers `keys` keys.
    pub(crate) fn new(keys: u32) -> Self {
        // Few keys are kept in one part, so that all of them have room.
        let parts = if (keys as usize) < PARTS * PARTS { 1 } else { PARTS };
        let most = (keys as usize).div_ceil(parts);
        Self {
            secret: RandomState::new(),
            rates: (0..parts).map(|_| Mutex::new(Lru::new(most))).collect(),
            open: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The key of a client: an IPv4 address, or the /64 of an IPv6 one.
    pub(crate) fn client(&self, client: IpAddr) -> Key {
        match client.to_canonical() {
            IpAddr::V4(v4) => self.mix(&(4_u8, u128::from(v4.to_bits()))),
            IpAddr::V6(v6) => self.mix(&(6_u8, v6.to_bits() >> 64)),
        }
    }

    /// The key of a text.
    pub(crate) fn text(&self, text: &[u8]) -> Key {
        self.mix(&text)
    }

    /// Two keyed hashes side by side: a collision is out of anybody's reach, and no text is kept.
    fn mix(&self, value: &impl std::hash::Hash) -> Key {
        let (low, high) = (self.secret.hash_one((0_u8, value)), self.secret.hash_one((1_u8, value)));
        (u128::from(high) << 64) | u128::from(low)
    }

    /// What one more request would do, without counting it: `Err` when it would be refused.
    pub(super) fn look(&self, key: Key, rate: Rate, now: Millis) -> Result<Excess, Excess> {
        let mut part = self.rates(key);
        let level = part.get(key).map_or(Level::default(), |level| bucket::add(*level, rate, now));
        if bucket::is_over(level.excess, rate) { Err(level.excess) } else { Ok(level.excess) }
    }

    /// Counts a request unless it is refused.
    pub(super) fn count(&self, key: Key, rate: Rate, now: Millis) -> Result<Excess, Excess> {
        let mut part = self.rates(key);
        match part.get(key) {
            Some(level) => {
                let next = bucket::add(*level, rate, now);
                if bucket::is_over(next.excess, rate) {
                    return Err(next.excess);
                }
                *level = next;
                Ok(next.excess)
            }
            // The first request of a key is not above the rate.
            None => {
                part.insert(key, Level { excess: 0, at: now });
                Ok(0)
            }
        }
    }

    /// Counts a request that was looked at before.
    pub(super) fn count_anyway(&self, key: Key, rate: Rate, now: Millis) -> Excess {
        let mut part = self.rates(key);
        match part.get(key) {
            Some(level) => {
                *level = bucket::add(*level, rate, now);
                level.excess
            }
            None => {
                part.insert(key, Level { excess: 0, at: now });
                0
            }
        }
    }

    fn rates(&self, key: Key) -> MutexGuard<'_, Lru<Level>> {
        self.rates[part(key, self.rates.len())].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, key: Key) -> MutexGuard<'_, std::collections::HashMap<Key, u32>> {
        self.open[part(key, self.open.len())].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn part(key: Key, parts: usize) -> usize {
    // The map inside uses the low half.
    usize::try_from(key >> 96).unwrap_or(0) % parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_addresses_and_ipv6_subnets() {
        let zone = Zone::new(10);
        let key = |text: &str| zone.client(text.parse().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::2:3:4:5"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(Zone::new(10).client("192.0.2.1".parse().unwrap()), key("192.0.2.1"));
    }

    #[test]
    fn a_full_zone_forgets_who_was_seen_longest_ago() {
        let zone = Zone::new(2);
        let rate = Rate { millis: 1, burst: 0, undelayed: 0 };
        let count = |key| zone.count(key, rate, 1000).is_ok();
        assert!(count(1) && !count(1));
        assert!(count(2) && !count(1));
        // 2 was seen longest ago.
        assert!(count(3) && !count(1) && count(2));
    }
}
