//! Keeping a release running: restarts, replacements, the right number of copies.

use crate::backoff::{replacement_delay, restart_delay};
use crate::container_name::{create_steps, rename_step};
use crate::dependency::unmet;
use crate::draft::Draft;
use crate::strategy::{Strategy, strategy};
use crate::view::View;
use crate::{Blueprint, hook, leave};
use mainstay_model::{
    Health, Instance, InstanceState, RestartPolicy, RuntimeKind, Service, Step, Timestamp, Transition,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// A service that ran this long is well again; its next failure is a first one.
const CALM: Duration = Duration::from_secs(30);
/// Who removes instances from outside (`docker compose down`) takes a while; they are missed only after this.
const MISSED: Duration = Duration::from_secs(15);

/// No deploy under way.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>) {
    let current = view.blueprint(view.state().current);
    if let Some(current) = current {
        supervise(view, draft, current);
    }
    if let Some(current) = current {
        crate::make::advance(view, draft, current);
    }
    strays(view, draft, current);
    let wanted = |i: &Instance| current.is_some_and(|c| view.made(c, i));
    leave::advance(view, draft, |i| view.is_stopped(&i.id.service) && wanted(i));
}

/// Keeps the instances of `blueprint` running.
pub(crate) fn supervise(view: &View<'_>, draft: &mut Draft<'_>, blueprint: &Blueprint) {
    let deploy = view.state().deploy.as_ref();
    let settled = view.serving().is_some_and(|s| s.release.number == blueprint.release.number)
        && deploy.is_none_or(|d| d.to == blueprint.release.number);
    for service in blueprint.services() {
        if deploy.is_some_and(|d| d.to != blueprint.release.number && d.swapping.contains_key(&service.name))
        {
            continue;
        }
        if view.is_stopped(&service.name) {
            stop(view, draft, blueprint, service);
            continue;
        }
        for instance in view.staying(blueprint, &service.name) {
            if !view.is_replaced(&instance.id) {
                revive(view, draft, blueprint, service, instance);
            }
        }
        if settled {
            replace(view, draft, blueprint, service);
            recount(view, draft, blueprint, service);
            calm(view, draft, blueprint, service);
            if let Some(step) = rename_step(view, service) {
                draft.step(step, "the name is free now");
            }
        }
    }
}

/// Makes the networks and volumes that `blueprint` names and that do not exist.
pub(crate) fn resources(view: &View<'_>, draft: &mut Draft<'_>, blueprint: &Blueprint) {
    let (stack, release) = (&blueprint.release.stack, blueprint.release.number);
    let containers = blueprint.services().any(|s| s.runtime() == RuntimeKind::Docker);
    for key in stack.networks.iter().filter(|(_, n)| containers && !n.external).map(|(key, _)| key) {
        if !view.input.observed.networks.contains(key) {
            draft.step(Step::CreateNetwork { release, key: key.clone() }, "it does not exist");
        }
    }
    for key in stack.volumes.iter().filter(|(_, v)| !v.external).map(|(key, _)| key) {
        if !view.input.observed.volumes.contains(key) {
            draft.step(Step::CreateVolume { release, key: key.clone() }, "it does not exist");
        }
    }
}

/// A network or volume of the stack that has to be made before `service` can be.
pub(crate) fn lacks_resource(view: &View<'_>, blueprint: &Blueprint, service: &Service) -> Option<String> {
    let stack = &blueprint.release.stack;
    let network = service.networks.keys().find(|key| {
        stack.networks.get(*key).is_some_and(|n| !n.external) && !view.input.observed.networks.contains(*key)
    });
    let volume = service.mounts.iter().find_map(|mount| match &mount.kind {
        mainstay_model::MountKind::Volume { key, .. } => {
            let ours = stack.volumes.get(key).is_some_and(|v| !v.external);
            (ours && !view.input.observed.volumes.contains(key)).then_some(key)
        }
        _ => None,
    });
    network
        .map(|key| format!("waits for network `{key}`"))
        .or_else(|| volume.map(|key| format!("waits for volume `{key}`")))
}

/// Starts what was made and not started, and what ended and should run.
pub(crate) fn revive(
    view: &View<'_>,
    draft: &mut Draft<'_>,
    blueprint: &Blueprint,
    service: &Service,
    instance: &Instance,
) {
    let (at, asked) = match instance.state {
        InstanceState::Created => (Timestamp(0), Some("it was made and not started yet")),
        InstanceState::Running { .. } => return hook::finish_start(view, draft, service, instance),
        InstanceState::Exited { at, .. } => {
            let by_command = view.state().started.get(&service.name).is_some_and(|asked| *asked > at);
            (at, by_command.then_some("a command asked for it"))
        }
        _ => return,
    };
    let mut start = |why: String| hook::start(view, draft, service, instance, why);
    if let Some(why) = asked {
        // One that takes the place of another waits for nobody: its service runs, whatever has become of the others.
        let runs = view.instances(&service.name).iter().any(|i| i.is_running());
        return match unmet(view, blueprint, service).filter(|_| !runs) {
            Some(waits) => draft.wait(&service.name, waits),
            None => start(why.to_owned()),
        };
    }
    // Docker restarts containers by itself; one that it leaves alone was stopped by somebody.
    if service.runtime() == RuntimeKind::Docker
        || !may_restart(service, instance)
        || view.is_busy(&instance.id)
    {
        return;
    }
    let (count, last) = view.state().attempts.get(&service.name).copied().unwrap_or((0, Timestamp(0)));
    if count > 0 && last >= at {
        return start(format!("it ended; attempt {count}"));
    }
    let due = at + restart_delay(count, view.input.seed);
    // An end in the future means that the clock was set back: nothing to wait for.
    if due <= view.now() || at > view.now() {
        let at = view.now().max(at);
        draft.record(
            Transition::Attempt { service: service.name.clone(), at },
            format!("{} ended", instance.id),
        );
    } else {
        draft.wake(due);
        draft.wait(&service.name, format!("{} ended and is started again soon", instance.id));
    }
}

/// Whether the restart policy wants an instance that has ended to run again.
pub(crate) fn may_restart(service: &Service, instance: &Instance) -> bool {
    let InstanceState::Exited { code, .. } = instance.state else { return false };
    match service.restart {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max_retries } => {
            code != 0 && max_retries.is_none_or(|most| instance.restarts < most)
        }
    }
}

/// Whether the copies of `service` are restarted where they are, because a second one must not run beside them.
pub(crate) fn replaces_in_place(view: &View<'_>, blueprint: &Blueprint, service: &Service) -> bool {
    let strategy = strategy(&blueprint.release.stack, service, view.input.observed.free_memory);
    strategy != Strategy::StartFirst
}

/// Copies beyond the wanted number: the unready first, then those being replaced, then the youngest.
pub(crate) fn surplus<'a>(view: &View<'a>, blueprint: &Blueprint, service: &Service) -> Vec<&'a Instance> {
    let wanted = usize::try_from(service.replicas).unwrap_or(usize::MAX);
    let mut staying = view.staying(blueprint, &service.name);
    let works = |i: &Instance| view.is_ready(i) || (crate::proof::may_end(service) && i.has_completed());
    staying.sort_by_key(|i| (!works(i), view.is_replaced(&i.id), i.id.clone()));
    staying.split_off(wanted.min(staying.len()))
}

/// Instances that no release in force wants. Containers that were there before us are left alone.
pub(crate) fn strays(view: &View<'_>, draft: &mut Draft<'_>, in_force: Option<&Blueprint>) {
    let wanted = |i: &Instance| in_force.is_some_and(|b| view.made(b, i));
    let stray = |i: &&Instance| i.id.release > 0 && !wanted(i);
    let instances: BTreeSet<_> =
        view.all().filter(stray).filter(|i| !view.is_leaving(&i.id)).map(|i| i.id.clone()).collect();
    if !instances.is_empty() {
        draft.record(Transition::Leave { instances, at: view.now() }, "no release in force wants them");
    }
}

fn stop(view: &View<'_>, draft: &mut Draft<'_>, blueprint: &Blueprint, service: &Service) {
    let running = view.staying(blueprint, &service.name).into_iter().filter(|i| !leave::ended(i));
    let instances: BTreeSet<_> = running.map(|i| i.id.clone()).collect();
    if !instances.is_empty() {
        draft.record(Transition::Leave { instances, at: view.now() }, "a command stopped the service");
    }
}

/// Replaces what is unhealthy: beside the old where two may run, in place where not.
fn replace(view: &View<'_>, draft: &mut Draft<'_>, blueprint: &Blueprint, service: &Service) {
    let staying = view.staying(blueprint, &service.name);
    let sick: BTreeSet<_> = staying
        .iter()
        .filter(|i| {
            i.is_running() && matches!(i.health, Health::Unhealthy { .. }) && !view.is_replaced(&i.id)
        })
        .map(|i| i.id.clone())
        .collect();
    let now = view.now();
    if !sick.is_empty() {
        let (count, last) = view.state().attempts.get(&service.name).copied().unwrap_or((0, Timestamp(0)));
        let due = last + replacement_delay(count, view.input.seed);
        if due <= now || last > now {
            draft.record(Transition::Replace { instances: sick, at: now }, "it is unhealthy");
        } else {
            draft.wake(due);
        }
    }
    let (old, fresh): (Vec<_>, Vec<_>) = staying.into_iter().partition(|i| view.is_replaced(&i.id));
    if old.is_empty() {
        return;
    }
    if replaces_in_place(view, blueprint, service) {
        old.into_iter().for_each(|instance| again(view, draft, instance));
        return;
    }
    let wanted = usize::try_from(service.replicas).unwrap_or(usize::MAX);
    let ready = fresh.iter().filter(|i| view.is_ready(i)).count();
    for step in create_steps(view, service, blueprint.release.number, wanted.saturating_sub(fresh.len())) {
        draft.step(step, "takes the place of an instance that is being replaced");
    }
    let mut leaving: BTreeSet<_> = old.iter().filter(|_| ready >= wanted).map(|i| i.id.clone()).collect();
    // Replacements that failed themselves do not pile up.
    let unready = old.iter().rev().filter(|i| !view.is_ready(i));
    leaving.extend(unready.take(old.len().saturating_sub(wanted)).map(|i| i.id.clone()));
    if !leaving.is_empty() {
        draft.record(Transition::Leave { instances: leaving, at: now }, "its replacement is ready");
    }
}

/// Stops an instance and starts the same one again.
fn again(view: &View<'_>, draft: &mut Draft<'_>, instance: &Instance) {
    if let InstanceState::Exited { at, .. } = instance.state {
        let at = view.now().max(Timestamp(at.0 + 1));
        let services = BTreeSet::from([instance.id.service.clone()]);
        draft.record(Transition::Start { services, at }, "it has stopped and starts again");
    } else if let Some(why) = leave::drains(view, draft, instance) {
        draft.wait(&instance.id.service, why);
    } else {
        draft.step(leave::stop(view, instance), "it is restarted in place: a second copy must not run");
    }
}

/// Makes copies that are missing, and lets surplus ones go.
fn recount(view: &View<'_>, draft: &mut Draft<'_>, blueprint: &Blueprint, service: &Service) {
    let extra: BTreeSet<_> = surplus(view, blueprint, service)
        .into_iter()
        .filter(|i| !view.is_replaced(&i.id))
        .map(|i| i.id.clone())
        .collect();
    let now = view.now();
    if !extra.is_empty() && view.state().replace.is_empty() {
        draft.record(Transition::Leave { instances: extra, at: now }, "there are more than wanted");
    }
    let wanted = usize::try_from(service.replicas).unwrap_or(usize::MAX);
    let missing = wanted.saturating_sub(view.staying(blueprint, &service.name).len());
    if missing == 0 || service.restart == RestartPolicy::No || view.all().next().is_none() {
        return;
    }
    resources(view, draft, blueprint);
    match view.state().attempts.get(&service.name) {
        Some((_, last)) if *last + MISSED <= now || *last > now => {
            for step in create_steps(view, service, blueprint.release.number, missing) {
                draft.step(step, "it was removed from outside");
            }
        }
        Some((_, last)) => draft.wake(*last + MISSED),
        None => {
            draft.record(
                Transition::Attempt { service: service.name.clone(), at: now },
                "an instance is missing",
            );
        }
    }
}

/// Forgets failures once all copies have run well for a while.
fn calm(view: &View<'_>, draft: &mut Draft<'_>, blueprint: &Blueprint, service: &Service) {
    if !view.state().attempts.contains_key(&service.name) {
        return;
    }
    let staying = view.staying(blueprint, &service.name);
    let wanted = usize::try_from(service.replicas).unwrap_or(usize::MAX);
    let youngest = staying.iter().filter(|i| view.is_ready(i)).filter_map(|i| match i.state {
        InstanceState::Running { since } => Some(since.min(view.now())),
        _ => None,
    });
    let youngest: Vec<_> = youngest.collect();
    if let Some(since) = youngest.iter().max().filter(|_| youngest.len() >= wanted) {
        let due = *since + CALM;
        if due <= view.now() {
            draft.record(Transition::Calm { service: service.name.clone() }, "it has been well for a while");
        } else {
            draft.wake(due);
        }
    }
}
