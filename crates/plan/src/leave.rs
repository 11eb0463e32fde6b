//! Instances on their way out: they finish what they have, stop, and go.

use crate::draft::Draft;
use crate::route::{drain_until, is_routed};
use crate::view::View;
use mainstay_model::{Instance, InstanceState, Seen, Step, StepKey, Transition};
use std::collections::BTreeSet;
use std::time::Duration;

/// Stop grace for what has no definition any more; Compose's default.
const UNKNOWN_GRACE: Duration = Duration::from_secs(10);

/// Moves every leaving instance one step further. What `keep` wants stays when it has stopped.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>, keep: impl Fn(&Instance) -> bool) {
    let mut gone = BTreeSet::new();
    for id in view.state().leaving.keys() {
        match view.instance(id) {
            None if view.is_busy(id) => {}
            None => {
                gone.insert(id.clone());
            }
            Some(instance) if ended(instance) && keep(instance) => {}
            Some(instance) => out(view, draft, instance, "it is no longer needed"),
        }
    }
    if !gone.is_empty() {
        draft.record(Transition::Forget { instances: gone }, "they are gone");
    }
}

/// Stops `instance` once it has nothing left to do, then removes it.
pub(crate) fn out(view: &View<'_>, draft: &mut Draft<'_>, instance: &Instance, why: &str) {
    let step = if ended(instance) {
        Step::Remove { instance: instance.id.clone() }
    } else if let Some(waits) = drains(view, draft, instance) {
        return draft.wait(&instance.id.service, waits);
    } else {
        stop(view, instance)
    };
    draft.step(step, why);
}

/// The step that stops `instance` with the grace of its service.
pub(crate) fn stop(view: &View<'_>, instance: &Instance) -> Step {
    let grace = view
        .releases()
        .find_map(|b| b.service(&instance.id.service))
        .map_or(UNKNOWN_GRACE, |s| s.stop_grace_period);
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    Step::Stop { instance: instance.id.clone(), grace_ms }
}

/// Whether nothing of it runs.
pub(crate) fn ended(instance: &Instance) -> bool {
    matches!(instance.state, InstanceState::Exited { .. } | InstanceState::Created | InstanceState::Dead)
}

/// What a routed instance still waits for before it may stop; `None` when it may. It may when the edge is known to
/// send it nothing new, and either nothing is left open or its time is up.
pub(crate) fn drains(view: &View<'_>, draft: &mut Draft<'_>, instance: &Instance) -> Option<String> {
    if !is_routed(view, &instance.id.service) {
        return None;
    }
    let name = format!("{}/{}", view.input.stack, instance.id);
    // A table on its way may still name it.
    let on_its_way = view.input.busy.contains(&StepKey::Edge);
    let Some(table) = view.input.observed.table.as_ref().filter(|_| !on_its_way) else {
        return Some("waits for the edge to say where it sends requests".into());
    };
    if table.upstreams.values().any(|u| u.targets.iter().any(|t| t.instance == name)) {
        return Some(format!("{} still takes requests", instance.id));
    }
    let until = drain_until(view, instance);
    if until <= view.now() {
        return None;
    }
    draft.wake(until);
    match &view.input.observed.edge {
        Seen::Unknown(why) => Some(format!("waits for the edge: {why}")),
        Seen::Known(status) => match status.in_flight.get(&name).copied().unwrap_or(0) {
            0 => None,
            open => Some(format!("{} finishes {open} open requests", instance.id)),
        },
    }
}
