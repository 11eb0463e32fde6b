//! Starts that are more than a start: services with `pre_start:` or `post_start:` (Compose Specification, "Lifecycle hooks").
//!
//! What is begun is written down first, so that an agent that comes back knows whose hooks may not have run. Hooks run
//! around the starts that we decide; when the Engine restarts a container by itself they do not, as with Compose.

use crate::draft::Draft;
use crate::view::View;
use mainstay_model::{Instance, Reason, Service, Step, Transition};
use std::collections::BTreeSet;

/// Whether more belongs to a start of `service` than the start.
fn has_hooks(service: &Service) -> bool {
    !service.more.pre_start.is_empty() || !service.more.post_start.is_empty()
}

/// Starts `instance`. Containers of `pre_start:` run once for all copies, before the first: the others wait for it.
pub(crate) fn start(
    view: &View<'_>,
    draft: &mut Draft<'_>,
    service: &Service,
    instance: &Instance,
    why: impl Into<Reason>,
) {
    let id = instance.id.clone();
    if !has_hooks(service) {
        return draft.step(Step::Start { instance: id, prepare: false }, why);
    }
    if !view.is_starting(&id) {
        let why = format!("its start is over when its hooks have run: {}", why.into());
        return draft.record(Transition::Starting { instances: BTreeSet::from([id]) }, why);
    }
    let copies = view.instances(&service.name).iter().copied();
    let mut others = copies.filter(|i| i.id != id && i.hash == instance.hash && !view.is_leaving(&i.id));
    let is_first = !instance.is_running() && !others.clone().any(Instance::is_running);
    let prepare = is_first && !service.more.pre_start.is_empty();
    match others.find(|other| prepare && view.is_starting(&other.id) && other.id < id) {
        Some(other) => draft.wait(&service.name, format!("waits for the start of {}", other.id)),
        None => draft.step(Step::Start { instance: id, prepare }, why),
    }
}

/// Runs what is left of an interrupted start of an instance that runs.
pub(crate) fn finish_start(view: &View<'_>, draft: &mut Draft<'_>, service: &Service, instance: &Instance) {
    if instance.is_running() && view.is_starting(&instance.id) {
        start(view, draft, service, instance, "its hooks have not all run");
    }
}

/// Forgets starts of instances that are gone.
pub(crate) fn forget(view: &View<'_>, draft: &mut Draft<'_>) {
    let gone = |id: &&_| view.instance(id).is_none() && !view.is_busy(id);
    let instances: BTreeSet<_> = view.state().starting.iter().filter(gone).cloned().collect();
    if !instances.is_empty() {
        draft.record(Transition::Forget { instances }, "they are gone");
    }
}
