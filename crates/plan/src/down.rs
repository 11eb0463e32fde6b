//! Taking a stack down: dependants before what they depend on, networks last, volumes only when asked.

use crate::draft::Draft;
use crate::leave;
use crate::view::View;
use mainstay_model::{Instance, Step, Transition};
use std::collections::BTreeSet;

/// One step further down.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>, volumes: bool) {
    let all: Vec<_> = view.all().collect();
    let staying: BTreeSet<_> = all.iter().filter(|i| !view.is_leaving(&i.id)).map(|i| i.id.clone()).collect();
    if !staying.is_empty() {
        return draft
            .record(Transition::Leave { instances: staying, at: view.now() }, "the stack is taken down");
    }
    for instance in &all {
        match all.iter().find(|other| depends_on(view, other, instance) && !leave::ended(other)) {
            Some(dependant) => {
                draft.wait(&instance.id.service, format!("stops after `{}`", dependant.id.service))
            }
            None => leave::out(view, draft, instance, "the stack is taken down"),
        }
    }
    if !all.is_empty() {
        return;
    }
    let observed = view.input.observed;
    for key in &observed.networks {
        draft.step(Step::RemoveNetwork { key: key.clone() }, "the stack is taken down");
    }
    for key in observed.volumes.iter().filter(|_| volumes) {
        draft.step(Step::RemoveVolume { key: key.clone() }, "its volumes were to go too");
    }
    if observed.networks.is_empty() && (observed.volumes.is_empty() || !volumes) {
        draft.record(Transition::Gone, "nothing is left");
    }
}

fn depends_on(view: &View<'_>, dependant: &Instance, needed: &Instance) -> bool {
    let definition = view.releases().find_map(|b| b.service(&dependant.id.service));
    definition.is_some_and(|d| d.depends_on.contains_key(&needed.id.service))
}
