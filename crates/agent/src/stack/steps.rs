//! Beginning steps, and what follows from how they ended.

use super::Task;
use super::converge::retry_at;
use crate::carry::{Landed, Order};
use crate::runtimes::Known;
use crate::service::{Control, News};
use crate::{Error, clock, crash};
use mainstay_api::{Progress, StepState};
use mainstay_model::table::RouteTable;
use mainstay_model::{
    Event, EventKind, Failure, InstanceId, Phase, Plan, ReleaseNumber, ServiceName, Step, StepKey, Transition,
};
use std::sync::Arc;

/// Lines of a log shown with a failure.
const LOG_LINES: usize = 20;

impl Task {
    /// Begins every step of `plan`, unless the state has moved on since it was made.
    pub(super) async fn begin(&mut self, plan: &Plan) {
        for (step, why) in &plan.steps {
            if plan.generation != self.state.generation {
                return;
            }
            let key = step.key();
            self.tell_begin(step, why);
            if let Step::Route { table } = step {
                self.busy.insert(key, None);
                self.route(table.clone());
                continue;
            }
            let Some(order) = self.order(step) else { continue };
            self.busy.insert(key.clone(), None);
            let service = service_of(step).unwrap_or_else(|| self.any_service());
            self.service(&service).tell(Control::Carry(Box::new(order)));
        }
    }

    /// Gives the edge this stack's part; the stack goes on meanwhile, because an edge may have to be started first.
    fn route(&self, table: RouteTable) {
        let (agent, name, news) = (Arc::clone(&self.agent), self.name.clone(), self.news.clone());
        tokio::spawn(async move {
            crash::point("before a route");
            let outcome = agent.edge.apply(&name, &table).await.map(|()| Landed::Done);
            crash::point("after a route");
            // The stack may have ended.
            let _ = news.send(News::Landed { key: StepKey::Edge, outcome });
        });
    }

    fn order(&self, step: &Step) -> Option<Order> {
        let known = |id: &InstanceId| {
            let instance = self.observed.all().find(|i| i.id == *id)?;
            let (id, runtime, handle) = (instance.id.clone(), instance.runtime, instance.handle.clone());
            Some(Known { stack: self.name.clone(), id, runtime, handle })
        };
        let (release, instance) = match step {
            Step::Create { release, .. } | Step::RunJob { release, .. } => (Some(*release), None),
            Step::CreateNetwork { release, .. } | Step::CreateVolume { release, .. } => {
                (Some(*release), None)
            }
            Step::Start { instance, .. }
            | Step::Stop { instance, .. }
            | Step::Remove { instance }
            | Step::Rename { instance, .. } => (self.made_from(instance), known(instance)),
            Step::RemoveNetwork { .. }
            | Step::RemoveVolume { .. }
            | Step::Record { .. }
            | Step::Route { .. } => (None, None),
        };
        let blueprint = match release {
            Some(number) => self.blueprints.get(&number),
            None => self.blueprints.values().next_back(),
        };
        let mut step = step.clone();
        if let (Step::Stop { grace_ms, .. }, Some(grace)) = (&mut step, self.grace) {
            *grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        }
        Some(Order { step, blueprint: Arc::clone(blueprint?), known: instance })
    }

    /// The release whose definition an instance was made from.
    fn made_from(&self, id: &InstanceId) -> Option<ReleaseNumber> {
        let instance = self.observed.all().find(|i| i.id == *id)?;
        self.blueprints.iter().find(|(_, b)| b.made(instance, &self.observed)).map(|(number, _)| *number)
    }

    /// Networks and volumes are nobody's own; whichever service comes first carries their steps.
    fn any_service(&self) -> ServiceName {
        let first =
            self.blueprints.values().next_back().and_then(|b| b.services().next().map(|s| s.name.clone()));
        first.unwrap_or_else(|| ServiceName::new("stack").unwrap_or_else(|_| unreachable!("a valid name")))
    }

    /// After a failure: tried again a little later, or the deploy is given up.
    pub(super) async fn step_failed(&mut self, key: StepKey, error: &Error) {
        let times = self.failures.entry(key.clone()).or_insert(0);
        *times += 1;
        let times = *times;
        self.busy.insert(key.clone(), Some(retry_at(times)));
        let service = service_of_key(&key);
        let message = error.whole();
        tracing::warn!(stack = %self.name, ?key, %message, "a step failed");
        self.tell_step(&key, StepState::Failed);
        self.event(EventKind::StepFailed, service.clone(), None, message.clone());
        let proving = self.state.deploy.as_ref().is_some_and(|d| d.phase == Phase::Proving);
        if !proving && matches!(error, Error::Hook { .. }) {
            self.hook_failed(&key, error).await;
        }
        if proving && !error.is_passing() {
            let instance = match &key {
                StepKey::Instance(id) | StepKey::Name(id) => Some(id.clone()),
                _ => None,
            };
            let failure = Failure { service, instance, why: message, log: error.log() };
            self.fail(failure).await;
        }
    }

    /// Nothing is left to do for a start.
    pub(super) async fn start_is_over(&mut self, key: &StepKey) {
        let StepKey::Instance(id) = key else { return };
        if !self.state.starting.contains(id) {
            return;
        }
        if let Err(error) = self.command(&Transition::Started { instance: id.clone() }).await {
            // It stays to be started, which does no harm.
            tracing::warn!(%error, "cannot record the end of a start");
        }
    }

    /// As with Compose, an instance whose `post_start:` failed runs on, and whoever asked for the start is told. One that was
    /// not started because of its `pre_start:` is tried again.
    async fn hook_failed(&mut self, key: &StepKey, error: &Error) {
        let StepKey::Instance(id) = key else { return };
        let runs = self.observed.all().any(|i| i.id == *id && i.is_running());
        if runs || matches!(error, Error::Hook { hook, .. } if hook.starts_with("post_start")) {
            self.start_is_over(key).await;
        }
        self.tell_failed_start(&id.service, error);
    }

    pub(super) async fn job_ended(&mut self, key: &StepKey, code: i32, oom: bool, log: Vec<String>) {
        let StepKey::Job(service) = key else { return };
        if code == 0 {
            self.tell_step(key, StepState::Done);
            let transition = Transition::JobDone { service: service.clone() };
            if let Err(error) = self.command(&transition).await {
                tracing::warn!(%error, "cannot record the end of a release job");
            }
            return;
        }
        self.tell_step(key, StepState::Failed);
        let how = if oom {
            "was killed for lack of memory".to_owned()
        } else {
            format!("ended with status {code}")
        };
        let why = format!("the release job of `{service}` {how}");
        self.fail(Failure { service: Some(service.clone()), instance: None, why, log }).await;
    }

    async fn fail(&mut self, failure: Failure) {
        if let Err(error) = self.command(&Transition::Fail { failure }).await {
            tracing::warn!(%error, "cannot record that the deploy failed");
        }
    }

    /// The last lines that the instance at fault printed.
    pub(super) async fn last_lines(&self, id: &InstanceId) -> Vec<String> {
        let Some(instance) = self.observed.all().find(|i| i.id == *id) else { return Vec::new() };
        crate::http::logs::last_lines(&self.agent, &self.name, instance, LOG_LINES).await
    }

    fn tell_begin(&self, step: &Step, why: &str) {
        let (name, subject) = describe(step);
        if matches!(step, Step::Route { .. }) {
            return;
        }
        tracing::info!(stack = %self.name, step = name, subject, why, "step");
        self.event(EventKind::StepStarted, service_of(step), None, format!("{name} {subject}: {why}"));
        self.tell(&Progress::Step {
            name: name.into(),
            subject,
            why: why.to_owned(),
            state: StepState::Running,
        });
    }

    pub(super) fn tell_step(&self, key: &StepKey, state: StepState) {
        let subject = match key {
            StepKey::Instance(id) | StepKey::Name(id) => id.to_string(),
            StepKey::Job(service) => service.to_string(),
            StepKey::Network(key) | StepKey::Volume(key) => key.clone(),
            StepKey::Journal | StepKey::Edge => return,
        };
        self.tell(&Progress::Step { name: String::new(), subject, why: String::new(), state });
    }

    /// Keeps an event and tells it to whoever follows.
    pub(super) fn event(
        &self,
        kind: EventKind,
        service: Option<ServiceName>,
        instance: Option<String>,
        message: String,
    ) {
        let release = self.state.deploy.as_ref().map(|d| d.to).or(self.state.current);
        self.event_of(release, kind, service, instance, message);
    }

    pub(super) fn event_of(
        &self,
        release: Option<ReleaseNumber>,
        kind: EventKind,
        service: Option<ServiceName>,
        instance: Option<String>,
        message: String,
    ) {
        let event =
            Event { at: clock::now(), stack: self.name.clone(), service, instance, release, kind, message };
        let _ = self.events.send(event.clone());
        let journal = self.agent.journal.clone();
        tokio::spawn(async move {
            if let Err(error) = journal.add_event(&event).await {
                tracing::warn!(%error, "cannot keep an event");
            }
        });
    }

    pub(super) fn instance_event(&self, id: &InstanceId, word: &str) {
        let kind = match word {
            "ready" => EventKind::Ready,
            "killed for lack of memory" => EventKind::OutOfMemory,
            _ if word.starts_with("unhealthy") => EventKind::Unhealthy,
            _ if word.starts_with("exited") => EventKind::Exited,
            "restarting" => EventKind::Restarted,
            _ => return,
        };
        self.event(kind, Some(id.service.clone()), Some(id.to_string()), format!("{id} is {word}"));
    }
}

fn service_of(step: &Step) -> Option<ServiceName> {
    service_of_key(&step.key())
}

fn service_of_key(key: &StepKey) -> Option<ServiceName> {
    match key {
        StepKey::Instance(id) | StepKey::Name(id) => Some(id.service.clone()),
        StepKey::Job(service) => Some(service.clone()),
        _ => None,
    }
}

fn describe(step: &Step) -> (&'static str, String) {
    match step {
        Step::Record { .. } => ("record", String::new()),
        Step::CreateNetwork { key, .. } => ("create network", key.clone()),
        Step::CreateVolume { key, .. } => ("create volume", key.clone()),
        Step::Create { instance, .. } => ("create", instance.to_string()),
        Step::Start { instance, .. } => ("start", instance.to_string()),
        Step::Stop { instance, .. } => ("stop", instance.to_string()),
        Step::Remove { instance } => ("remove", instance.to_string()),
        Step::Rename { instance, .. } => ("rename", instance.to_string()),
        Step::RunJob { service, .. } => ("run release job of", service.to_string()),
        Step::Route { .. } => ("route", String::new()),
        Step::RemoveNetwork { key } => ("remove network", key.clone()),
        Step::RemoveVolume { key } => ("remove volume", key.clone()),
    }
}
