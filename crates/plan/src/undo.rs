//! A failed deploy is undone: what is new goes, what was stopped for it comes back.

use crate::draft::Draft;
use crate::view::View;
use crate::{Blueprint, hook, leave, steady};
use mainstay_model::{Deploy, Health, Instance, RuntimeKind, StepKey, Transition};

/// One step back towards the old release.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>, deploy: &Deploy) {
    let from = view.blueprint(deploy.from);
    let is_new = |i: &Instance| i.id.release == deploy.to && !from.is_some_and(|from| view.made(from, i));
    let mut clean = true;
    for instance in view.all().filter(|i| is_new(i)) {
        leave::out(view, draft, instance, "the deploy it was made for failed");
        clean = false;
    }
    // A step still under way may make something that would then be nobody's.
    clean &= view.input.busy.iter().all(|key| matches!(key, StepKey::Journal | StepKey::Edge));
    if let Some(from) = from {
        for service in deploy.swapping.keys() {
            let still_new = view.instances(service).iter().any(|i| is_new(i));
            for instance in view.matching(from, service) {
                clean &= restore(view, draft, from, instance, still_new);
            }
        }
        steady::supervise(view, draft, from);
    }
    leave::advance(view, draft, |_| false);
    // What came back takes requests before the swap is forgotten: an agent that dies in between knows of no health, and
    // nothing would hold requests any more.
    if clean && crate::route::in_force(view, draft) && !draft.has_records() {
        draft.record(Transition::Settle, "everything of the failed deploy is gone");
    }
}

/// Starts an old instance again once nothing new holds its place. True when it runs and its health is known.
fn restore(
    view: &View<'_>,
    draft: &mut Draft<'_>,
    from: &Blueprint,
    instance: &Instance,
    still_new: bool,
) -> bool {
    let service = &instance.id.service;
    if !leave::ended(instance) {
        // One that fails again and again was no better before; waiting for it would never end. The Engine counts from
        // the last start by command, as `attempts` do; a native instance counts every swap it was ever stopped for.
        let ended = match instance.runtime {
            RuntimeKind::Docker => instance.restarts,
            RuntimeKind::Native => view.state().attempts.get(service).map_or(0, |(count, _)| *count),
        };
        let hooked = !view.is_starting(&instance.id);
        return (instance.health != Health::Starting && hooked) || ended > 2;
    }
    if instance.has_completed()
        && view.releases().filter_map(|b| b.service(service)).any(crate::proof::may_end)
    {
        return true;
    }
    if still_new {
        draft.wait(service, "comes back once the failed new instance is gone");
    } else if let Some(service) = from.service(service) {
        hook::start(view, draft, service, instance, "the deploy that stopped it failed");
    }
    false
}
