//! Giving a stack back to Docker Compose: what differs from what Compose would have made is made anew as it would, and the
//! Engine listens on the ports again. Everything else goes on untouched.
//!
//! As Compose makes it means an instance of release 0. Nothing marks the end: at rest, the stack is Compose's.

use crate::container_name::of_compose;
use crate::draft::Draft;
use crate::route::{held_ports, in_force};
use crate::view::View;
use crate::{Blueprint, hook, leave};
use mainstay_model::{
    Instance, InstanceId, InstanceState, RuntimeKind, Service, ServiceName, Step, StepKey, Transition,
};
use std::collections::BTreeSet;

/// Stands behind the name of an instance whose name its successor takes.
const LEAVING: &str = "-leaving";

/// One step further out.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>) {
    let Some(current) = view.blueprint(view.state().current) else { return };
    let (mut leaving, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for service in current.services() {
        let ours = ours(view, current, service);
        if ours.is_empty() && view.instances(&service.name).iter().all(|i| !is_waiting(view, service, i)) {
            continue;
        }
        if succeed(view, draft, current, service, &ours) {
            leaving.extend(ours.iter().filter(|i| !view.is_leaving(&i.id)).map(|i| i.id.clone()));
        } else {
            kept.insert(&service.name);
        }
    }
    // One that is gone needs no successor: what was stopped before stays until it has one.
    leave::advance(view, draft, |i| kept.contains(&i.id.service));
    if !leaving.is_empty() {
        draft.record(
            Transition::Leave { instances: leaving, at: view.now() },
            "Compose's own take their place",
        );
    }
}

/// Whether nothing is left that is not as Compose would have made it.
pub(crate) fn is_done(view: &View<'_>) -> bool {
    let Some(current) = view.blueprint(view.state().current) else { return true };
    current.services().all(|service| ours(view, current, service).is_empty())
}

/// Whether the edge has to be off the ports of `service`: those that are to listen there are made.
pub(crate) fn gives_up_ports(view: &View<'_>, service: &Service) -> bool {
    view.instances(&service.name).iter().any(|i| i.compose.as_ref().is_some_and(|made| made.holds_ports))
}

/// Why a stack cannot be given to Compose, by service: it has nothing that Compose could run.
pub fn obstacles(blueprint: &Blueprint) -> Vec<(&ServiceName, String)> {
    let one = |service: &'_ Service| obstacle(blueprint, service);
    let mut all: Vec<_> = blueprint.services().filter_map(|s| Some((&s.name, one(s)?))).collect();
    let routes = blueprint.release.stack.edge.routes.iter();
    for name in routes.filter_map(|route| route.policy.files.as_ref()?.service.as_ref()) {
        if !all.iter().any(|(known, _)| *known == name) {
            let why = "it is files that the edge serves, and Compose runs containers only: give it an image, or take it out";
            all.push((name, why.into()));
        }
    }
    all
}

fn obstacle(blueprint: &Blueprint, service: &Service) -> Option<String> {
    if service.runtime() == RuntimeKind::Native {
        let why = "it is a process of this host, and Compose runs containers only: give it an image, or take it out";
        return Some(why.into());
    }
    let one_port = held_ports(blueprint, service).next().is_some()
        && service.ports.iter().any(|p| p.published.is_some_and(|range| range.start == range.end));
    (one_port && service.replicas > 1).then(|| {
        let copies = service.replicas;
        format!(
            "Docker can give its published port to one container, and it has {copies}: scale it to 1 first"
        )
    })
}

/// Instances of `service` that Compose would have made otherwise.
fn ours<'a>(view: &View<'a>, current: &Blueprint, service: &Service) -> Vec<&'a Instance> {
    let held = held_ports(current, service).next().is_some();
    let instances = view.instances(&service.name).iter().copied();
    instances.filter(|i| i.compose.is_none() && (held || !i.published.is_empty())).collect()
}

/// Whether it was made and still has to be started.
fn is_waiting(view: &View<'_>, service: &Service, instance: &Instance) -> bool {
    instance.compose.is_some() && instance.state == InstanceState::Created && !view.is_stopped(&service.name)
}

/// Makes and starts the successors; true once they are all there, so that the old may go.
fn succeed(
    view: &View<'_>,
    draft: &mut Draft<'_>,
    current: &Blueprint,
    service: &Service,
    ours: &[&Instance],
) -> bool {
    let present = view.instances(&service.name);
    let mut there = true;
    for number in 1..=service.replicas {
        let made = present.iter().find(|i| i.compose.is_some() && i.number == number);
        match made {
            None => make(view, draft, current, service, number, ours),
            Some(made) if is_waiting(view, service, made) => start(view, draft, service, made),
            Some(made) => {
                hook::finish_start(view, draft, service, made);
                continue;
            }
        }
        there = false;
    }
    there
}

/// Makes the successor of this number, under the name that Compose gives it.
fn make(
    view: &View<'_>,
    draft: &mut Draft<'_>,
    current: &Blueprint,
    service: &Service,
    number: u32,
    ours: &[&Instance],
) {
    let name = service.container_name.clone().unwrap_or_else(|| of_compose(view, service, number));
    let step = match ours.iter().find(|i| i.name == name) {
        Some(old) => Step::Rename { instance: old.id.clone(), name: format!("{name}{LEAVING}") },
        None => {
            let instance = InstanceId { service: service.name.clone(), release: 0, slot: number };
            Step::Create { instance, release: current.release.number, name, number }
        }
    };
    draft.step(step, "it is made as Compose makes it");
}

/// Starts a successor as soon as the edge is off its ports; until then the old one serves.
fn start(view: &View<'_>, draft: &mut Draft<'_>, service: &Service, made: &Instance) {
    if view.input.busy.contains(&StepKey::Edge) || !in_force(view, draft) {
        return draft.wait(&made.id.service, "waits for the edge to give up its ports");
    }
    hook::start(view, draft, service, made, "its ports are free");
}
