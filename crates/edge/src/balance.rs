//! Which instance gets the next request.
//!
//! Knows nothing about connections: an instance that could not be reached a moment ago is only a flag here.

use crate::clock::Millis;
use crate::steering::hash;
use crate::target::TargetState;
use std::cmp::Reverse;
use std::sync::Arc;

/// How one is chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Choosing {
    /// The one with the fewest open requests; between equals the number decides, which differs from call to call.
    LeastBusy(usize),
    /// One after the other.
    InTurn(usize),
    /// The less busy of two; the number is by chance.
    OfTwo(u64),
    /// Always the same for the same number, as long as it is there (rendezvous hashing: each instance ranks by a hash of
    /// both, so that when one goes only its own share moves).
    ByKey(u64),
}

/// Picks the least busy target, or none when there are none. `turn` differs from call to call and decides between equals.
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

/// Picks a target with fewer than `most` open requests, as `choosing` says. One that is to be avoided is the last choice
/// whatever that is.
pub(crate) fn choose(
    targets: &[Arc<TargetState>],
    choosing: Choosing,
    most: u64,
    now: Millis,
    tried: impl Fn(u64) -> bool,
) -> Option<&Arc<TargetState>> {
    let is_open = |target: &&Arc<TargetState>| !tried(target.id) && target.in_flight() < most;
    let is_avoided = |target: &Arc<TargetState>| target.avoid_until() > now;
    let open = || targets.iter().filter(is_open);
    match choosing {
        Choosing::LeastBusy(turn) => pick(targets, turn, now, |id| {
            tried(id) || targets.iter().any(|target| target.id == id && target.in_flight() >= most)
        }),
        Choosing::InTurn(turn) => {
            let first = turn % targets.len().max(1);
            let (before, from) = targets.split_at(first);
            from.iter().chain(before).filter(is_open).min_by_key(|target| is_avoided(target))
        }
        Choosing::OfTwo(chance) => {
            let well = open().filter(|target| !is_avoided(target)).count();
            let among = || open().filter(|target| well == 0 || !is_avoided(target));
            let count = u64::try_from(among().count()).unwrap_or(1).max(1);
            let (one, other) = (chance % count, (chance >> 32) % count.saturating_sub(1).max(1));
            // Of the others, so that the two are two.
            let other = if other >= one { other + 1 } else { other };
            let nth = |place: u64| usize::try_from(place).ok().and_then(|place| among().nth(place));
            nth(one).into_iter().chain(nth(other)).min_by_key(|target| target.in_flight())
        }
        Choosing::ByKey(key) => {
            open().min_by_key(|target| (is_avoided(target), Reverse(hash((key, &target.instance)))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Address, InFlight};
    use std::collections::BTreeMap;

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
        for choosing in [Choosing::InTurn(0), Choosing::OfTwo(7), Choosing::ByKey(7), Choosing::LeastBusy(0)]
        {
            let choose = |targets, tried: bool| choose(targets, choosing, u64::MAX, 5, |_| tried);
            assert_eq!(choose(&targets, false).map(|t| &*t.instance), Some("s/a.1"), "{choosing:?}");
            assert!(choose(&targets, true).is_none() && choose(&[], false).is_none(), "{choosing:?}");
        }
        // All being avoided, one is taken all the same.
        targets[1].avoid(10);
        for choosing in [Choosing::InTurn(0), Choosing::OfTwo(7), Choosing::ByKey(7), Choosing::LeastBusy(0)]
        {
            assert!(choose(&targets, choosing, u64::MAX, 5, |_| false).is_some(), "{choosing:?}");
        }
    }

    fn shares(targets: &[Arc<TargetState>], choosing: impl Fn(u64) -> Choosing) -> BTreeMap<String, u32> {
        let mut shares = BTreeMap::new();
        for number in 0..3000 {
            let target = choose(targets, choosing(number), u64::MAX, 0, |_| false).unwrap();
            *shares.entry(target.instance.clone()).or_default() += 1;
        }
        shares
    }

    #[test]
    fn every_way_uses_all_evenly() {
        let targets = targets(3);
        let turns = shares(&targets, |number| Choosing::InTurn(usize::try_from(number).unwrap()));
        assert_eq!(turns.values().collect::<Vec<_>>(), [&1000; 3]);
        for spread in [
            shares(&targets, |number| Choosing::OfTwo(hash(number))),
            shares(&targets, |number| Choosing::ByKey(hash(number))),
        ] {
            assert_eq!(spread.len(), 3);
            assert!(spread.values().all(|share| (850..1150).contains(share)), "{spread:?}");
        }
        let _busy = InFlight::begin(targets[0].clone());
        let of_two = shares(&targets, |number| Choosing::OfTwo(hash(number)));
        assert!(!of_two.contains_key("s/a.0"), "of two, the busy one never wins: {of_two:?}");
    }

    #[test]
    fn when_one_goes_only_its_own_keys_move() {
        let all = targets(4);
        let choose = |targets: &[Arc<TargetState>], key| {
            choose(targets, Choosing::ByKey(hash(key)), u64::MAX, 0, |_| false).unwrap().instance.clone()
        };
        for key in 0..500 {
            let before = choose(&all, key);
            assert_eq!(choose(&all, key), before);
            if before != "s/a.3" {
                assert_eq!(choose(&all[..3], key), before);
            }
        }
    }

    #[test]
    fn one_that_is_full_is_not_chosen() {
        let targets = targets(2);
        let _busy = InFlight::begin(targets[0].clone());
        for choosing in [Choosing::InTurn(0), Choosing::OfTwo(7), Choosing::ByKey(7), Choosing::LeastBusy(0)]
        {
            let one = choose(&targets, choosing, 1, 0, |_| false);
            assert_eq!(one.map(|target| &*target.instance), Some("s/a.1"), "{choosing:?}");
        }
        let _full = InFlight::begin(targets[1].clone());
        assert!(choose(&targets, Choosing::LeastBusy(0), 1, 0, |_| false).is_none());
    }
}
