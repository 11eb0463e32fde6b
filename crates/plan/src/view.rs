//! What a decision looks at, and the questions every decision asks of it.

use crate::Blueprint;
use mainstay_model::{
    Deploy, Instance, InstanceId, Observed, Phase, ReleaseNumber, Seen, ServiceName, StackName, StackState,
    StepKey, Timestamp, Wish,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Everything a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The stack.
    pub stack: &'a StackName,
    /// What the journal holds.
    pub state: &'a StackState,
    /// The releases that `state` speaks of, at least.
    pub releases: &'a BTreeMap<ReleaseNumber, Arc<Blueprint>>,
    /// What was seen.
    pub observed: &'a Observed,
    /// What steps under way are about; nothing is planned for these.
    pub busy: &'a BTreeSet<StepKey>,
    /// Where HTTP is served when the stack does not say.
    pub http: SocketAddr,
    /// Now.
    pub now: Timestamp,
    /// Spreads retries.
    pub seed: u64,
}

pub(crate) struct View<'a> {
    pub input: &'a Input<'a>,
    by_service: BTreeMap<&'a ServiceName, Vec<&'a Instance>>,
}

impl<'a> View<'a> {
    pub fn new(input: &'a Input<'a>) -> Self {
        let mut by_service: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for instance in input.observed.all() {
            by_service.entry(&instance.id.service).or_default().push(instance);
        }
        Self { input, by_service }
    }

    pub fn now(&self) -> Timestamp {
        self.input.now
    }

    pub fn state(&self) -> &'a StackState {
        self.input.state
    }

    /// Why the host cannot be seen. Nothing is decided then: unknown is not absent.
    pub fn blind(&self) -> Option<&'a str> {
        self.input.observed.instances.values().find_map(|seen| match seen {
            Seen::Known(_) => None,
            Seen::Unknown(why) => Some(why.as_str()),
        })
    }

    pub fn blueprint(&self, number: Option<ReleaseNumber>) -> Option<&'a Blueprint> {
        self.input.releases.get(&number?).map(Arc::as_ref)
    }

    /// The release whose instances take traffic.
    pub fn serving(&self) -> Option<&'a Blueprint> {
        match (&self.state().wish, &self.state().deploy) {
            (Wish::Down { .. }, _) | (Wish::Eject, Some(_)) => None,
            (Wish::Up, Some(Deploy { to, phase: Phase::Switched { .. }, .. })) => self.blueprint(Some(*to)),
            (Wish::Up, Some(deploy)) => self.blueprint(deploy.from),
            (Wish::Up | Wish::Eject, None) => self.blueprint(self.state().current),
        }
    }

    /// Every release that instances may still belong to: serving, coming, and just left.
    pub fn releases(&self) -> impl Iterator<Item = &'a Blueprint> {
        let deploy = self.state().deploy.as_ref();
        let numbers = [self.state().current, deploy.map(|d| d.to), deploy.and_then(|d| d.from)];
        let distinct: BTreeSet<_> = numbers.into_iter().flatten().collect();
        distinct.into_iter().filter_map(|number| self.blueprint(Some(number)))
    }

    pub fn instances(&self, service: &ServiceName) -> &[&'a Instance] {
        self.by_service.get(service).map_or(&[], Vec::as_slice)
    }

    pub fn instance(&self, id: &InstanceId) -> Option<&'a Instance> {
        self.instances(&id.service).iter().copied().find(|i| i.id == *id)
    }

    pub fn all(&self) -> impl Iterator<Item = &'a Instance> {
        self.by_service.values().flatten().copied()
    }

    /// Whether `instance` is what `blueprint` wants.
    pub fn made(&self, blueprint: &Blueprint, instance: &Instance) -> bool {
        blueprint.made(instance, self.input.observed)
    }

    /// Instances made from exactly what `blueprint` says, on their way out or not.
    pub fn matching(&self, blueprint: &Blueprint, service: &ServiceName) -> Vec<&'a Instance> {
        self.instances(service).iter().copied().filter(|i| self.made(blueprint, i)).collect()
    }

    /// Those of them that stay.
    pub fn staying(&self, blueprint: &Blueprint, service: &ServiceName) -> Vec<&'a Instance> {
        self.matching(blueprint, service).into_iter().filter(|i| !self.is_leaving(&i.id)).collect()
    }

    pub fn is_leaving(&self, id: &InstanceId) -> bool {
        self.state().leaving.contains_key(id)
    }

    /// Its start is not over: hooks have not run yet.
    pub fn is_starting(&self, id: &InstanceId) -> bool {
        self.state().starting.contains(id)
    }

    /// Running and ready, its start over.
    pub fn is_ready(&self, instance: &Instance) -> bool {
        instance.is_ready() && !self.is_starting(&instance.id)
    }

    pub fn is_replaced(&self, id: &InstanceId) -> bool {
        self.state().replace.contains_key(id)
    }

    pub fn is_stopped(&self, service: &ServiceName) -> bool {
        self.state().stopped.contains(service)
    }

    pub fn is_busy(&self, id: &InstanceId) -> bool {
        self.input.busy.contains(&StepKey::Instance(id.clone()))
    }
}
