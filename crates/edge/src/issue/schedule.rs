//! When a certificate is ordered, renewed, or asked about: decisions only.
//!
//! Time and chance are arguments. Knows nothing about authorities, files and names.

use serde::{Deserialize, Serialize};

/// Unix time, or a length of time, in seconds.
pub(crate) type Seconds = u64;

const MINUTE: Seconds = 60;
const HOUR: Seconds = 60 * MINUTE;
const DAY: Seconds = 24 * HOUR;

/// Waits after the first failures. Let's Encrypt takes five failed validations an hour for a host: the first four fall into
/// an hour, and whatever goes wrong for a moment only is over after the first.
const FIRST_WAITS: [Seconds; 4] = [MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE];
/// Longest wait while the certificate at hand is good for a while yet, and while it is not.
const LONGEST_WAIT: Seconds = 6 * HOUR;
const LONGEST_URGENT_WAIT: Seconds = HOUR;
/// What "for a while yet" means.
const URGENT: Seconds = 2 * DAY;
/// An authority that says "later" is believed this far.
const LONGEST_RETRY_AFTER: Seconds = DAY;
/// After a success nothing is ordered for so long, or for a sixth of the certificate's life: where its end seems near at once,
/// the clock is wrong, and no number of certificates would mend that. Let's Encrypt issues five a week for the same names.
const SOONEST: Seconds = DAY;
/// The same where the authority itself wants it replaced, which may be because it has just been revoked.
const SOONEST_SUGGESTED: Seconds = HOUR;
/// Nothing is waited for longer than this without another look: the clock may have been set.
const LONGEST_SLEEP: Seconds = 12 * HOUR;

/// The life of the certificate at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) from: Seconds,
    pub(crate) to: Seconds,
}

impl Life {
    fn length(self) -> Seconds {
        self.to.saturating_sub(self.from)
    }
}

/// When the authority wants the certificate renewed (ARI, RFC 9773), as last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suggestion {
    /// None when it had no answer.
    pub(crate) window: Option<(Seconds, Seconds)>,
    pub(crate) asked: Seconds,
    /// It is to be asked again so long after.
    pub(crate) good_for: Seconds,
}

/// What became of the attempts since the last success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    pub(crate) last: Seconds,
    /// The authority asked to wait so long after the last.
    pub(crate) retry_after: Option<Seconds>,
}

/// All that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) held: Option<Life>,
    /// None for an authority that makes no suggestions, and before it was asked.
    pub(crate) suggestion: Option<Suggestion>,
    /// Whether it is worth asking for one.
    pub(crate) can_suggest: bool,
    pub(crate) failures: Failures,
    /// When the certificate at hand was got, by this machine's clock; none when nobody remembers.
    pub(crate) issued: Option<Seconds>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Order,
    AskForSuggestion,
    /// Nothing for so long.
    Wait(Seconds),
}

/// Decides. `chance` is between 0 and 1 and the same for a certificate's whole life, so that a time once chosen stays.
pub(crate) fn next(known: &Known, now: Seconds, chance: f64) -> Next {
    let due_in = known.held.map_or(0, |held| renewal(held, known.suggestion, chance).saturating_sub(now));
    if due_in == 0 {
        let after_failure = match pause(known, chance) {
            0 => 0,
            pause => remaining(known.failures.last, pause, now),
        };
        let after_success = known.held.zip(known.issued);
        let after_success =
            after_success.map_or(0, |(held, at)| remaining(at, soonest(held, known.suggestion), now));
        return match after_failure.max(after_success) {
            0 => Next::Order,
            left => Next::Wait(left.min(LONGEST_SLEEP)),
        };
    }
    if !known.can_suggest {
        return Next::Wait(due_in.min(LONGEST_SLEEP));
    }
    let ask_in = known.suggestion.map_or(0, |s| remaining(s.asked, s.good_for, now));
    match ask_in {
        0 => Next::AskForSuggestion,
        ask_in => Next::Wait(due_in.min(ask_in).min(LONGEST_SLEEP)),
    }
}

/// When a certificate is renewed: somewhere in the window that the authority suggests, else at two thirds of its life with
/// a twentieth either way, so that what was ordered together is not renewed together. Never in its last sixth.
fn renewal(held: Life, suggestion: Option<Suggestion>, chance: f64) -> Seconds {
    let latest = held.to.saturating_sub(held.length() / 6);
    let chosen = match suggestion.and_then(|s| s.window) {
        Some((from, to)) => from + part(to.saturating_sub(from), chance),
        None => held.from + held.length() * 2 / 3 - held.length() / 20 + part(held.length() / 10, chance),
    };
    chosen.min(latest)
}

/// How long nothing is ordered after a success.
fn soonest(held: Life, suggestion: Option<Suggestion>) -> Seconds {
    let is_suggested = suggestion.is_some_and(|s| s.window.is_some());
    let shortest = if is_suggested { SOONEST_SUGGESTED } else { SOONEST };
    shortest.min(held.length() / 6)
}

/// How long nothing is tried after the last failure.
fn pause(known: &Known, chance: f64) -> Seconds {
    let Failures { count, last, retry_after } = known.failures;
    let Some(index) = count.checked_sub(1) else { return 0 };
    let is_urgent = known.held.is_none_or(|held| held.to < last + URGENT);
    let longest = if is_urgent { LONGEST_URGENT_WAIT } else { LONGEST_WAIT };
    let doubled = FIRST_WAITS[3].saturating_mul(1 << index.saturating_sub(3).min(10));
    let wait = FIRST_WAITS.get(index as usize).copied().unwrap_or(doubled).min(longest);
    // A tenth more for some, so that after an outage not all come at once.
    (wait + part(wait / 10, chance)).max(retry_after.unwrap_or(0).min(LONGEST_RETRY_AFTER))
}

/// What is left of `length` that began at `begun`; nothing when the clock was set back meanwhile, as nobody knows then how
/// long ago that was.
fn remaining(begun: Seconds, length: Seconds, now: Seconds) -> Seconds {
    now.checked_sub(begun).map_or(0, |passed| length.saturating_sub(passed))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of some days, which need not be exact"
)]
fn part(of: Seconds, chance: f64) -> Seconds {
    (of as f64 * chance.clamp(0.0, 1.0)) as Seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Seconds = 1_800_000_000;
    const LIFE: Seconds = 90 * DAY;

    /// A certificate, an authority and a clock.
    struct Scene {
        known: Known,
        now: Seconds,
        chance: f64,
        /// How far the clock is ahead of the authority's.
        ahead: i64,
        /// The window that the authority always has an answer of.
        says: Option<(Seconds, Seconds)>,
        /// Times at which something was ordered, and whether it was had.
        orders: Vec<(Seconds, bool)>,
        asked: usize,
    }

    impl Scene {
        fn new(held: Option<Life>) -> Self {
            let failures = Failures::default();
            let known = Known { held, suggestion: None, can_suggest: false, failures, issued: None };
            Self { known, now: START, chance: 0.5, ahead: 0, says: None, orders: Vec::new(), asked: 0 }
        }

        /// Sets the clock so far ahead of the authority's, or behind it.
        fn set_clock(&mut self, ahead: i64) {
            self.now = self.now.saturating_add_signed(ahead - self.ahead);
            self.ahead = ahead;
        }

        /// Lives until `until` with an authority that is there when `is_up` says so.
        fn live(&mut self, until: Seconds, is_up: impl Fn(Seconds) -> bool) {
            while self.now < until {
                match next(&self.known, self.now, self.chance) {
                    Next::Order => self.order(is_up(self.now)),
                    Next::AskForSuggestion => {
                        self.asked += 1;
                        let before = self.known.suggestion.and_then(|s| s.window);
                        let window = self.says.or(before).filter(|_| is_up(self.now));
                        self.known.suggestion =
                            Some(Suggestion { window, asked: self.now, good_for: 6 * HOUR });
                    }
                    Next::Wait(0) => panic!("waiting for nothing"),
                    Next::Wait(seconds) => self.now += seconds,
                }
            }
        }

        fn order(&mut self, had: bool) {
            self.orders.push((self.now, had));
            let Known { held, suggestion, failures, can_suggest: _, issued } = &mut self.known;
            if had {
                let from = self.now.saturating_add_signed(-self.ahead);
                *held = Some(Life { from, to: from + LIFE });
                (*failures, *suggestion, *issued) = (Failures::default(), None, Some(self.now));
            } else {
                *failures = Failures { count: failures.count + 1, last: self.now, retry_after: None };
            }
            // An order takes some seconds.
            self.now += 5;
        }
    }

    fn fresh() -> Option<Life> {
        Some(Life { from: START, to: START + LIFE })
    }

    #[test]
    fn what_is_missing_is_ordered_at_once_and_renewed_at_two_thirds() {
        let mut scene = Scene::new(None);
        scene.live(START + 300 * DAY, |_| true);
        let days: Vec<_> = scene.orders.iter().map(|(at, _)| (at - START) / DAY).collect();
        assert_eq!(days, [0, 60, 120, 180, 240]);
    }

    #[test]
    fn an_authority_that_is_down_for_a_week_is_asked_with_patience() {
        // Down from before the renewal is due until a week after.
        let due = START + 60 * DAY;
        let mut scene = Scene::new(fresh());
        scene.live(due + 10 * DAY, |now| now > due + 7 * DAY);
        let (last, had) = scene.orders.last().copied().unwrap();
        assert!(had && last < due + 7 * DAY + 7 * HOUR, "renewed within hours of its return");
        assert!(last < START + LIFE, "and before the old one ended");
        let failed = scene.orders.len() - 1;
        assert!((20..=40).contains(&failed), "{failed} attempts in a week");
        for (at, _) in &scene.orders {
            let within_an_hour = scene.orders.iter().filter(|(other, _)| (*at..at + HOUR).contains(other));
            assert!(within_an_hour.count() <= 5);
        }
    }

    #[test]
    fn what_is_about_to_end_is_tried_for_more_often() {
        let mut scene = Scene::new(Some(Life { from: START - LIFE, to: START + DAY }));
        scene.live(START + DAY, |_| false);
        assert!((20..=30).contains(&scene.orders.len()), "{}", scene.orders.len());
    }

    #[test]
    fn an_authority_that_says_later_is_believed_for_a_day_at_most() {
        let mut scene = Scene::new(None);
        for (asked, waits) in [(HOUR * 3, HOUR * 3), (9 * DAY, DAY)] {
            scene.known.failures = Failures { count: 1, last: scene.now, retry_after: Some(asked) };
            let before = scene.now;
            scene.live(before + 2 * DAY, |_| true);
            assert_eq!(scene.orders.last().unwrap().0 - before, waits);
            scene.known.held = None;
        }
    }

    #[test]
    fn a_clock_that_jumps_back_holds_nothing_up() {
        let mut scene = Scene::new(None);
        scene.known.failures = Failures { count: 9, last: START + 400 * DAY, retry_after: None };
        scene.live(START + 2 * HOUR, |_| true);
        assert_eq!(scene.orders.len(), 1);
        // The certificate is from a time that is not yet: it is kept.
        let mut scene = Scene::new(Some(Life { from: START + 400 * DAY, to: START + 490 * DAY }));
        scene.live(START + 30 * DAY, |_| true);
        assert_eq!(scene.orders, []);
    }

    #[test]
    fn a_clock_that_jumps_ahead_costs_one_order() {
        let mut scene = Scene::new(fresh());
        scene.live(START + DAY, |_| true);
        scene.now += 400 * DAY;
        scene.live(START + 402 * DAY, |_| true);
        assert_eq!(scene.orders.len(), 1);
        // Back again: the authority has another clock, and the new certificate is from its time.
        scene.known.held = Some(Life { from: START + DAY, to: START + DAY + LIFE });
        scene.now = START + DAY;
        scene.live(START + 30 * DAY, |_| true);
        assert_eq!(scene.orders.len(), 1);
    }

    #[test]
    fn suggestions_are_followed_and_asked_for_again() {
        let mut scene = Scene::new(fresh());
        scene.known.can_suggest = true;
        let window = Some((START + 10 * DAY, START + 12 * DAY));
        scene.known.suggestion = Some(Suggestion { window, asked: START, good_for: 6 * HOUR });
        scene.live(START + 12 * DAY, |_| true);
        assert_eq!(scene.orders.len(), 1);
        assert_eq!((scene.orders[0].0 - START) / DAY, 11);
        assert!(scene.asked >= 40, "{}", scene.asked);
    }

    #[test]
    fn a_foolish_suggestion_does_not_let_it_end() {
        let mut scene = Scene::new(fresh());
        scene.known.can_suggest = true;
        let window = Some((START + 200 * DAY, START + 300 * DAY));
        scene.known.suggestion = Some(Suggestion { window, asked: START, good_for: 6 * HOUR });
        scene.live(START + LIFE, |_| true);
        assert_eq!((scene.orders[0].0 - START) / DAY, 75);
    }

    #[test]
    fn a_clock_that_stays_ahead_orders_once_a_day_at_most() {
        let mut scene = Scene::new(fresh());
        scene.live(START + DAY, |_| true);
        scene.set_clock((400 * DAY).cast_signed());
        scene.live(scene.now + 7 * DAY, |_| true);
        assert!((1..=8).contains(&scene.orders.len()), "{} orders in a week", scene.orders.len());
        scene.set_clock(0);
        let before = scene.orders.len();
        scene.live(scene.now + 30 * DAY, |_| true);
        assert_eq!(scene.orders.len(), before, "the last one is good");
    }

    #[test]
    fn what_is_revoked_is_replaced_as_soon_as_the_authority_says_so() {
        let mut scene = Scene::new(fresh());
        scene.known.can_suggest = true;
        scene.says = Some((START + 60 * DAY, START + 61 * DAY));
        scene.live(START + 20 * DAY, |_| true);
        assert_eq!(scene.orders, []);
        // It is revoked while the authority's directory is down for a day.
        let revoked = scene.now;
        scene.says = Some((revoked - HOUR, revoked));
        scene.live(revoked + 2 * DAY, |now| now > revoked + DAY);
        let (at, had) = scene.orders[0];
        assert!(had && at <= revoked + DAY + 6 * HOUR, "{}", at - revoked);
    }

    #[test]
    fn an_authority_that_is_never_content_is_obeyed_once_an_hour() {
        let mut scene = Scene::new(fresh());
        scene.known.can_suggest = true;
        scene.says = Some((1, 2));
        scene.live(START + 2 * DAY, |_| true);
        assert!((40..=49).contains(&scene.orders.len()), "{} orders in two days", scene.orders.len());
    }

    proptest! {
        #[test]
        fn a_clock_that_jumps_to_and_fro_costs_little_and_is_got_over(
            jumps in proptest::collection::vec((1_u64..500, -400_i64..400), 1..30),
            down in 0_u64..40,
        ) {
            let mut scene = Scene::new(fresh());
            // The authority is away for a week of its own time, whatever the clock says here.
            let is_up = |now: Seconds, ahead: i64| {
                let day = now.saturating_add_signed(-ahead).saturating_sub(START) / DAY;
                !(down..down + 7).contains(&day)
            };
            for (hours, days) in &jumps {
                scene.set_clock(days * DAY.cast_signed());
                let ahead = scene.ahead;
                scene.live(scene.now + hours * HOUR, |now| is_up(now, ahead));
            }
            scene.set_clock(0);
            scene.live(scene.now + 8 * DAY, |now| is_up(now, 0));
            let held = scene.known.held.unwrap();
            prop_assert!(held.from <= scene.now && scene.now < held.to, "{held:?} at {}", scene.now);
            // With every jump back, what was waited for may be over.
            let passed = (scene.now - START) / DAY;
            let had = scene.orders.iter().filter(|(_, had)| *had).count();
            prop_assert!(had <= jumps.len() + passed as usize + 1, "{had} orders in {passed} days");
            let failed = scene.orders.len() - had;
            prop_assert!(failed <= 8 * 24 + 6 * jumps.len(), "{failed} attempts while it was away");
        }

        #[test]
        fn it_is_renewed_in_its_last_third_and_before_its_last_sixth(chance in 0.0..1.0_f64, days in 1_u64..400) {
            let life = days * DAY;
            let at = renewal(Life { from: START, to: START + life }, None, chance) - START;
            prop_assert!(at >= life * 6 / 10 && at <= life * 5 / 6, "{at} of {life}");
        }

        #[test]
        fn time_always_passes(
            held in proptest::option::of((0_u64..4_000_000_000, 0_u64..4_000_000_000)),
            count in 0_u32..40, last in 0_u64..4_000_000_000, retry_after in proptest::option::of(0_u64..u64::MAX),
            window in proptest::option::of((0_u64..4_000_000_000, 0_u64..4_000_000_000)),
            issued in proptest::option::of(0_u64..4_000_000_000),
            asked in 0_u64..4_000_000_000, good_for in 0_u64..u64::MAX, now in 0_u64..4_000_000_000, chance in 0.0..1.0_f64,
        ) {
            let known = Known {
                held: held.map(|(from, to)| Life { from, to }),
                suggestion: Some(Suggestion { window, asked, good_for }),
                can_suggest: true,
                failures: Failures { count, last, retry_after },
                issued,
            };
            if let Next::Wait(seconds) = next(&known, now, chance) {
                prop_assert!((1..=DAY).contains(&seconds), "{seconds}");
            }
        }
    }
}
