//! How a transition changes the state of a stack.

use mainstay_model::{
    Deploy, Failure, InstanceId, Phase, ReleaseNumber, ServiceName, StackState, Timestamp, Transition, Watch,
    Wish,
};
use std::collections::{BTreeMap, BTreeSet};

/// The state after `transition`. Transitions that no longer apply change the generation alone.
#[must_use]
pub fn apply(state: &StackState, transition: &Transition) -> StackState {
    let mut next = state.clone();
    next.generation += 1;
    match transition.clone() {
        Transition::Begin { to, at } => begin(&mut next, to, at),
        Transition::JobDone { service } => with_deploy(&mut next, |deploy| {
            deploy.jobs_done.insert(service);
        }),
        Transition::Swap { service, leaving, at } => {
            with_deploy(&mut next, |deploy| {
                deploy.swapping.insert(service, at);
            });
            leave(&mut next, leaving, at);
        }
        Transition::Switch { leaving, at, answers } => {
            with_deploy(&mut next, |deploy| deploy.phase = Phase::Switched { at, answers });
            next.replace.retain(|id, _| !leaving.contains(id));
            leave(&mut next, leaving, at);
        }
        Transition::Fail { failure } => fail(&mut next, failure),
        Transition::Settle => settle(&mut next),
        Transition::Trust => next.watch = None,
        Transition::GoBack { failure, at } => go_back(&mut next, failure, at),
        Transition::Down { volumes, at: _ } => down(&mut next, volumes),
        // A deploy under way has no place here: who asks waits for its end.
        Transition::Eject if next.deploy.is_none() => {
            (next.wish, next.watch) = (Wish::Eject, None);
            next.make.clear();
            // What was to be replaced stays as it is: Compose replaces nothing by itself.
            next.replace.clear();
        }
        Transition::Eject => {}
        Transition::Gone => next = StackState { generation: next.generation, ..StackState::default() },
        Transition::Make { to, services, leaving, at } => make(&mut next, to, services, leaving, at),
        Transition::Made { services } => next.make.retain(|service| !services.contains(service)),
        Transition::Stop { services } => next.stopped.extend(services),
        Transition::Start { services, at } => start(&mut next, services, at),
        Transition::Replace { instances, at } => replace(&mut next, instances, at),
        Transition::Leave { instances, at } => {
            next.replace.retain(|id, _| !instances.contains(id));
            leave(&mut next, instances, at);
        }
        Transition::Starting { instances } => next.starting.extend(instances),
        Transition::Started { instance } => {
            next.starting.remove(&instance);
        }
        Transition::Forget { instances } => {
            next.starting.retain(|id| !instances.contains(id));
            next.leaving.retain(|id, _| !instances.contains(id));
            next.replace.retain(|id, _| !instances.contains(id));
        }
        Transition::Attempt { service, at } => {
            let (count, last) = next.attempts.entry(service).or_insert((0, at));
            (*count, *last) = (count.saturating_add(1), at);
        }
        Transition::Calm { service } => {
            next.attempts.remove(&service);
        }
    }
    next
}

fn start(state: &mut StackState, services: BTreeSet<ServiceName>, at: Timestamp) {
    state.leaving.retain(|id, _| !services.contains(&id.service));
    state.replace.retain(|id, _| !services.contains(&id.service));
    state.stopped.retain(|service| !services.contains(service));
    state.make.retain(|service| !services.contains(service));
    state.started.extend(services.into_iter().map(|service| (service, at)));
}

fn make(
    state: &mut StackState,
    to: ReleaseNumber,
    services: BTreeSet<ServiceName>,
    leaving: BTreeSet<InstanceId>,
    at: Timestamp,
) {
    if state.deploy.is_none() {
        (state.wish, state.watch, state.current) = (Wish::Up, None, Some(to));
        state.stopped.extend(services.iter().cloned());
        state.make.extend(services);
        leave(state, leaving, at);
    }
}

fn down(state: &mut StackState, volumes: bool) {
    state.wish = Wish::Down { volumes };
    state.watch = None;
    // The definitions are still needed: how to drain, in which order to stop, how long to wait.
    if let Some(deploy) = state.deploy.take() {
        let switched = matches!(deploy.phase, Phase::Switched { .. });
        state.current = deploy.from.filter(|_| !switched).or(Some(deploy.to));
    }
}

fn begin(state: &mut StackState, to: u32, at: Timestamp) {
    state.wish = Wish::Up;
    state.make.clear();
    let stopped = std::mem::take(&mut state.stopped);
    state.leaving.retain(|id, _| !stopped.contains(&id.service));
    state.started.extend(stopped.into_iter().map(|service| (service, at)));
    deploy(state, to, at, None);
}

fn deploy(state: &mut StackState, to: ReleaseNumber, at: Timestamp, back: Option<Failure>) {
    state.attempts.clear();
    state.watch = None;
    let (jobs_done, swapping) = (BTreeSet::new(), BTreeMap::new());
    let (from, phase) = (state.current, Phase::Proving);
    state.deploy = Some(Deploy { to, from, started: at, phase, jobs_done, swapping, back });
}

/// What a command stopped stays stopped: nobody asked for more than the release that served before.
fn go_back(state: &mut StackState, failure: Failure, at: Timestamp) {
    if let (Some(watch), None) = (state.watch.take(), &state.deploy) {
        deploy(state, watch.back_to, at, Some(failure));
    }
}

/// Only a deploy that has not switched can fail; afterwards the new release serves and is supervised.
fn fail(state: &mut StackState, failure: Failure) {
    let Some(deploy) = state.deploy.as_mut().filter(|d| d.phase == Phase::Proving) else { return };
    deploy.phase = Phase::Undoing { failure };
    let swapping: BTreeSet<_> = deploy.swapping.keys().cloned().collect();
    state.leaving.retain(|id, _| !swapping.contains(&id.service));
}

fn settle(state: &mut StackState) {
    let Some(deploy) = state.deploy.take() else { return };
    if let Phase::Switched { at, answers } = deploy.phase {
        state.current = Some(deploy.to);
        // A release that was gone back to is not left again by itself: it would be for ever.
        let before = deploy.from.filter(|from| *from != deploy.to && deploy.back.is_none());
        state.watch = before.map(|back_to| Watch { back_to, since: at, before: answers });
    }
}

fn replace(state: &mut StackState, instances: BTreeSet<InstanceId>, at: Timestamp) {
    for id in instances {
        let (count, last) = state.attempts.entry(id.service.clone()).or_insert((0, at));
        (*count, *last) = (count.saturating_add(1), at);
        state.replace.entry(id).or_insert(at);
    }
}

fn leave(state: &mut StackState, instances: BTreeSet<InstanceId>, at: Timestamp) {
    for id in instances {
        state.leaving.entry(id).or_insert(at);
    }
}

fn with_deploy(state: &mut StackState, change: impl FnOnce(&mut Deploy)) {
    if let Some(deploy) = state.deploy.as_mut().filter(|d| d.phase == Phase::Proving) {
        change(deploy);
    }
}
