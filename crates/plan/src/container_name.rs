//! Names and numbers of new instances.

use crate::view::View;
use mainstay_model::{InstanceId, ReleaseNumber, Service, Step, StepKey};
use std::collections::BTreeSet;

/// Steps that make `count` more instances of `service` for `release`. Numbers are Compose's: from 1, the lowest free.
/// None while others are being made: how many are missing is known when those are there.
pub(crate) fn create_steps(
    view: &View<'_>,
    service: &Service,
    release: ReleaseNumber,
    count: usize,
) -> Vec<Step> {
    let present = view.instances(&service.name);
    let being_made = |key: &StepKey| match key {
        StepKey::Instance(id) => id.service == service.name && view.instance(id).is_none(),
        _ => false,
    };
    if view.input.busy.iter().any(being_made) {
        return Vec::new();
    }
    let remembered = view.state().leaving.keys().chain(view.state().replace.keys());
    let slots = present.iter().map(|i| &i.id).chain(remembered.filter(|id| id.service == service.name));
    let last_slot = slots.filter(|id| id.release == release).map(|id| id.slot).max().unwrap_or(0);
    let used: BTreeSet<_> = present.iter().map(|i| i.number).collect();
    let free = (1..).filter(|number| !used.contains(number));
    free.zip(last_slot + 1..)
        .take(count)
        .map(|(number, slot)| {
            let instance = InstanceId { service: service.name.clone(), release, slot };
            Step::Create { instance, release, name: name_of(view, service, number), number }
        })
        .collect()
}

/// `container_name` when it is free, else Compose's name, which is free because the number is.
fn name_of(view: &View<'_>, service: &Service, number: u32) -> String {
    match &service.container_name {
        Some(name) if !view.all().any(|i| i.name == *name) => name.clone(),
        Some(name) => format!("{name}-{number}"),
        None => of_compose(view, service, number),
    }
}

/// The name that Compose gives a container without `container_name`.
pub(crate) fn of_compose(view: &View<'_>, service: &Service, number: u32) -> String {
    format!("{}-{}-{number}", view.input.stack, service.name)
}

/// The rename that gives the only instance of a service its `container_name` once the old one is gone.
pub(crate) fn rename_step(view: &View<'_>, service: &Service) -> Option<Step> {
    let name = service.container_name.as_ref()?;
    match view.instances(&service.name) {
        [only] if only.name != *name && !view.all().any(|i| i.name == *name) => {
            Some(Step::Rename { instance: only.id.clone(), name: name.clone() })
        }
        _ => None,
    }
}
