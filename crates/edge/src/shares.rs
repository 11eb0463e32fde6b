//! Which instance gets the next request where they are not to get the same: by weight, growing after a start, or only when
//! no other is there.
//!
//! Smooth weighted round robin as nginx does it, also between those that `least_conn` finds equal. Knows nothing about
//! connections and reads no clock.

use crate::balance::Choosing;
use crate::clock::Millis;
use crate::steering::hash;
use crate::target::TargetState;
use std::sync::{Arc, Mutex, PoisonError};

/// Parts into which a weight is divided while it grows. A second of half a minute is then some thirty of them.
const PARTS: u64 = 1000;

/// What one of an upstream's targets is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) weight: u32,
    /// It gets requests only when those that are none are away.
    pub(crate) is_backup: bool,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: 1, is_backup: false }
    }
}

/// Whose turn it is, by the number of each target: what it has been owed so far.
#[derive(Debug, Default)]
pub(crate) struct Wheel(Mutex<Vec<(u64, i64)>>);

/// The targets of an upstream, and what counts for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'u> {
    pub(crate) targets: &'u [Arc<TargetState>],
    /// One for each target; all the same when empty.
    pub(crate) shares: &'u [Share],
    pub(crate) wheel: &'u Wheel,
    /// How long a target's share grows once it is there, or there again; 0 for not at all.
    pub(crate) slow_start: Millis,
}

/// One that may be chosen.
#[derive(Debug, Clone, Copy)]
struct Candidate<'u> {
    target: &'u Arc<TargetState>,
    weight: u64,
}

impl<'u> Shared<'u> {
    /// Picks a target as [`crate::balance::choose`] does, by these shares.
    pub(crate) fn choose(
        self,
        choosing: Choosing,
        most: u64,
        now: Millis,
        tried: impl Fn(u64) -> bool,
    ) -> Option<&'u Arc<TargetState>> {
        let Self { targets, shares, .. } = self;
        let places = targets.iter().enumerate();
        let open = places.filter(|(_, target)| !tried(target.id) && target.in_flight() < most);
        let share = |place: usize| shares.get(place).copied().unwrap_or_default();
        // Who is well goes before who is to be avoided, and among these who is no backup.
        let rank = |place: usize, target: &TargetState| (target.avoid_until() > now, share(place).is_backup);
        let ranked: Vec<_> = open.map(|(place, target)| (rank(place, target), place, target)).collect();
        let best = ranked.iter().map(|(rank, ..)| *rank).min()?;
        let among = ranked.iter().filter(|(rank, ..)| *rank == best);
        let candidates: Vec<_> = among
            .map(|(_, place, target)| Candidate {
                target,
                weight: self.weight(share(*place).weight, target, now),
            })
            .collect();
        match candidates.as_slice() {
            [only] => Some(only.target),
            all => match choosing {
                Choosing::InTurn(_) => self.wheel.next(all),
                Choosing::LeastBusy(_) => self.wheel.next(&least_busy(all)),
                Choosing::OfTwo(chance) => of_two(all, chance),
                Choosing::ByKey(key) => by_key(all, key),
            },
        }
    }

    /// What a target gets now, in [`PARTS`]. It is never nothing, lest an upstream of new ones have none.
    fn weight(&self, weight: u32, target: &TargetState, now: Millis) -> u64 {
        let whole = u64::from(weight) * PARTS;
        if self.slow_start == 0 {
            return whole;
        }
        let there_for = now.saturating_sub(target.since().max(target.avoid_until()));
        (whole.saturating_mul(there_for.min(self.slow_start)) / self.slow_start).max(1)
    }
}

impl Wheel {
    /// nginx's smooth weighted round robin: everybody is owed its weight more, who is owed the most gets the request and is
    /// owed less by the sum of all weights.
    fn next<'u>(&self, candidates: &[Candidate<'u>]) -> Option<&'u Arc<TargetState>> {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        let mut best: Option<(usize, i64, &Candidate<'u>)> = None;
        for candidate in candidates {
            let id = candidate.target.id;
            let place = owed.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                owed.push((id, 0));
                owed.len() - 1
            });
            let weight = i64::try_from(candidate.weight).unwrap_or(i64::MAX);
            owed[place].1 += weight;
            total += weight;
            if best.is_none_or(|(_, most, _)| owed[place].1 > most) {
                best = Some((place, owed[place].1, candidate));
            }
        }
        let (place, _, chosen) = best?;
        owed[place].1 -= total;
        Some(chosen.target)
    }

    /// Forgets all but these.
    pub(crate) fn keep(&self, targets: &[Arc<TargetState>]) {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owed.retain(|(id, _)| targets.iter().any(|target| target.id == *id));
    }
}

/// Those with the fewest open requests for their weight.
fn least_busy<'u>(candidates: &[Candidate<'u>]) -> Vec<Candidate<'u>> {
    let open: Vec<u64> = candidates.iter().map(|candidate| candidate.target.in_flight()).collect();
    let less = |a: usize, b: usize| {
        u128::from(open[a]) * u128::from(candidates[b].weight)
            < u128::from(open[b]) * u128::from(candidates[a].weight)
    };
    let mut least = 0;
    for place in 1..candidates.len() {
        if less(place, least) {
            least = place;
        }
    }
    let places = 0..candidates.len();
    places.filter(|place| !less(least, *place)).map(|place| candidates[place]).collect()
}

/// The less busy of two that chance picks by weight.
fn of_two<'u>(candidates: &[Candidate<'u>], chance: u64) -> Option<&'u Arc<TargetState>> {
    let drawn = |candidates: &[Candidate<'u>], chance: u64| {
        let total: u64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = chance % total.max(1);
        candidates.iter().position(|candidate| match left.checked_sub(candidate.weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
    };
    let one = candidates[drawn(candidates, chance >> 32)?];
    let others: Vec<_> =
        candidates.iter().filter(|candidate| candidate.target.id != one.target.id).copied().collect();
    let other = drawn(&others, hash(chance)).map(|place| others[place]);
    let two = [Some(one), other].into_iter().flatten().collect::<Vec<_>>();
    least_busy(&two).first().map(|candidate| candidate.target)
}

/// Rendezvous hashing with weights: who has the lowest of `-ln(u) / weight`, `u` being a number in 0 to 1 that target and key
/// give. A weight that changes moves only the keys that it has to.
fn by_key<'u>(candidates: &[Candidate<'u>], key: u64) -> Option<&'u Arc<TargetState>> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "evenly spread numbers, of which the upper 53 bits suffice"
    )]
    let score = |candidate: &Candidate<'_>| {
        let unit = ((hash((key, &candidate.target.instance)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -unit.ln() / candidate.weight as f64
    };
    let best = candidates.iter().min_by(|a, b| score(a).total_cmp(&score(b)));
    best.map(|candidate| candidate.target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Address, InFlight, Phase};
    use std::collections::BTreeMap;

    const MANY: u64 = u64::MAX;

    fn targets(count: u16) -> Vec<Arc<TargetState>> {
        let address = |port| Address::Ip(([127, 0, 0, 1], port).into());
        (0..count).map(|n| Arc::new(TargetState::new(&format!("{n}"), address(n)))).collect()
    }

    fn weights(weights: &[u32]) -> Vec<Share> {
        weights.iter().map(|weight| Share { weight: *weight, is_backup: false }).collect()
    }

    /// Who gets so many requests in a row.
    fn sequence(shared: Shared<'_>, choosing: Choosing, now: Millis, count: usize) -> String {
        let one = |_| &*shared.choose(choosing, MANY, now, |_| false).unwrap().instance;
        (0..count).map(one).collect()
    }

    fn shares_of(text: &str) -> BTreeMap<char, usize> {
        text.chars().fold(BTreeMap::new(), |mut counts, who| {
            *counts.entry(who).or_default() += 1;
            counts
        })
    }

    #[test]
    fn weights_are_smooth_as_nginx_has_them() {
        let targets = targets(3);
        for choosing in [Choosing::InTurn(0), Choosing::LeastBusy(0)] {
            let (shares, wheel) = (weights(&[5, 1, 1]), Wheel::default());
            let shared = Shared { targets: &targets, shares: &shares, wheel: &wheel, slow_start: 0 };
            assert_eq!(sequence(shared, choosing, 0, 14), "00102000010200", "{choosing:?}");
        }
    }

    #[test]
    fn whoever_has_less_to_do_for_its_weight_is_first() {
        let targets = targets(2);
        let (shares, wheel) = (weights(&[3, 1]), Wheel::default());
        let shared = Shared { targets: &targets, shares: &shares, wheel: &wheel, slow_start: 0 };
        let mut open = Vec::new();
        let mut who = String::new();
        for _ in 0..8 {
            let target = shared.choose(Choosing::LeastBusy(0), MANY, 0, |_| false).unwrap();
            who += &target.instance;
            open.push(InFlight::begin(target.clone()));
        }
        assert_eq!(shares_of(&who), [('0', 6), ('1', 2)].into());
        open.truncate(0);
        let _two = [InFlight::begin(targets[0].clone()), InFlight::begin(targets[0].clone())];
        let _one = InFlight::begin(targets[1].clone());
        assert_eq!(sequence(shared, Choosing::LeastBusy(0), 0, 1), "0", "two of three before one of one");
    }

    #[test]
    fn chance_and_keys_follow_weights_too() {
        let targets = targets(3);
        let (shares, wheel) = (weights(&[6, 3, 1]), Wheel::default());
        let shared = Shared { targets: &targets, shares: &shares, wheel: &wheel, slow_start: 0 };
        let by_key = |shared: Shared<'_>, key: u64| {
            shared.choose(Choosing::ByKey(hash(key)), MANY, 0, |_| false).unwrap().instance.clone()
        };
        let keys: Vec<_> = (0..5000).map(|key| by_key(shared, key)).collect();
        let counts = shares_of(&keys.concat());
        assert!((2800..3200).contains(&counts[&'0']) && (1350..1650).contains(&counts[&'1']), "{counts:?}");
        // More weight for one moves keys to it alone.
        let more = weights(&[6, 3, 3]);
        for (key, before) in (0..5000).zip(&keys) {
            let after = by_key(Shared { shares: &more, ..shared }, key);
            assert!(after == *before || after == "2", "{key}");
        }
        let drawn: String = (0..5000)
            .map(|n| &*shared.choose(Choosing::OfTwo(hash(n)), MANY, 0, |_| false).unwrap().instance)
            .collect();
        // Nobody being busy, the first of the two is taken.
        let counts = shares_of(&drawn);
        assert!((2800..3200).contains(&counts[&'0']) && (350..650).contains(&counts[&'2']), "{counts:?}");
    }

    #[test]
    fn who_is_new_or_back_gets_more_by_and_by() {
        let targets = targets(2);
        let wheel = Wheel::default();
        let shared = Shared { targets: &targets, shares: &[], wheel: &wheel, slow_start: 30_000 };
        targets[0].begin_at(0);
        targets[1].begin_at(100_000);
        let share = |now| shares_of(&sequence(shared, Choosing::LeastBusy(0), now, 1000)).get(&'1').copied();
        // Of 1 to what it has come to: 0, a tenth, a half, all.
        let seen = [100_000, 103_000, 115_000, 130_000, 500_000].map(|now| share(now).unwrap_or(0));
        for (seen, expected) in seen.iter().zip([1, 91, 333, 500, 500]) {
            assert!(seen.abs_diff(expected) <= 2, "{seen} for {expected}");
        }
        // It failed and is back.
        targets[1].avoid(600_000);
        assert_eq!(share(599_999), None);
        assert!(share(600_000).unwrap_or(0) <= 2);
        assert!(share(615_000).unwrap().abs_diff(333) <= 2);
        // It left and came back, as a rollback has it.
        targets[1].enter(Phase::Leaving, 700_000, 700_000);
        targets[1].enter(Phase::Active, MANY, 800_000);
        assert!(share(815_000).unwrap().abs_diff(333) <= 2);
        targets[1].enter(Phase::Active, MANY, 820_000);
        assert!(share(830_000).unwrap().abs_diff(500) <= 2, "another table changes nothing");
    }

    #[test]
    fn who_is_alone_or_new_like_all_others_need_not_wait() {
        let targets = targets(3);
        targets.iter().for_each(|target| target.begin_at(1_000));
        let wheel = Wheel::default();
        let shared = Shared { targets: &targets, shares: &[], wheel: &wheel, slow_start: 30_000 };
        assert_eq!(
            shares_of(&sequence(shared, Choosing::InTurn(0), 1_000, 30)),
            [('0', 10), ('1', 10), ('2', 10)].into()
        );
        let alone = Shared { targets: &targets[..1], ..shared };
        assert_eq!(sequence(alone, Choosing::InTurn(0), 1_000, 2), "00");
    }

    #[test]
    fn a_backup_waits_until_all_others_are_away() {
        let targets = targets(3);
        let mut shares = weights(&[1, 1, 1]);
        shares[0].is_backup = true;
        let wheel = Wheel::default();
        let shared = Shared { targets: &targets, shares: &shares, wheel: &wheel, slow_start: 0 };
        assert_eq!(sequence(shared, Choosing::InTurn(0), 0, 4), "1212");
        targets[1].avoid(10);
        assert_eq!(sequence(shared, Choosing::InTurn(0), 0, 2), "22");
        let tried = |id| id == targets[2].id;
        let next = shared.choose(Choosing::LeastBusy(0), MANY, 0, tried);
        assert_eq!(next.map(|t| &*t.instance), Some("0"));
        targets[2].avoid(10);
        assert_eq!(sequence(shared, Choosing::InTurn(0), 0, 2), "00");
        targets[0].avoid(10);
        assert_eq!(sequence(shared, Choosing::InTurn(0), 0, 2).len(), 2, "better than nobody");
        assert_eq!(sequence(shared, Choosing::InTurn(0), 10, 2).replace('2', "1"), "11");
        let _busy = [InFlight::begin(targets[1].clone()), InFlight::begin(targets[2].clone())];
        let next = shared.choose(Choosing::InTurn(0), 1, 10, |_| false);
        assert_eq!(next.map(|t| &*t.instance), Some("0"), "no room elsewhere");
    }

    #[test]
    fn the_wheel_forgets_who_has_gone() {
        let targets = targets(3);
        let wheel = Wheel::default();
        let shared = Shared { targets: &targets, shares: &[], wheel: &wheel, slow_start: 0 };
        sequence(shared, Choosing::InTurn(0), 0, 3);
        wheel.keep(&targets[1..]);
        assert_eq!(wheel.0.lock().unwrap().len(), 2);
    }
}
