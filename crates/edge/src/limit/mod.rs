//! Refusing and slowing down clients that ask for too much.
//!
//! A limit lives as long as tables name it with the same settings, so that a new table does not forgive anybody.
//! Knows nothing about connections; it is given keys and the time.

mod bucket;
mod lru;
mod open;
#[cfg(test)]
mod oracle;
mod zone;

pub(crate) use bucket::Excess;
pub(crate) use open::OpenGuard;
pub(crate) use zone::Zone;

use crate::clock::Millis;
use mainstay_model::{Limit, LimitKey, LimitKind};
use std::sync::Arc;

/// A limit in force, as a route refers to it.
#[derive(Debug)]
pub(crate) struct InForce {
    /// Its name as the file has it, for the client.
    pub(crate) name: Box<str>,
    pub(crate) settings: Limit,
    pub(crate) zone: Arc<Zone>,
}

/// What a request of one key counts by.
pub(crate) type Key = u128;

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// Place of the limit among those of the route.
    pub(crate) limit: usize,
    /// When asking again makes sense; unknown for limits on open requests.
    pub(crate) retry_after: Option<Millis>,
}

/// A request that passes.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// How long it waits first.
    pub(crate) delay: Millis,
    /// Counts it as open until dropped.
    pub(crate) open: Vec<OpenGuard>,
}

impl InForce {
    pub(crate) fn new(name: &str, settings: &Limit, zone: Arc<Zone>) -> Self {
        // Only what a quoted string of structured fields may hold.
        let plain = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        let name: String = name.rsplit('/').next().unwrap_or(name).chars().filter(plain).collect();
        let name = name.into();
        Self { name, settings: settings.clone(), zone }
    }

    pub(crate) fn key(&self) -> &LimitKey {
        &self.settings.key
    }

    /// Appends what a refused client needs to know: when to ask again (RFC 9110, 10.2.3), and for rates how much it may
    /// ask for (draft-ietf-httpapi-ratelimit-headers).
    pub(crate) fn write_fields(&self, exceeded: &Exceeded, out: &mut Vec<u8>) {
        /// For limits on open requests, of which nobody knows when one ends.
        const SOON: Millis = 1000;
        let seconds = exceeded.retry_after.unwrap_or(SOON).div_ceil(1000).max(1);
        let mut line = format!("Retry-After: {seconds}\r\n");
        if let LimitKind::Rate(rate) = self.settings.kind {
            let (window, quota) = match rate.millis.is_multiple_of(1000) {
                true => (1, rate.millis / 1000),
                false => (60, (u64::from(rate.millis) * 60).div_ceil(1000).try_into().unwrap_or(u32::MAX)),
            };
            let name = &self.name;
            line += &format!(
                "RateLimit-Policy: \"{name}\";q={quota};w={window}\r\nRateLimit: \"{name}\";r=0;t={seconds}\r\n"
            );
        }
        out.extend_from_slice(line.as_bytes());
    }
}

/// Limits that one route can have: more than anybody has shown a use for, and the keys fit the stack.
pub(crate) const MOST_LIMITS: usize = 4;

/// A request's keys, in the order of its route's limits; without one it is not counted.
pub(crate) type Keys = [Option<Key>; MOST_LIMITS];

/// Counts a request against all of `limits`, or, when a rate refuses it, against no rate. `now` is in milliseconds of
/// any steady clock.
pub(crate) fn count(limits: &[Arc<InForce>], keys: &Keys, now: Millis) -> Result<Passed, Exceeded> {
    let mut passed = Passed::default();
    let keyed = || limits.iter().zip(keys).enumerate().filter_map(|(at, (l, key))| Some((at, l, (*key)?)));
    for (place, limit, key) in keyed() {
        if let LimitKind::Connections(most) = limit.settings.kind {
            let open = OpenGuard::open(&limit.zone, key, most);
            passed.open.push(open.ok_or(Exceeded { limit: place, retry_after: None })?);
        }
    }
    let rates = || {
        keyed().filter_map(|(place, limit, key)| match limit.settings.kind {
            LimitKind::Rate(rate) => Some((place, &limit.zone, key, rate)),
            LimitKind::Connections(_) => None,
        })
    };
    let Some((last_place, last_zone, last_key, last_rate)) = rates().next_back() else { return Ok(passed) };
    let refuse = |place, excess: Excess, rate| {
        Err(Exceeded { limit: place, retry_after: Some(bucket::wait_for_room(excess, rate)) })
    };
    // Looked at first and counted only when all of them let it pass: a request refused by one must not use up another.
    for (place, zone, key, rate) in rates().take_while(|(place, ..)| *place != last_place) {
        if let Err(excess) = zone.look(key, rate, now) {
            return refuse(place, excess, rate);
        }
    }
    let excess = match last_zone.count(last_key, last_rate, now) {
        Ok(excess) => excess,
        Err(excess) => return refuse(last_place, excess, last_rate),
    };
    passed.delay = bucket::delay(excess, last_rate);
    for (_, zone, key, rate) in rates().take_while(|(place, ..)| *place != last_place) {
        let excess = zone.count_anyway(key, rate, now);
        passed.delay = passed.delay.max(bucket::delay(excess, rate));
    }
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_model::Rate;

    fn limit(kind: LimitKind) -> Arc<InForce> {
        let settings = Limit { kind, key: LimitKey::Client, keys: 100 };
        Arc::new(InForce::new("s/api", &settings, Arc::new(Zone::new(100))))
    }

    fn rate(millis: u32, burst: u32) -> LimitKind {
        LimitKind::Rate(Rate { millis, burst, undelayed: burst })
    }

    fn one(limits: &[Arc<InForce>], now: Millis) -> Result<Millis, Exceeded> {
        count(limits, &[Some(7), Some(7), None, None], now).map(|passed| passed.delay)
    }

    #[test]
    fn a_request_refused_by_one_rate_uses_up_no_other() {
        let (tight, wide) = (limit(rate(1000, 0)), limit(rate(1000, 2)));
        let both = [wide.clone(), tight.clone()];
        assert_eq!(one(&both, 1000), Ok(0));
        for _ in 0..5 {
            assert_eq!(one(&both, 1000), Err(Exceeded { limit: 1, retry_after: Some(1000) }));
        }
        // The wide one has counted the first request only.
        let alone = [wide];
        assert_eq!((one(&alone, 1000), one(&alone, 1000)), (Ok(0), Ok(0)));
        assert!(one(&alone, 1000).is_err());
    }

    #[test]
    fn the_longest_delay_counts() {
        let slow = LimitKind::Rate(Rate { millis: 1000, burst: 5, undelayed: 0 });
        let fast = LimitKind::Rate(Rate { millis: 10_000, burst: 5, undelayed: 0 });
        let limits = [limit(slow), limit(fast)];
        assert_eq!((one(&limits, 1), one(&limits, 1), one(&limits, 1)), (Ok(0), Ok(1000), Ok(2000)));
    }

    #[test]
    fn open_requests_are_counted_until_they_end_and_no_key_means_no_limit() {
        let limits = [limit(LimitKind::Connections(1))];
        let first = count(&limits, &[Some(1), None, None, None], 0).unwrap();
        assert_eq!(one(&limits, 0).map_err(|e| e.retry_after), Ok(0));
        let again = count(&limits, &[Some(1), None, None, None], 0);
        assert!(matches!(again, Err(Exceeded { limit: 0, retry_after: None })));
        drop(first);
        assert!(count(&limits, &[Some(1), None, None, None], 0).is_ok());
        assert!(count(&limits, &[None; MOST_LIMITS], 0).is_ok());
    }
}
