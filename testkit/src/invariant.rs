//! What must hold after every step, whatever fails.

use crate::world::World;
use mainstay_model::table::RouteTable;
use mainstay_model::{InstanceState, Phase, Plan, ReleaseNumber, Seen, StackState, Step, Wish};
use mainstay_plan::{Blueprint, edge_holds_ports};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A broken promise, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn broken<T>(what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation(what.into()))
}

/// Nothing is decided about what cannot be seen.
pub fn plan_is_sighted(plan: &Plan, observed: &mainstay_model::Observed) -> Result<(), Violation> {
    let blind = observed.instances.values().any(|seen| matches!(seen, Seen::Unknown(_)));
    match plan.steps.first() {
        Some((step, _)) if blind => broken(format!("{step:?} was planned without seeing")),
        _ => Ok(()),
    }
}

/// Checked just before `step` takes effect.
pub fn before_step(world: &World, step: &Step) -> Result<(), Violation> {
    match step {
        Step::Stop { instance, .. } | Step::Remove { instance } => {
            let name = format!("shop/{instance}");
            let takes = |u: &mainstay_model::table::Upstream| u.targets.iter().any(|t| t.instance == name);
            if world.table.upstreams.values().any(takes) {
                return broken(format!("{instance} is stopped or removed while it takes requests"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Checked when `step` is decided: a start-first service whose targets still work keeps at least one.
pub fn routes(world: &World, state: &StackState, step: &Step) -> Result<(), Violation> {
    let Step::Route { table } = step else { return Ok(()) };
    if state.wish != mainstay_model::Wish::Up {
        return Ok(());
    }
    for (key, old) in &world.table.upstreams {
        let still_well = old.targets.iter().filter(|t| {
            world
                .bodies
                .values()
                .any(|b| format!("shop/{}", b.instance.id) == t.instance && b.instance.is_ready())
        });
        let swapped = world
            .bodies
            .values()
            .any(|b| b.exclusive && key.starts_with(&format!("shop/{}:", b.instance.id.service)));
        let empty = table.upstreams.get(key).is_none_or(|new| new.targets.is_empty());
        let stopped = state.stopped.iter().any(|s| key.starts_with(&format!("shop/{s}:")));
        if still_well.count() > 0
            && empty
            && !swapped
            && !stopped
            && table.routes.iter().any(|r| r.upstream.as_ref() == Some(key))
        {
            return broken(format!("{key} lost its last ready target"));
        }
    }
    Ok(())
}

/// Checked after every event.
pub fn always(world: &World) -> Result<(), Violation> {
    let mut holders = BTreeSet::new();
    for body in world.bodies.values().filter(|b| {
        b.exclusive && !matches!(b.instance.state, InstanceState::Exited { .. } | InstanceState::Created)
    }) {
        if !holders.insert(&body.instance.id.service) {
            return broken(format!("two instances of {} run at once", body.instance.id.service));
        }
    }
    let targets: BTreeSet<_> =
        world.table.upstreams.values().flat_map(|u| &u.targets).map(|t| t.instance.as_str()).collect();
    let named = |id: &mainstay_model::InstanceId| format!("shop/{id}");
    let unhooked = |b: &&crate::world::Body| b.unhooked && b.instance.is_running();
    if let Some(body) =
        world.bodies.values().filter(unhooked).find(|b| targets.contains(&*named(&b.instance.id)))
    {
        return broken(format!("{} takes requests before its hooks have run", body.instance.id));
    }
    let mut names = BTreeSet::new();
    match world.bodies.values().find(|b| !names.insert(&b.instance.name)) {
        Some(twice) => broken(format!("the name {} is used twice", twice.instance.name)),
        None => Ok(()),
    }
}

/// A release job runs once per deploy, or again only when a crash hid its end.
pub fn jobs(world: &World, crashes: usize) -> Result<(), Violation> {
    let mut runs: BTreeMap<_, usize> = BTreeMap::new();
    for job in &world.jobs_run {
        *runs.entry(job).or_default() += 1;
    }
    match runs.into_iter().find(|(_, count)| *count > 1 + crashes) {
        Some(((service, release), count)) => {
            broken(format!("job of {service} ran {count} times for release {release}"))
        }
        None => Ok(()),
    }
}

/// Checked when nothing is left to do: one release, whole, and nothing else.
pub fn settled(
    world: &World,
    state: &StackState,
    blueprints: &BTreeMap<ReleaseNumber, Arc<Blueprint>>,
) -> Result<(), Violation> {
    if let Some(deploy) = &state.deploy {
        let phase = match &deploy.phase {
            Phase::Proving => "proving",
            Phase::Switched { .. } => "switched",
            Phase::Undoing { .. } => "undoing",
        };
        return broken(format!("the deploy of release {} is stuck while {phase}", deploy.to));
    }
    let Some(current) = state.current.and_then(|number| blueprints.get(&number)) else {
        return match world.bodies.keys().next() {
            Some(orphan) => broken(format!("{orphan} is an orphan: nothing is up")),
            None => Ok(()),
        };
    };
    if state.wish == Wish::Eject {
        return ejected(world, state, current);
    }
    for body in world.bodies.values() {
        if current.hash(&body.instance.id.service) != Some(body.instance.hash.as_str()) {
            return broken(format!("{} is an orphan of another release", body.instance.id));
        }
    }
    // What a stopped service keeps beyond its copies goes when it is started again.
    for service in current.services().filter(|s| !state.stopped.contains(&s.name)) {
        let copies = world.bodies.values().filter(|b| b.instance.id.service == service.name).count();
        if copies != usize::try_from(service.replicas).unwrap_or(0) {
            return broken(format!("{} has {copies} copies instead of {}", service.name, service.replicas));
        }
    }
    Ok(())
}

/// Checked when nothing is left to do for a stack that was given to Compose: the edge has nothing, and what publishes
/// ports is as Compose makes it, whole.
fn ejected(world: &World, state: &StackState, current: &Blueprint) -> Result<(), Violation> {
    if world.table != RouteTable::default() {
        return broken("the edge still has something of a stack that was given away");
    }
    for service in
        current.services().filter(|s| edge_holds_ports(&current.release.stack, s) && !s.ports.is_empty())
    {
        let bodies = world.bodies.values().filter(|b| b.instance.id.service == service.name);
        let (of_compose, ours): (Vec<_>, Vec<_>) = bodies.partition(|b| b.instance.id.release == 0);
        if let Some(left) = ours.first() {
            return broken(format!("{} is not as Compose makes it", left.instance.id));
        }
        let stopped = state.stopped.contains(&service.name);
        let made = |b: &&crate::world::Body| stopped || b.instance.state != InstanceState::Created;
        if of_compose.into_iter().filter(made).count() != usize::try_from(service.replicas).unwrap_or(0) {
            return broken(format!("{} is not as many as Compose makes", service.name));
        }
    }
    Ok(())
}
