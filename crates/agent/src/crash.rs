//! Crash points: places where a test may have the agent die as `kill -9` would have it die.
//!
//! With `MAINSTAY_CRASH_AT=n` in its environment the agent kills itself at the n-th point that it comes by; a test
//! that counts n up until nothing dies any more has died everywhere. Without it a point is one load of a flag.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Points left until the end; `None` outside of tests.
static LEFT: OnceLock<Option<AtomicU64>> = OnceLock::new();

/// Comes by a point; `place` says in the log where the agent died.
pub(crate) fn point(place: &str) {
    if let Some(left) = LEFT.get_or_init(armed) {
        // Wraps around after the last one, which is never reached again.
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::warn!(place, "crash point");
            let _unkillable =
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

fn armed() -> Option<AtomicU64> {
    let number = std::env::var("MAINSTAY_CRASH_AT").ok()?.parse().ok()?;
    Some(AtomicU64::new(number))
}
