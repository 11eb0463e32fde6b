//! Seeded schedules: a stack is brought up, redeployed, rolled back, while everything that can fail does.
//!
//! One seed decides the stack, what every version of every service does, what commands come when, how long steps
//! take, and every fault. `run(seed)` replays exactly.

use crate::Rng;
use crate::fixture::{self, ServiceExt};
use crate::invariant::{self, Violation};
use crate::world::{Behaviour, World};
use mainstay_model::{
    DependencyCondition, Failure, Phase, Readiness, ReleaseNumber, Service, Stack, StackState, Step, StepKey,
    Timestamp, Transition,
};
use mainstay_plan::{Blueprint, Input, apply, next};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// How a schedule went: counters for a summary, and the story for a replay.
#[derive(Debug, Default)]
pub struct Report {
    /// Plans made.
    pub plans: usize,
    /// Deploys that switched.
    pub switched: usize,
    /// Deploys that were undone.
    pub undone: usize,
    /// Releases that were left again by themselves after they had taken over.
    pub left: usize,
    /// Jobs whose end the agent did not see.
    pub lost: usize,
    /// Deaths of the agent.
    pub crashes: usize,
    /// What happened, line by line; empty unless asked for.
    pub story: String,
}

/// Runs the schedule of `seed`; with `tell` its story is kept.
///
/// # Errors
/// The first broken invariant, with the story so far.
pub fn run(seed: u64, tell: bool) -> Result<Report, (Violation, Report)> {
    let mut sim = Sim::new(seed, tell);
    match sim.run() {
        Ok(()) => Ok(sim.report),
        Err(violation) => Err((violation, sim.report)),
    }
}

/// A step under way.
struct Flight {
    step: Step,
    lands: u64,
    generation: u64,
    /// Order of asking; the edge refuses a table older than the one it has.
    sequence: usize,
}

struct Sim {
    rng: Rng,
    seed: u64,
    world: World,
    state: StackState,
    blueprints: BTreeMap<ReleaseNumber, Arc<Blueprint>>,
    behaviours: BTreeMap<(String, ReleaseNumber), Behaviour>,
    flights: Vec<Flight>,
    /// Steps whose effect arrives although the agent that asked for them is dead.
    orphans: Vec<Flight>,
    report: Report,
    tell: bool,
    faults: bool,
    /// After a failed write to the journal, when it is tried again.
    retry_at: u64,
    /// Sequence of the table in force.
    routed: usize,
}

/// Commands of one schedule. More would only be longer, not different.
const COMMANDS: usize = 4;
/// Events until a schedule must have settled once faults have ended.
const PATIENCE: usize = 4_000;

impl Sim {
    fn new(seed: u64, tell: bool) -> Self {
        Self {
            rng: Rng::new(seed),
            seed,
            world: World::default(),
            state: StackState::default(),
            blueprints: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            flights: Vec::new(),
            orphans: Vec::new(),
            report: Report::default(),
            tell,
            faults: true,
            retry_at: 0,
            routed: 0,
        }
    }

    fn note(&mut self, text: impl AsRef<str>) {
        if self.tell {
            let _ = writeln!(self.report.story, "{:>9} {}", self.world.time, text.as_ref());
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..COMMANDS {
            self.jobs_ran_once()?;
            self.command();
            self.faults = true;
            for _ in 0..10 + self.rng.below(80) {
                if self.event()? {
                    break;
                }
            }
            if self.rng.one_in(2) {
                self.settle()?;
            }
        }
        self.settle()?;
        self.jobs_ran_once()?;
        if self.has_hopeless_service() {
            Ok(())
        } else {
            invariant::settled(&self.world, &self.state, &self.blueprints)
        }
    }

    fn jobs_ran_once(&mut self) -> Result<(), Violation> {
        let outcome = invariant::jobs(&self.world, self.report.crashes + self.report.lost);
        if self.state.deploy.is_none() {
            self.world.jobs_run.clear();
        }
        outcome
    }

    /// Without further faults every deploy ends, and nothing is left to do.
    fn settle(&mut self) -> Result<(), Violation> {
        self.faults = false;
        self.world.blind_until = 0;
        for _ in 0..PATIENCE {
            if self.event()? || (self.state.deploy.is_none() && self.has_hopeless_service()) {
                return Ok(());
            }
        }
        invariant::settled(&self.world, &self.state, &self.blueprints)?;
        Err(Violation("it never comes to rest".into()))
    }

    /// Whether a version that serves turned out bad after it was deployed: it is tried for ever, by design.
    fn has_hopeless_service(&self) -> bool {
        let Some(current) = self.state.current.and_then(|n| self.blueprints.get(&n)) else { return false };
        let deployed = |service: &Service| {
            self.world.bodies.values().any(|b| b.instance.id.service == service.name && b.is_hopeless())
        };
        current.services().any(deployed)
    }

    /// What an operator may ask for now; the agent refuses the rest while a deploy is under way.
    fn command(&mut self) {
        if self.state.wish != mainstay_model::Wish::Up {
            return;
        }
        let now = self.world.now();
        let last = self.blueprints.keys().next_back().copied().unwrap_or(0);
        let transition = match (&self.state.deploy, self.state.current, self.rng.below(10)) {
            (Some(_), _, 0) => Transition::Down { volumes: false, at: now },
            (Some(deploy), _, _) if deploy.phase == Phase::Proving => {
                let failure =
                    Failure { service: None, instance: None, why: "interrupted".into(), log: Vec::new() };
                Transition::Fail { failure }
            }
            (Some(_), _, _) => return,
            (None, Some(_), 0) => Transition::Down { volumes: self.rng.one_in(2), at: now },
            (None, Some(_), 1) => Transition::Stop { services: BTreeSet::from([self.any_service()]) },
            (None, Some(_), 2) => Transition::Start { services: self.state.stopped.clone(), at: now },
            (None, Some(_), 3) => {
                let instances = self.world.bodies.keys().take(1).cloned().collect();
                Transition::Replace { instances, at: now }
            }
            (None, Some(_), 5) if self.rng.one_in(3) => Transition::Eject,
            (None, Some(_), 4) => Transition::Begin {
                to: 1 + u32::try_from(self.rng.below(u64::from(last))).unwrap_or(0),
                at: now,
            },
            (None, _, _) => {
                self.release(last + 1);
                Transition::Begin { to: last + 1, at: now }
            }
        };
        self.record(&transition, "command");
    }

    fn any_service(&mut self) -> mainstay_model::ServiceName {
        fixture::name(["db", "api", "beat", "web"][usize::try_from(self.rng.below(4)).unwrap_or(0)])
    }

    fn record(&mut self, transition: &Transition, why: &str) {
        self.note(format!("journal: {transition:?} ({why})"));
        let undoing = matches!(self.state.deploy.as_ref().map(|d| &d.phase), Some(Phase::Undoing { .. }));
        match transition {
            Transition::Settle if undoing => self.report.undone += 1,
            Transition::Settle => self.report.switched += 1,
            Transition::GoBack { .. } => self.report.left += 1,
            _ => {}
        }
        self.state = apply(&self.state, transition);
    }

    /// A new release: some services change, some versions are bad.
    fn release(&mut self, number: ReleaseNumber) {
        let mut services = stack_of(&mut Rng::new(self.seed));
        for service in &mut services {
            let version = if self.rng.one_in(2) { u64::from(number) } else { self.seed % 7 };
            *service = service.clone().version(version);
            if service.replicas > 1 {
                service.replicas = 1 + u32::try_from(self.rng.below(3)).unwrap_or(0);
            }
            let behaviour = self.behaviour();
            self.behaviours.insert((service.name.to_string(), number), behaviour);
        }
        if self.rng.one_in(6) {
            services.retain(|s| s.name.as_str() != "beat");
        }
        let stack: Stack = fixture::stack(services);
        self.blueprints.insert(number, Arc::new(Blueprint::new(fixture::release(number, stack))));
    }

    fn behaviour(&mut self) -> Behaviour {
        let after = 1 + self.rng.below(3_000);
        match self.rng.below(12) {
            0 => Behaviour::NeverReady,
            1 => Behaviour::Crashes { after: 500 + after },
            2 => Behaviour::TurnsSick { after, sick: after + 20_000 },
            3 => Behaviour::Wrong { after },
            _ => Behaviour::Well { after },
        }
    }

    /// One turn of the loop: look, decide, begin steps; then time passes until something happens. True at rest.
    fn event(&mut self) -> Result<bool, Violation> {
        let observed = self.world.observe();
        let mut busy: BTreeSet<StepKey> = self.flights.iter().map(|f| f.step.key()).collect();
        if self.retry_at > self.world.time {
            busy.insert(StepKey::Journal);
        }
        let http = std::net::SocketAddr::from(([127, 0, 0, 1], 8080));
        let (now, seed, stack) = (self.world.now(), self.seed, fixture::stack_name());
        let input = Input {
            stack: &stack,
            state: &self.state,
            releases: &self.blueprints,
            observed: &observed,
            busy: &busy,
            http,
            now,
            seed,
        };
        let plan = next(&input);
        self.report.plans += 1;
        invariant::plan_is_sighted(&plan, &observed)?;
        let generation = plan.generation;
        let resting = plan.steps.is_empty() && self.flights.is_empty() && self.orphans.is_empty();
        let mut journaled = false;
        for (step, why) in plan.steps {
            if self.faults && self.rng.one_in(150) {
                self.die();
                return Ok(false);
            }
            if let Step::Record { transition } = &step {
                if self.faults && self.rng.one_in(40) {
                    self.note("the disk is full");
                    self.retry_at = self.world.time + 500;
                    break;
                }
                self.record(transition, &why);
                journaled = true;
            } else {
                invariant::routes(&self.world, &self.state, &step)?;
                self.note(format!("begin {step:?} ({why})"));
                let longest = if self.rng.one_in(10) { 12_000 } else { 400 };
                let lands = self.world.time + 1 + self.rng.below(longest);
                // The Engine serialises what is asked of one container: what a dead agent asked for comes first.
                let (time, key) = (self.world.time, step.key());
                self.orphans
                    .iter_mut()
                    .filter(|f| f.step.key() == key)
                    .for_each(|f| f.lands = f.lands.min(time));
                let sequence = self.report.plans;
                self.flights.push(Flight { step, lands, generation, sequence });
            }
        }
        if journaled {
            return Ok(false);
        }
        self.pass_time(resting, plan.wake)
    }

    fn pass_time(&mut self, resting: bool, wake: Option<Timestamp>) -> Result<bool, Violation> {
        let flights = self.flights.iter().chain(&self.orphans).map(|f| f.lands);
        let wake = wake.map(|at| at.0.saturating_sub(self.world.skew));
        let ends = self.world.in_flight.values().map(|(_, ends)| *ends);
        let own = [self.world.blind_until, self.retry_at].into_iter().filter(|t| *t > self.world.time);
        let at_rest =
            flights.clone().chain(wake).chain(self.world.next_change()).chain(own.clone()).next().is_none();
        if at_rest && resting {
            return Ok(true);
        }
        let soon = flights.chain(wake).chain(ends).chain(self.world.next_change()).chain(own).min();
        let time = soon.unwrap_or(self.world.time).max(self.world.time + 1);
        self.world.advance(time, &mut self.rng);
        invariant::always(&self.world)?;
        self.land()?;
        if self.faults {
            self.misfortune();
        }
        invariant::always(&self.world)?;
        Ok(false)
    }

    fn land(&mut self) -> Result<(), Violation> {
        let time = self.world.time;
        for orphaned in [true, false] {
            let flights = std::mem::take(if orphaned { &mut self.orphans } else { &mut self.flights });
            let (due, later): (Vec<_>, Vec<_>) = flights.into_iter().partition(|f| f.lands <= time);
            *(if orphaned { &mut self.orphans } else { &mut self.flights }) = later;
            for flight in due {
                self.take_effect(&flight, orphaned)?;
            }
        }
        Ok(())
    }

    fn take_effect(&mut self, flight: &Flight, orphaned: bool) -> Result<(), Violation> {
        if self.faults && self.rng.one_in(30) {
            self.note(format!("failed {:?}", flight.step));
            self.half_done(&flight.step);
            self.step_failed(&flight.step);
            return Ok(());
        }
        if orphaned && matches!(flight.step, Step::Start { .. }) {
            // Who would run its hooks is dead.
            self.half_done(&flight.step);
            return Ok(());
        }
        if !orphaned {
            invariant::before_step(&self.world, &flight.step)?;
        }
        if matches!(flight.step, Step::Route { .. }) {
            if flight.sequence < self.routed {
                return Ok(());
            }
            self.routed = flight.sequence;
        }
        let behaviours = &self.behaviours;
        let behave = |service: &Service, release: ReleaseNumber, slot: u32| {
            let chosen = behaviours.get(&(service.name.to_string(), release)).copied();
            match chosen.unwrap_or(Behaviour::Well { after: 100 }) {
                Behaviour::TurnsSick { after, .. } if slot > 1 => Behaviour::Well { after },
                behaviour => behaviour,
            }
        };
        let outcome = self.world.carry_out(&flight.step, &self.blueprints, behave);
        self.note(format!("{} {:?} {outcome:?}", if orphaned { "late" } else { "done" }, flight.step));
        invariant::always(&self.world)?;
        let end_is_lost = orphaned || (self.faults && self.rng.one_in(20));
        match (&flight.step, outcome) {
            (Step::RunJob { service, .. }, Ok(()))
                if !end_is_lost && flight.generation <= self.state.generation =>
            {
                self.record(&Transition::JobDone { service: service.clone() }, "its job ended well");
            }
            (Step::RunJob { .. }, Ok(())) => self.report.lost += 1,
            (Step::Start { instance, .. }, Ok(())) if self.state.starting.contains(instance) => {
                self.record(&Transition::Started { instance: instance.clone() }, "its hooks have run");
            }
            (step, Err(_)) if !orphaned => self.step_failed(step),
            _ => {}
        }
        Ok(())
    }

    /// A start whose hooks were not run, or failed.
    fn half_done(&mut self, step: &Step) {
        if let Step::Start { instance, .. } = step
            && self.rng.one_in(2)
        {
            self.note(format!("{instance} runs without its hooks"));
            // An instance that is gone has nothing left to do.
            let _ = self.world.start_alone(instance);
        }
    }

    /// The agent tries most things again, and gives a deploy up when that does not look worth while.
    fn step_failed(&mut self, step: &Step) {
        if matches!(step, Step::RunJob { .. }) || self.rng.one_in(3) {
            let failure =
                Failure { service: None, instance: None, why: "a step failed".into(), log: Vec::new() };
            self.record(&Transition::Fail { failure }, "a step failed");
        }
    }

    fn misfortune(&mut self) {
        match self.rng.below(120) {
            0 | 1 => self.die(),
            2 => {
                self.world.blind_until = self.world.time + 100 + self.rng.below(20_000);
                self.note("the Engine hangs");
            }
            3 | 4 => {
                let nth = usize::try_from(self.rng.below(8)).unwrap_or(0);
                if let Some(id) = self.world.bodies.keys().nth(nth).cloned() {
                    self.note(format!("{id} is killed"));
                    self.world.kill(&id);
                }
            }
            5 => {
                self.world.skew = self.rng.below(900_000);
                self.note("the clock jumps");
            }
            _ => {}
        }
    }

    /// `kill -9` of the agent: what it was doing is forgotten; what it had asked for may still happen.
    fn die(&mut self) {
        self.note("the agent dies");
        self.report.crashes += 1;
        let dead = std::mem::take(&mut self.flights);
        for flight in dead {
            match flight.step {
                _ if self.rng.one_in(2) => {}
                // The edge applies a table as soon as it has it, or never got it.
                Step::Route { table } if flight.sequence >= self.routed => {
                    (self.world.table, self.routed) = (table, flight.sequence);
                }
                Step::Route { .. } => {}
                _ => self.orphans.push(flight),
            }
        }
        self.world.forget_health(&fixture::stack_name(), &mut self.rng);
    }
}

/// The stack of a seed: a database with a volume, an API behind a route with a release job, a beat, a web server.
fn stack_of(rng: &mut Rng) -> Vec<Service> {
    let healthy = DependencyCondition::ServiceHealthy;
    let mut api = fixture::service("api").routed("shop.test").needs("db", healthy);
    api.replicas = 1 + u32::try_from(rng.below(3)).unwrap_or(0);
    if rng.one_in(2) {
        api.release_job = Some(vec!["migrate".into()]);
    }
    if rng.one_in(3) {
        api.container_name = Some("shop_api".into()).filter(|_| api.replicas == 1);
    }
    if rng.one_in(3) {
        api = api.hooked();
    }
    let mut beat = fixture::service("beat").needs("api", DependencyCondition::ServiceStarted);
    beat.command = Some(["celery", "-A", "shop", "beat"].map(String::from).to_vec());
    let mut web = fixture::service("web").routed("*").publishes(80);
    if rng.one_in(2) {
        web = web.needs("api", healthy);
    }
    if rng.one_in(3) {
        web.readiness = Readiness::Running;
    }
    if rng.one_in(4) {
        web = web.with_volume("pages");
    }
    vec![fixture::service("db").with_volume("data"), api, beat, web]
}
