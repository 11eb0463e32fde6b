//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Restarts in a row after which a service is called a crash loop.
pub const CRASH_LOOP: u32 = 5;

/// Docker's first delay, so that native processes and containers behave alike.
const FIRST_RESTART: Duration = Duration::from_millis(100);
/// Docker's longest delay.
const LONGEST_RESTART: Duration = Duration::from_secs(60);
/// A replacement costs a start and a proof; once every ten seconds is often enough to begin with.
const FIRST_REPLACEMENT: Duration = Duration::from_secs(10);
/// A service that is never well is tried every five minutes.
const LONGEST_REPLACEMENT: Duration = Duration::from_secs(300);

/// Delay before restart number `attempts + 1` of a service, with up to a tenth of jitter from `seed`.
pub fn restart_delay(attempts: u32, seed: u64) -> Duration {
    exponential(FIRST_RESTART, LONGEST_RESTART, attempts, seed)
}

/// Delay before an unhealthy instance is replaced, when `attempts` replacements came before; the first is at once.
pub(crate) fn replacement_delay(attempts: u32, seed: u64) -> Duration {
    match attempts.checked_sub(1) {
        None => Duration::ZERO,
        Some(earlier) => exponential(FIRST_REPLACEMENT, LONGEST_REPLACEMENT, earlier, seed),
    }
}

fn exponential(first: Duration, longest: Duration, attempts: u32, seed: u64) -> Duration {
    let delay = first.saturating_mul(1 << attempts.min(20)).min(longest);
    let tenths = u32::try_from(mix(seed ^ u64::from(attempts)) % 100).unwrap_or(0);
    delay + delay * tenths / 1000
}

/// SplitMix64's finaliser: spreads neighbouring seeds.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute_with_little_jitter() {
        for (attempts, base) in [(0, 100), (1, 200), (4, 1_600), (9, 51_200), (10, 60_000), (60, 60_000)] {
            let delay = restart_delay(attempts, 7).as_millis();
            assert!((base..=base + base / 10).contains(&delay), "{attempts}: {delay} ms");
        }
    }

    #[test]
    fn the_first_replacement_is_at_once() {
        assert_eq!(replacement_delay(0, 1), Duration::ZERO);
        assert!(replacement_delay(1, 1) >= FIRST_REPLACEMENT);
    }
}
