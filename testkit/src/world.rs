//! A small model of the host: containers, networks, volumes and the edge, with a clock of its own.

use crate::Rng;
use mainstay_model::table::{EdgeStatus, RouteTable};
use mainstay_model::{
    Answers, Health, Instance, InstanceId, InstanceState, MadeByCompose, Observed, RuntimeKind, Seen,
    Service, StackName, Step, Timestamp,
};
use mainstay_plan::{Blueprint, in_rotation};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What a version of a service does once started; a seed decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Ready after some milliseconds.
    Well { after: u64 },
    /// Runs, never ready: unhealthy after a while.
    NeverReady,
    /// Ends with status 1 after some milliseconds.
    Crashes { after: u64 },
    /// Ready after some milliseconds, and answers every request with a failure.
    Wrong { after: u64 },
    /// Ready, later unhealthy, once.
    TurnsSick { after: u64, sick: u64 },
}

/// One simulated instance.
#[derive(Debug, Clone)]
pub struct Body {
    pub instance: Instance,
    pub exclusive: bool,
    /// Its service has hooks, and they have not run since it was last started by a step.
    pub unhooked: bool,
    has_hooks: bool,
    behaviour: Behaviour,
    began: u64,
    has_been_sick: bool,
    recovered: bool,
    /// What an agent that has come back believes until its first probe has answered.
    belief: Option<(Health, u64)>,
}

/// The host.
#[derive(Debug, Clone)]
pub struct World {
    /// True time, ms. What the agent reads may jump; see `skew`.
    pub time: u64,
    /// What the agent's clock is ahead of true time, ms.
    pub skew: u64,
    pub bodies: BTreeMap<InstanceId, Body>,
    pub networks: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    pub table: RouteTable,
    pub in_flight: BTreeMap<String, (u64, u64)>,
    /// What the edge has answered, by upstream key.
    pub answers: BTreeMap<String, Answers>,
    pub jobs_run: Vec<(String, u32)>,
    /// Until when the Engine does not answer.
    pub blind_until: u64,
    addresses: u8,
}

impl Default for World {
    /// An empty host.
    fn default() -> Self {
        Self {
            time: 1_000_000,
            skew: 0,
            bodies: BTreeMap::new(),
            networks: BTreeSet::new(),
            volumes: BTreeSet::new(),
            table: RouteTable::default(),
            in_flight: BTreeMap::new(),
            answers: BTreeMap::new(),
            jobs_run: Vec::new(),
            blind_until: 0,
            addresses: 0,
        }
    }
}

impl World {
    pub fn now(&self) -> Timestamp {
        Timestamp(self.time + self.skew)
    }

    /// Lets everything happen that happens by itself up to `time`.
    pub fn advance(&mut self, time: u64, rng: &mut Rng) {
        self.answer(time.saturating_sub(self.time));
        self.time = self.time.max(time);
        let now = self.now();
        for body in self.bodies.values_mut() {
            body.live(self.time, now);
        }
        self.in_flight.retain(|_, (_, ends)| *ends > time);
        for target in self.table.upstreams.values().flat_map(|u| &u.targets) {
            if rng.one_in(3) {
                self.in_flight
                    .insert(target.instance.clone(), (1 + rng.below(4), time + 1 + rng.below(15_000)));
            }
        }
    }

    /// Ten requests a second for every upstream, spread evenly over its targets.
    fn answer(&mut self, passed: u64) {
        let wrong = |name: &str| {
            let named = |b: &&Body| format!("shop/{}", b.instance.id) == name;
            self.bodies.values().find(named).is_some_and(|b| matches!(b.behaviour, Behaviour::Wrong { .. }))
        };
        for (key, upstream) in &self.table.upstreams {
            let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            let bad = count(upstream.targets.iter().filter(|t| wrong(&t.instance)).count());
            let Some(bad_share) = (passed / 100 * bad).checked_div(count(upstream.targets.len())) else {
                continue;
            };
            let answers = self.answers.entry(key.clone()).or_default();
            answers.all += passed / 100;
            answers.failed += bad_share;
        }
    }

    fn edge_status(&self) -> EdgeStatus {
        let in_flight = self.in_flight.iter().map(|(name, (open, _))| (name.clone(), *open)).collect();
        let by_class = |a: &Answers| {
            BTreeMap::from([("2xx".to_owned(), a.all - a.failed), ("5xx".to_owned(), a.failed)])
        };
        let requests = self.answers.iter().map(|(key, answers)| (key.clone(), by_class(answers))).collect();
        EdgeStatus { in_flight, requests, ..EdgeStatus::default() }
    }

    /// The next moment at which something happens by itself.
    pub fn next_change(&self) -> Option<u64> {
        let beliefs = self.bodies.values().filter_map(|b| Some(b.belief.as_ref()?.1));
        let own = self.bodies.values().filter_map(|b| b.next_change());
        own.chain(beliefs).filter(|t| *t > self.time).min()
    }

    pub fn observe(&self) -> Observed {
        let instances = if self.blind_until > self.time {
            Seen::Unknown("the Engine does not answer".into())
        } else {
            Seen::Known(self.bodies.iter().map(|(id, b)| (id.clone(), b.seen(self.time))).collect())
        };
        Observed {
            instances: BTreeMap::from([(RuntimeKind::Docker, instances)]),
            networks: self.networks.clone(),
            volumes: self.volumes.clone(),
            edge: Seen::Known(self.edge_status()),
            table: Some(self.table.clone()),
            free_memory: None,
        }
    }

    /// Carries out a step; what the real adapters do, and as idempotent.
    pub fn carry_out(
        &mut self,
        step: &Step,
        blueprints: &BTreeMap<u32, Arc<Blueprint>>,
        behave: impl Fn(&Service, u32, u32) -> Behaviour,
    ) -> Result<(), String> {
        match step {
            Step::Record { .. } => Ok(()),
            Step::CreateNetwork { key, .. } => {
                self.networks.insert(key.clone());
                Ok(())
            }
            Step::CreateVolume { key, .. } => {
                self.volumes.insert(key.clone());
                Ok(())
            }
            Step::RemoveNetwork { key } => {
                self.networks.remove(key);
                Ok(())
            }
            Step::RemoveVolume { key } => {
                self.volumes.remove(key);
                Ok(())
            }
            Step::Route { table } => {
                self.table = table.clone();
                Ok(())
            }
            Step::RunJob { service, release } => {
                self.jobs_run.push((service.to_string(), *release));
                Ok(())
            }
            Step::Create { instance, release, name, number } => {
                let blueprint = blueprints.get(release).ok_or("no such release")?;
                let service = blueprint.service(&instance.service).ok_or("no such service")?;
                let behaviour = behave(service, *release, instance.slot);
                self.create(instance, blueprint, service, name, *number, behaviour)
            }
            Step::Start { instance, .. } => {
                self.start_alone(instance)?;
                self.bodies.get_mut(instance).ok_or("no such instance")?.unhooked = false;
                Ok(())
            }
            Step::Stop { instance, .. } => {
                self.stop(instance);
                Ok(())
            }
            Step::Remove { instance } => {
                self.bodies.remove(instance);
                Ok(())
            }
            Step::Rename { instance, name } => {
                if self.bodies.values().any(|b| b.instance.name == *name && b.instance.id != *instance) {
                    return Err("the name is in use".into());
                }
                if let Some(body) = self.bodies.get_mut(instance) {
                    body.instance.name.clone_from(name);
                }
                Ok(())
            }
        }
    }

    /// The part of a start that the Engine does: who asked for it died, or a hook failed.
    pub fn start_alone(&mut self, id: &InstanceId) -> Result<(), String> {
        let (time, now) = (self.time, self.now());
        let body = self.bodies.get_mut(id).ok_or("no such instance")?;
        if !body.instance.is_running() {
            body.start(time, now);
            body.unhooked = body.has_hooks;
        }
        Ok(())
    }

    fn create(
        &mut self,
        id: &InstanceId,
        blueprint: &Blueprint,
        service: &Service,
        name: &str,
        number: u32,
        behaviour: Behaviour,
    ) -> Result<(), String> {
        if self.bodies.contains_key(id) {
            return Ok(());
        }
        if self.bodies.values().any(|b| b.instance.name == name) {
            return Err("the name is in use".into());
        }
        self.addresses = self.addresses.wrapping_add(1);
        let instance = Instance {
            id: id.clone(),
            runtime: RuntimeKind::Docker,
            hash: blueprint.hash(&service.name).unwrap_or_default().to_string(),
            handle: id.to_string(),
            name: name.to_string(),
            number,
            state: InstanceState::Created,
            health: Health::Starting,
            restarts: 0,
            address: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.addresses))),
            port: None,
            published: BTreeMap::new(),
            compose: (id.release == 0).then(|| MadeByCompose {
                config_hash: String::new(),
                image: String::new(),
                holds_ports: !service.ports.is_empty(),
            }),
        };
        let exclusive = !mainstay_plan::edge_holds_ports(&blueprint.release.stack, service);
        self.bodies.insert(
            id.clone(),
            Body {
                instance,
                exclusive,
                unhooked: false,
                has_hooks: !service.more.post_start.is_empty() || !service.more.pre_start.is_empty(),
                behaviour,
                began: 0,
                has_been_sick: false,
                recovered: false,
                belief: None,
            },
        );
        Ok(())
    }

    fn stop(&mut self, id: &InstanceId) {
        let now = self.now();
        let runs = |b: &&mut Body| b.instance.is_running() || b.instance.state == InstanceState::Restarting;
        if let Some(body) = self.bodies.get_mut(id).filter(runs) {
            body.instance.state = InstanceState::Exited { code: 0, oom: false, at: now };
        }
    }

    /// What probes have said was in the agent's memory alone; one that comes back asks again.
    pub fn forget_health(&mut self, stack: &StackName, rng: &mut Rng) {
        // It waits until it can see.
        let sighted = Self { blind_until: 0, ..self.clone() }.observe();
        let serving: Vec<_> = in_rotation(&sighted, stack).into_iter().map(|(id, _)| id).collect();
        for (id, body) in &mut self.bodies {
            let health = if serving.contains(id) { Health::Ready } else { Health::Starting };
            body.belief = Some((health, self.time + 1 + rng.below(3_000)));
        }
    }

    /// Ends an instance the way the kernel does; the Engine restarts it as its policy (always) says.
    pub fn kill(&mut self, id: &InstanceId) {
        let (time, now) = (self.time, self.now());
        if let Some(body) = self.bodies.get_mut(id).filter(|b| b.instance.is_running()) {
            body.instance.restarts += 1;
            body.start(time, now);
        }
    }
}

impl Body {
    /// Its version does not work, or not for long.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.behaviour, Behaviour::NeverReady | Behaviour::Crashes { .. })
    }

    fn seen(&self, time: u64) -> Instance {
        let mut instance = self.instance.clone();
        if let Some((health, _)) = self.belief.as_ref().filter(|(_, until)| *until > time) {
            instance.health = health.clone();
        }
        instance
    }

    fn start(&mut self, time: u64, now: Timestamp) {
        if self.instance.is_running() && self.began == time {
            return;
        }
        self.began = time;
        self.belief = None;
        self.recovered = self.has_been_sick;
        self.instance.health = Health::Starting;
        self.instance.state = InstanceState::Running { since: now };
    }

    fn live(&mut self, time: u64, now: Timestamp) {
        if !self.instance.is_running() {
            return;
        }
        let age = time.saturating_sub(self.began);
        match self.behaviour {
            Behaviour::Well { after } | Behaviour::Wrong { after } if age >= after => {
                self.instance.health = Health::Ready;
            }
            Behaviour::NeverReady if age >= UNHEALTHY_AFTER => {
                self.instance.health = Health::Unhealthy { why: "no answer".into() };
            }
            Behaviour::Crashes { after } if age >= after => {
                self.instance.restarts += 1;
                self.start(time, now);
            }
            Behaviour::TurnsSick { sick, .. } if age >= sick && !self.recovered => {
                self.has_been_sick = true;
                self.instance.health = Health::Unhealthy { why: "it hangs".into() };
            }
            Behaviour::TurnsSick { after, sick } if age >= after && (age < sick || self.recovered) => {
                self.instance.health = Health::Ready;
            }
            _ => {}
        }
    }

    fn next_change(&self) -> Option<u64> {
        if !self.instance.is_running() {
            return None;
        }
        match self.behaviour {
            Behaviour::Well { after } | Behaviour::Wrong { after } => {
                (self.instance.health != Health::Ready).then_some(self.began + after)
            }
            Behaviour::NeverReady => {
                (self.instance.health == Health::Starting).then_some(self.began + UNHEALTHY_AFTER)
            }
            Behaviour::Crashes { after } => Some(self.began + after),
            Behaviour::TurnsSick { after, sick } => match self.instance.health {
                Health::Starting => Some(self.began + after),
                Health::Ready => (!self.recovered).then_some(self.began + sick),
                Health::Unhealthy { .. } => None,
            },
        }
    }
}

/// Three failed probes, five seconds apart.
const UNHEALTHY_AFTER: u64 = 15_000;
