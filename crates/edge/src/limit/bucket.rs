//! The arithmetic of nginx's `limit_req`: whole milliseconds and thousandths of a request, rounded as it rounds.
//!
//! Knows nothing about keys and memory.

use crate::clock::Millis;
use mainstay_model::Rate;

/// Requests above the rate, in thousandths.
pub(crate) type Excess = u64;

/// One request.
const REQUEST: i128 = 1000;

/// A clock that went back by more than this started anew; less is two threads that read it in the other order.
const CLOCK_SLACK: i128 = 60_000;

/// What is remembered of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Level {
    pub(crate) excess: Excess,
    /// When it was that high.
    pub(crate) at: Millis,
}

/// The level after one more request at `now`.
pub(crate) fn add(level: Level, rate: Rate, now: Millis) -> Level {
    let elapsed = i128::from(now) - i128::from(level.at);
    let elapsed = if elapsed < -CLOCK_SLACK { 1 } else { elapsed.max(0) };
    // Divided as a whole: what leaks in part of a millisecond is dropped each time, as nginx drops it.
    let leaked = i128::from(rate.millis) * elapsed / 1000;
    let excess = (i128::from(level.excess) - leaked + REQUEST).max(0);
    let at = if elapsed > 0 { now } else { level.at };
    Level { excess: Excess::try_from(excess).unwrap_or(Excess::MAX), at }
}

/// Whether `excess` is more than the burst allows.
pub(crate) fn is_over(excess: Excess, rate: Rate) -> bool {
    excess > Excess::from(rate.burst) * 1000
}

/// How long a request that raised the level to `excess` waits.
pub(crate) fn delay(excess: Excess, rate: Rate) -> Millis {
    let above = excess.saturating_sub(Excess::from(rate.undelayed) * 1000);
    above.saturating_mul(1000) / Excess::from(rate.millis.max(1))
}

/// How long until a request that would have raised the level to `excess` has room.
pub(crate) fn wait_for_room(excess: Excess, rate: Rate) -> Millis {
    let above = excess.saturating_sub(Excess::from(rate.burst) * 1000);
    above.saturating_mul(1000).div_ceil(Excess::from(rate.millis.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Rate = Rate { millis: 10_000, burst: 2, undelayed: 0 };

    #[test]
    fn the_level_falls_by_the_rate_and_rises_by_one_request() {
        let level = add(Level { excess: 0, at: 1000 }, TEN, 1000);
        assert_eq!(level, Level { excess: 1000, at: 1000 });
        assert_eq!(add(level, TEN, 1050), Level { excess: 1500, at: 1050 });
        assert_eq!(add(level, TEN, 9000), Level { excess: 0, at: 9000 });
    }

    #[test]
    fn parts_of_a_thousandth_are_dropped_as_nginx_drops_them() {
        let five_a_minute = Rate { millis: 83, burst: 5, undelayed: 0 };
        let level = add(Level { excess: 1000, at: 0 }, five_a_minute, 11);
        // 83 * 11 / 1000 is 0.913: nothing has leaked.
        assert_eq!(level, Level { excess: 2000, at: 11 });
    }

    #[test]
    fn a_clock_that_goes_back_a_little_is_the_same_moment_and_far_back_a_new_start() {
        let level = Level { excess: 1500, at: 100_000 };
        assert_eq!(add(level, TEN, 99_000), Level { excess: 2500, at: 100_000 });
        assert_eq!(add(level, TEN, 10_000), Level { excess: 2490, at: 10_000 });
    }

    #[test]
    fn waiting() {
        assert_eq!(delay(1500, TEN), 150);
        assert_eq!(delay(1500, Rate { undelayed: 1, ..TEN }), 50);
        assert_eq!(delay(900, Rate { undelayed: 1, ..TEN }), 0);
        assert!(is_over(2001, TEN) && !is_over(2000, TEN));
        assert_eq!(wait_for_room(2001, TEN), 1);
        assert_eq!(wait_for_room(3000, TEN), 100);
    }
}
