//! Making the instances of services that are not to run yet: `create`.
//!
//! Each such service counts as stopped; whoever starts it finds its instances made.

use crate::container_name::create_steps;
use crate::draft::Draft;
use crate::view::View;
use crate::{Blueprint, steady};
use mainstay_model::Transition;
use std::collections::BTreeSet;

/// Makes what is missing of the services that are to be made; forgets those that are.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>, current: &Blueprint) {
    if view.state().make.is_empty() {
        return;
    }
    steady::resources(view, draft, current);
    let mut made = BTreeSet::new();
    for name in &view.state().make {
        let Some(service) = current.service(name) else {
            made.insert(name.clone());
            continue;
        };
        if view.instances(name).iter().any(|i| view.is_leaving(&i.id)) {
            draft.wait(name, "is made once the old instance is gone");
            continue;
        }
        let wanted = usize::try_from(service.replicas).unwrap_or(usize::MAX);
        let missing = wanted.saturating_sub(view.staying(current, name).len());
        if missing == 0 {
            made.insert(name.clone());
        } else if let Some(why) = steady::lacks_resource(view, current, service) {
            draft.wait(name, why);
        } else {
            for step in create_steps(view, service, current.release.number, missing) {
                draft.step(step, "it is to be made and not started");
            }
        }
    }
    if !made.is_empty() {
        draft.record(Transition::Made { services: made }, "their instances are there");
    }
}
