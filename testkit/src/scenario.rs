//! A story told by plans: commands, what the planner decides after each, and what happens then, as text to be compared.

use crate::Rng;
use crate::fixture;
use crate::world::{Behaviour, World};
use mainstay_model::table::RouteTable;
use mainstay_model::{InstanceId, Plan, ReleaseNumber, Service, Stack, StackState, Step, Transition};
use mainstay_plan::{Blueprint, Input, apply, next};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

/// Rounds after which a story does not end by itself.
const LONGEST: usize = 500;
/// How long every step takes, ms.
const STEP: u64 = 10;

/// A stack on the simulated host, where nothing fails that the story does not want to fail.
pub struct Scenario {
    pub world: World,
    pub state: StackState,
    blueprints: BTreeMap<ReleaseNumber, Arc<Blueprint>>,
    behaviours: BTreeMap<(String, ReleaseNumber), Behaviour>,
    began: u64,
    story: String,
    last: String,
    /// The next start is interrupted: the Engine starts the instance, and its hooks do not run.
    pub dies_before_hooks: bool,
    /// A command is followed only until its deploy is over, not to the end of the release's trial.
    pub stop_at_rest_of_deploy: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        let (world, state) = (World::default(), StackState::default());
        let (blueprints, behaviours, began) = (BTreeMap::new(), BTreeMap::new(), world.time);
        Self {
            world,
            state,
            blueprints,
            behaviours,
            began,
            story: String::new(),
            last: String::new(),
            dies_before_hooks: false,
            stop_at_rest_of_deploy: false,
        }
    }
}

impl Scenario {
    /// Instances of `service` made for `release` will do this; without, they are ready after 100 ms.
    pub fn behaves(&mut self, service: &str, release: ReleaseNumber, behaviour: Behaviour) {
        self.behaviours.insert((service.into(), release), behaviour);
    }

    /// Deploys a new release of `services` and follows it to its end.
    pub fn up(&mut self, services: impl IntoIterator<Item = Service>) {
        self.up_stack(fixture::stack(services));
    }

    /// The same for a stack that has more than services.
    pub fn up_stack(&mut self, stack: Stack) {
        let number = self.blueprints.keys().next_back().map_or(1, |last| last + 1);
        let release = fixture::release(number, stack);
        self.blueprints.insert(number, Arc::new(Blueprint::new(release)));
        self.command(Transition::Begin { to: number, at: self.world.now() });
    }

    /// Has a new release of `services` made and not started.
    pub fn create(&mut self, services: impl IntoIterator<Item = Service>) {
        let number = self.blueprints.keys().next_back().map_or(1, |last| last + 1);
        let release = fixture::release(number, fixture::stack(services));
        let services = release.stack.services.keys().cloned().collect();
        self.blueprints.insert(number, Arc::new(Blueprint::new(release)));
        let (leaving, at) = (BTreeSet::new(), self.world.now());
        self.command(Transition::Make { to: number, services, leaving, at });
    }

    /// Records what a command asks for and follows it to its end.
    pub fn command(&mut self, transition: Transition) {
        self.say(&format!("command: {}", transition_text(&transition)));
        self.state = apply(&self.state, &transition);
        self.run();
    }

    /// Says what happens next.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.story, "\n{text}");
        self.last.clear();
    }

    /// Decides and acts until nothing is left to do and nothing more happens by itself.
    pub fn run(&mut self) {
        for _ in 0..LONGEST {
            let plan = self.plan();
            self.tell(&plan);
            let acted = !plan.steps.is_empty();
            for (step, _) in plan.steps {
                self.take_effect(&step);
            }
            if !acted && self.stop_at_rest_of_deploy && self.state.deploy.is_none() {
                return;
            }
            if !acted {
                let wake = plan.wake.map(|at| at.0);
                let Some(time) = self.world.next_change().into_iter().chain(wake).min() else { return };
                self.advance(time.max(self.world.time + 1));
            }
        }
        self.story.push_str("… and so on\n");
    }

    /// What would be decided now.
    pub fn plan(&self) -> Plan {
        let (stack, observed) = (fixture::stack_name(), self.world.observe());
        let http = SocketAddr::from(([0, 0, 0, 0], 80));
        next(&Input {
            stack: &stack,
            state: &self.state,
            releases: &self.blueprints,
            observed: &observed,
            busy: &BTreeSet::new(),
            http,
            now: self.world.now(),
            seed: 0,
        })
    }

    /// The whole story.
    pub fn story(&self) -> &str {
        self.story.trim_start()
    }

    /// Begins the telling anew.
    pub fn forget_story(&mut self) {
        self.story.clear();
        self.began = self.world.time;
    }

    fn take_effect(&mut self, step: &Step) {
        if let Step::Record { transition } = step {
            self.state = apply(&self.state, transition);
            return;
        }
        self.advance(self.world.time + STEP);
        let behaviours = &self.behaviours;
        let behave = |service: &Service, release, slot| {
            let chosen = behaviours.get(&(service.name.to_string(), release)).copied();
            match chosen.unwrap_or(Behaviour::Well { after: 100 }) {
                // Whoever takes its place is well, or the story would have no end.
                Behaviour::TurnsSick { after, .. } if slot > 1 => Behaviour::Well { after },
                behaviour => behaviour,
            }
        };
        if let (Step::Start { instance, .. }, true) = (step, self.dies_before_hooks) {
            self.dies_before_hooks = false;
            let _ = writeln!(self.story, "  the agent dies before the hooks of {instance}");
            let _ = self.world.start_alone(instance);
            return;
        }
        if let Err(why) = self.world.carry_out(step, &self.blueprints, behave) {
            let _ = writeln!(self.story, "  failed: {why}");
        }
        if let Step::RunJob { service, .. } = step {
            self.state = apply(&self.state, &Transition::JobDone { service: service.clone() });
        }
        if let Step::Start { instance, .. } = step
            && self.state.starting.contains(instance)
        {
            self.state = apply(&self.state, &Transition::Started { instance: instance.clone() });
        }
    }

    fn advance(&mut self, time: u64) {
        self.world.advance(time, &mut Rng::new(0));
        // Requests under way are another story.
        self.world.in_flight.clear();
    }

    fn tell(&mut self, plan: &Plan) {
        let mut text = String::new();
        for (step, why) in &plan.steps {
            let _ = writeln!(text, "  {:<44} {why}", step_text(step));
        }
        for waiting in &plan.waiting {
            let _ = writeln!(text, "  ({} {})", waiting.service, waiting.why);
        }
        if text != self.last {
            let at = self.world.time - self.began;
            if !text.is_empty() {
                let _ = write!(self.story, "{:>4}.{:03} s\n{text}", at / 1000, at % 1000);
            }
            self.last = text;
        }
    }
}

fn ids<'i>(ids: impl IntoIterator<Item = &'i InstanceId>) -> String {
    let names: Vec<_> = ids.into_iter().map(ToString::to_string).collect();
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

fn step_text(step: &Step) -> String {
    match step {
        Step::Record { transition } => format!("record {}", transition_text(transition)),
        Step::CreateNetwork { key, .. } => format!("create network {key}"),
        Step::CreateVolume { key, .. } => format!("create volume {key}"),
        Step::Create { instance, name, .. } => format!("create {instance} as {name}"),
        Step::Start { instance, prepare: false } => format!("start {instance}"),
        Step::Start { instance, prepare: true } => format!("prepare and start {instance}"),
        Step::Stop { instance, grace_ms } => format!("stop {instance} within {} s", grace_ms / 1000),
        Step::Remove { instance } => format!("remove {instance}"),
        Step::Rename { instance, name } => format!("rename {instance} to {name}"),
        Step::RunJob { service, release } => format!("run release job of {service} for {release}"),
        Step::Route { table } => format!("route {}", table_text(table)),
        Step::RemoveNetwork { key } => format!("remove network {key}"),
        Step::RemoveVolume { key } => format!("remove volume {key}"),
    }
}

fn transition_text(transition: &Transition) -> String {
    let services = |set: &BTreeSet<mainstay_model::ServiceName>| {
        set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match transition {
        Transition::Begin { to, .. } => format!("begin {to}"),
        Transition::JobDone { service } => format!("job of {service} done"),
        Transition::Swap { service, leaving, .. } => format!("swap {service}: {} leaves", ids(leaving)),
        Transition::Switch { leaving, .. } => format!("switch: {} leaves", ids(leaving)),
        Transition::Fail { .. } => "failure".into(),
        Transition::Settle => "settled".into(),
        Transition::Trust => "trust".into(),
        Transition::GoBack { failure, .. } => format!("go back: {}", failure.why),
        Transition::Down { volumes, .. } => if *volumes { "down with volumes" } else { "down" }.into(),
        Transition::Eject => "eject".into(),
        Transition::Gone => "gone".into(),
        Transition::Make { to, services: set, .. } => format!("make {} of {to}", services(set)),
        Transition::Made { services: set } => format!("made {}", services(set)),
        Transition::Stop { services: set } => format!("stop {}", services(set)),
        Transition::Start { services: set, .. } => format!("start {}", services(set)),
        Transition::Replace { instances, .. } => format!("replace {}", ids(instances)),
        Transition::Starting { instances } => format!("starting {}", ids(instances)),
        Transition::Started { instance } => format!("started {instance}"),
        Transition::Leave { instances, .. } => format!("leave: {}", ids(instances)),
        Transition::Forget { instances } => format!("forget {}", ids(instances)),
        Transition::Attempt { service, .. } => format!("attempt of {service}"),
        Transition::Calm { service } => format!("calm {service}"),
    }
}

fn table_text(table: &RouteTable) -> String {
    let upstreams = table.upstreams.iter().map(|(key, upstream)| {
        let name = |instance: &str| instance.trim_start_matches("shop/").to_owned();
        let mut parts: Vec<_> = upstream.targets.iter().map(|t| name(&t.instance)).collect();
        parts.extend(upstream.draining.iter().map(|d| format!("{} drains", name(&d.target.instance))));
        parts.extend(upstream.hold_until.map(|_| "held".to_owned()));
        let key = key.trim_start_matches("shop/").split(':').next().unwrap_or_default();
        format!("{key} → {}", if parts.is_empty() { "nobody".into() } else { parts.join(", ") })
    });
    let all: Vec<_> = upstreams.collect();
    if all.is_empty() { "nothing".into() } else { all.join("; ") }
}
