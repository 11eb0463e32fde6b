//! A release that has just taken over is watched for a while, and left again when it turns out worse than the one
//! before: its instances keep ending or failing their probes, or its answers fail much more often.
//!
//! Only services that the deploy changed can be to blame. Latency is not looked at.

use crate::deploy::{RESTARTS_ARE_FAILURE, last_end};
use crate::draft::Draft;
use crate::route::upstream_keys;
use crate::view::View;
use crate::{Blueprint, proof};
use mainstay_model::{Answers, Failure, Health, Instance, Service, Transition, Watch};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a release is on trial: most bad ones show within the first minute of real traffic, and a longer trial
/// would go back over what had been used, and written to, for a while.
const WATCH: Duration = Duration::from_secs(60);
/// Failed answers below which nothing is concluded.
const ENOUGH: u64 = 10;
/// The share of failed answers, in percent, that nobody would want whatever was before.
const BAD: u64 = 5;
/// And it has to be this many times the share of before: a service that always failed a lot is not worse now.
const TIMES: u64 = 2;

/// What the edge has answered so far for this stack, by upstream key.
pub(crate) fn answers(view: &View<'_>) -> BTreeMap<String, Answers> {
    let Some(status) = view.input.observed.edge.known() else { return BTreeMap::new() };
    let ours = format!("{}/", view.input.stack);
    let count = |by_class: &BTreeMap<String, u64>| Answers {
        all: by_class.values().sum(),
        failed: by_class.get("5xx").copied().unwrap_or(0),
    };
    let keys = status.requests.iter().filter(|(key, _)| key.starts_with(&ours));
    keys.map(|(key, by_class)| (key.clone(), count(by_class))).collect()
}

/// Ends the trial: back, when the current release is worse; trust, when it has been well long enough.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>) {
    let state = view.state();
    let (Some(watch), Some(current)) = (&state.watch, view.blueprint(state.current)) else { return };
    let before = view.blueprint(Some(watch.back_to));
    let changed = |s: &&Service| before.is_some_and(|b| b.hash(&s.name) != current.hash(&s.name));
    // Whoever stops services is at it by hand: what fails now may fail because of that, and going back would start them.
    let by_hand = !state.stopped.is_empty();
    let worse = || {
        let mut services = current.services().filter(|_| !by_hand).filter(changed);
        services.find_map(|service| fault(view, watch, current, service))
    };
    let until = watch.since + WATCH;
    // Asked once even when the old took longer to drain than a trial lasts.
    if let Some(failure) = worse() {
        draft.record(Transition::GoBack { failure, at: view.now() }, "it is worse than the release before");
    } else if before.is_none() || until <= view.now() || watch.since > view.now() {
        // A clock that was set back says nothing about how long it has been.
        draft.record(Transition::Trust, "it has been well for a while");
    } else {
        draft.wake(until);
    }
}

fn fault(view: &View<'_>, watch: &Watch, current: &Blueprint, service: &Service) -> Option<Failure> {
    let blame = |instance: Option<&Instance>, why: String| Failure {
        service: Some(service.name.clone()),
        instance: instance.map(|i| i.id.clone()),
        why,
        log: Vec::new(),
    };
    let staying = view.staying(current, &service.name);
    let attempts = view.state().attempts.get(&service.name).map_or(0, |(count, _)| *count);
    let keeps_failing = |i: &&&Instance| {
        let may_end = proof::may_end(service) && i.has_completed();
        i.restarts.max(attempts) >= RESTARTS_ARE_FAILURE && !view.is_ready(i) && !may_end
    };
    if let Some(instance) = staying.iter().find(keeps_failing) {
        let how = match &instance.health {
            Health::Unhealthy { why } if instance.is_running() => why.clone(),
            _ => last_end(instance),
        };
        return Some(blame(Some(instance), format!("{} keeps failing: {how}", instance.id)));
    }
    let now = answers(view);
    let keys = upstream_keys(view, current, service);
    let (since, until) = keys.iter().fold((Answers::default(), Answers::default()), |(since, until), key| {
        let (was, is) = (watch.before.get(key).copied().unwrap_or_default(), now.get(key));
        let is = is.copied().unwrap_or_default();
        // An edge that was started anew counts from nothing.
        let was = if was.all > is.all { Answers::default() } else { was };
        let new = Answers { all: is.all - was.all, failed: is.failed.saturating_sub(was.failed) };
        (sum(since, new), sum(until, was))
    });
    is_worse(until, since).then(|| {
        let (failed, all) = (since.failed, since.all);
        blame(None, format!("{failed} of the first {all} answers of `{}` failed", service.name))
    })
}

fn sum(a: Answers, b: Answers) -> Answers {
    Answers { all: a.all + b.all, failed: a.failed + b.failed }
}

/// Whether answers `now` fail so much more often than `before` that it is no accident.
fn is_worse(before: Answers, now: Answers) -> bool {
    let bad = now.failed >= ENOUGH && now.failed * 100 > now.all * BAD;
    // failed/all of now > TIMES × failed/all of before, without dividing by nothing.
    bad && u128::from(now.failed) * u128::from(before.all.max(1))
        > u128::from(TIMES) * u128::from(before.failed) * u128::from(now.all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_worse_when_many_fail_that_did_not_before() {
        let answers = |failed, all| Answers { all, failed };
        assert!(is_worse(answers(0, 1000), answers(10, 100)));
        assert!(is_worse(answers(0, 0), answers(10, 10)));
        // Too few to tell.
        assert!(!is_worse(answers(0, 1000), answers(9, 9)));
        // Rare failures.
        assert!(!is_worse(answers(0, 1000), answers(50, 1000)));
        // It was no better before.
        assert!(!is_worse(answers(100, 1000), answers(20, 100)));
        assert!(is_worse(answers(100, 1000), answers(21, 100)));
    }
}
