//! Which instance gets the next request: the one with the fewest open ones; ties take turns.
//!
//! Knows nothing about connections: an instance that could not be reached a moment ago is only a flag here.

use crate::clock::Millis;
use crate::target::TargetState;
use std::sync::Arc;

/// Picks a target, or none when there are none. `turn` differs from call to call and decides between equals.
/// Targets for which `tried` is true are taken only when nothing else is left to try, and never twice: then
/// the answer is none.
pub(crate) fn pick(
    targets: &[Arc<TargetState>],
    turn: usize,
    now: Millis,
    tried: impl Fn(u64) -> bool,
) -> Option<&Arc<TargetState>> {
    let count = targets.len();
    let first = turn % count.max(1);
    let (before, from) = targets.split_at(first.min(count));
    from.iter()
        .chain(before)
        .filter(|target| !tried(target.id))
        .min_by_key(|target| (target.avoid_until() > now, target.in_flight()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Address, InFlight};

    fn targets(count: u16) -> Vec<Arc<TargetState>> {
        let address = |port| Address::Ip(([127, 0, 0, 1], port).into());
        (0..count).map(|n| Arc::new(TargetState::new(&format!("s/a.{n}"), address(n)))).collect()
    }

    #[test]
    fn the_least_busy_wins_and_ties_take_turns() {
        let targets = targets(3);
        let name = |turn| pick(&targets, turn, 0, |_| false).map(|t| t.instance.clone());
        assert_eq!(name(0).as_deref(), Some("s/a.0"));
        assert_eq!(name(1).as_deref(), Some("s/a.1"));
        assert_eq!(name(5).as_deref(), Some("s/a.2"));
        let _busy = [InFlight::begin(targets[0].clone()), InFlight::begin(targets[1].clone())];
        assert_eq!(name(0).as_deref(), Some("s/a.2"));
    }

    #[test]
    fn an_unreachable_one_is_the_last_choice() {
        let targets = targets(2);
        targets[0].avoid(10);
        let _busy = InFlight::begin(targets[1].clone());
        let at = |now| pick(&targets, 0, now, |_| false).map(|t| t.instance.clone());
        assert_eq!(at(5).as_deref(), Some("s/a.1"));
        assert_eq!(at(11).as_deref(), Some("s/a.0"));
        assert!(pick(&targets, 0, 0, |_| true).is_none());
        assert!(pick(&[], 3, 0, |_| false).is_none());
    }
}
