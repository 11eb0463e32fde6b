//! The loop: look, decide, begin, wait until something happens.

use super::{Order, Sight, Task};
use crate::carry::Landed;
use crate::observe::{look, with_health};
use crate::service::{Control, News, ServiceHandle};
use crate::{Error, clock};
use mainstay_api::Progress;
use mainstay_model::{
    Health, InstanceId, InstanceState, Phase, Plan, RuntimeKind, Seen, Step, StepKey, Timestamp, Wish,
};
use mainstay_plan::{Blueprint, Input, in_rotation, next};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Nobody tells when the edge ends; it is asked this often, which costs a few bytes over a socket.
const IDLE: Duration = Duration::from_secs(5);
/// The host is looked at again even when nothing is heard: an event can be missed, though none was seen to be.
const TRUSTED: Duration = Duration::from_secs(60);
/// How often the edge is asked what is still open while something drains.
const DRAINING: Duration = Duration::from_millis(50);
/// Rests this long after the first of several things that happen together.
const TOGETHER: Duration = Duration::from_millis(1);

/// How much of the world is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Glance {
    /// What was heard says it all.
    Nothing,
    /// What the edge has still open; many times a second while something drains.
    Edge,
    /// Everything.
    Host,
}

impl Task {
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Order>,
        mut heard: mpsc::UnboundedReceiver<News>,
    ) {
        let shutdown = self.agent.shutdown.clone();
        let mut sight = Glance::Host;
        loop {
            self.look(sight).await;
            self.adopt();
            with_health(&mut self.observed, &self.healths);
            self.probe();
            let wake = self.decide().await;
            sight = tokio::select! {
                () = shutdown.cancelled() => return,
                order = inbox.recv() => match order {
                    Some(order) => { self.take(order).await; Glance::Host }
                    None => return,
                },
                Some(news) = heard.recv() => self.hear(news).await,
                () = tokio::time::sleep(wake) => Glance::Edge,
            };
            tokio::time::sleep(TOGETHER).await;
            while let Ok(news) = heard.try_recv() {
                sight = sight.max(self.hear(news).await);
            }
            while let Ok(order) = inbox.try_recv() {
                self.take(order).await;
                sight = Glance::Host;
            }
        }
    }

    /// Looks at as much as may have changed.
    async fn look(&mut self, glance: Glance) {
        let blind = self.observed.instances.values().any(|seen| matches!(seen, Seen::Unknown(_)));
        let deaf = !self.runtimes().is_subset(&self.hears);
        let patience = if blind || deaf { IDLE } else { TRUSTED };
        let now = tokio::time::Instant::now();
        let older = |at: Option<_>, than| at.is_none_or(|at| now.saturating_duration_since(at) >= than);
        if glance == Glance::Host || older(self.looked, patience) {
            let needs = self.runtimes();
            self.observed = look(&self.agent, &self.name, &needs).await;
            (self.looked, self.asked_edge) = (Some(now), Some(now));
        } else if glance == Glance::Edge || older(self.asked_edge, IDLE) {
            // Also when there was no idle moment: probes that answer all the time must not keep the edge out of sight.
            self.observed.edge = self.agent.edge.status().await;
            self.asked_edge = Some(now);
        }
    }

    /// Once, as soon as anything can be seen.
    fn adopt(&mut self) {
        let blind = self.observed.instances.values().any(|seen| matches!(seen, Seen::Unknown(_)));
        if self.adopted || blind {
            return;
        }
        self.adopted = true;
        let served = in_rotation(&self.observed, &self.name).into_iter();
        self.healths.extend(served.map(|(id, since)| (id, (since, Health::Ready))));
    }

    /// Runtimes that the stack has, or may have, instances on.
    fn runtimes(&self) -> BTreeSet<RuntimeKind> {
        self.blueprints.values().flat_map(|b| b.services().map(mainstay_model::Service::runtime)).collect()
    }

    /// Plans and begins what can be begun; says how long to wait at most.
    async fn decide(&mut self) -> Duration {
        for _ in 0..64 {
            let plan = self.plan();
            self.waiting = plan.waiting.iter().map(|w| (w.service.clone(), w.why.clone())).collect();
            self.tell_changes();
            let only_records = plan.steps.iter().all(|(step, _)| matches!(step, Step::Record { .. }));
            if !plan.steps.is_empty() && only_records {
                if !self.record_all(&plan).await {
                    break;
                }
                continue;
            }
            self.begin(&plan).await;
            self.abandon_starts();
            self.show();
            self.finish_waiters(plan.steps.is_empty());
            return self.pause(&plan);
        }
        self.show();
        IDLE
    }

    /// Hooks may take long: nobody waits for those of an instance that is to go.
    fn abandon_starts(&mut self) {
        let (state, failed) = (&self.state, self.state.deploy.as_ref());
        let failed = failed.filter(|d| matches!(d.phase, Phase::Undoing { .. })).map(|d| (d.to, d.from));
        let goes = |id: &InstanceId| {
            let undone = failed.is_some_and(|(to, from)| id.release == to && from != Some(to));
            undone || state.wish != Wish::Up || state.leaving.contains_key(id)
        };
        let under_way = |id: &&InstanceId| self.busy.contains_key(&StepKey::Instance((*id).clone()));
        let going: Vec<_> = state.starting.iter().filter(|id| goes(id)).filter(under_way).cloned().collect();
        for id in going {
            self.service(&id.service).tell(Control::Abandon(id.clone()));
        }
    }

    fn plan(&mut self) -> Plan {
        let now = clock::now();
        self.busy.retain(|_, until| until.is_none_or(|until| until > now));
        let busy: BTreeSet<StepKey> = self.busy.keys().cloned().collect();

        next(&Input {
            stack: &self.name,
            state: &self.state,
            releases: &self.blueprints,
            observed: &self.observed,
            busy: &busy,
            http: self.agent.http,
            now,
            seed: u64::from(std::process::id()),
        })
    }

    fn pause(&self, plan: &Plan) -> Duration {
        let now = clock::now();
        let retries = self.busy.values().flatten().min();
        let due = plan
            .wake
            .iter()
            .chain(retries)
            .min()
            .map(|at| Duration::from_millis(at.0.saturating_sub(now.0) + 1));
        let most = if self.state.leaving.is_empty() { IDLE } else { DRAINING };
        due.map_or(most, |due| due.min(most))
    }

    /// What has to be looked at again because of what was heard.
    async fn hear(&mut self, news: News) -> Glance {
        match news {
            News::Landed { key, outcome } => {
                self.busy.remove(&key);
                self.landed(key, outcome).await;
                Glance::Host
            }
            News::Health { instance, since, health } => {
                self.healths.insert(instance, (since, health));
                Glance::Nothing
            }
            News::JobLine { service, line } => {
                self.tell(&Progress::Job { service, line });
                Glance::Nothing
            }
        }
    }

    async fn landed(&mut self, key: StepKey, outcome: Result<Landed, Error>) {
        match outcome {
            Ok(landed @ (Landed::Done | Landed::Started)) => {
                self.failures.remove(&key);
                self.tell_step(&key, mainstay_api::StepState::Done);
                if landed == Landed::Started {
                    self.start_is_over(&key).await;
                }
            }
            Ok(Landed::Job { code, oom, log }) => self.job_ended(&key, code, oom, log).await,
            Err(error) => self.step_failed(key, &error).await,
        }
    }

    /// Tells every service what to probe.
    fn probe(&mut self) {
        let mut by_service: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for instance in self.observed.all().filter(|i| i.is_running()) {
            by_service.entry(instance.id.service.clone()).or_default().push(instance.clone());
        }
        let blind = self.observed.instances.values().any(|seen| matches!(seen, Seen::Unknown(_)));
        if blind {
            return;
        }
        let present: BTreeSet<_> = self.observed.all().map(|i| i.id.clone()).collect();
        self.healths.retain(|id, _| present.contains(id));
        for (name, instances) in by_service {
            let definition = instances.iter().find_map(|instance| {
                let made_from = |b: &&Arc<Blueprint>| b.made(instance, &self.observed);
                let blueprint = self
                    .blueprints
                    .values()
                    .find(made_from)
                    .or_else(|| self.blueprints.values().next_back())?;
                Some((blueprint.service(&name)?.clone(), blueprint.release.images.get(&name).cloned()))
            });
            if let Some((service, image)) = definition {
                self.service(&name).tell(Control::Probe { service: Box::new(service), image, instances });
            }
        }
    }

    pub(super) fn service(&mut self, name: &mainstay_model::ServiceName) -> &ServiceHandle {
        let (agent, stack, news) = (&self.agent, &self.name, &self.news);
        self.services.entry(name.clone()).or_insert_with(|| ServiceHandle::start(agent, stack, news.clone()))
    }

    pub(super) fn show(&self) {
        let (state, observed, waiting) = (self.state.clone(), self.observed.clone(), self.waiting.clone());
        let looked = self.looked.is_some();
        self.show.send_replace(Sight { state, observed, waiting, looked });
    }

    /// Tells what changed about instances since the last look.
    fn tell_changes(&mut self) {
        let mut now = BTreeMap::new();
        for instance in self.observed.all() {
            let word = match (&instance.state, &instance.health) {
                (InstanceState::Running { .. }, Health::Ready) => "ready".to_owned(),
                (InstanceState::Running { .. }, Health::Starting) => "starting".to_owned(),
                (InstanceState::Running { .. }, Health::Unhealthy { why }) => format!("unhealthy: {why}"),
                (InstanceState::Exited { oom: true, .. }, _) => "killed for lack of memory".to_owned(),
                (InstanceState::Exited { code, .. }, _) => format!("exited ({code})"),
                (InstanceState::Created, _) => "created".to_owned(),
                (InstanceState::Restarting, _) => "restarting".to_owned(),
                (InstanceState::Paused, _) => "paused".to_owned(),
                // Half made, or half removed: whoever does that says so.
                (InstanceState::Dead, _) => continue,
            };
            now.insert(instance.id.clone(), word);
        }
        let changes: Vec<_> = now.iter().filter(|(id, word)| self.told.get(*id) != Some(*word)).collect();
        for (id, word) in changes {
            let ended = self.observed.all().find(|i| i.id == *id).map(|i| &i.state);
            let exit_code = match ended {
                Some(InstanceState::Exited { code, .. }) => Some(*code),
                _ => None,
            };
            self.tell(&Progress::Instance { instance: id.clone(), state: word.clone(), exit_code });
            self.instance_event(id, word);
        }
        self.told = now;
    }

    /// Tells everybody who waits; those who hung up are forgotten.
    pub(super) fn tell(&self, progress: &Progress) {
        for waiter in &self.waiters {
            waiter.tell(progress.clone());
        }
    }

    async fn take(&mut self, order: Order) {
        match order {
            Order::Look => {}
            Order::Grace(grace) => self.grace = Some(grace),
            Order::Hears(runtime, true) => drop(self.hears.insert(runtime)),
            Order::Hears(runtime, false) => drop(self.hears.remove(&runtime)),
            Order::Record { transition, waiter, answer } => {
                let outcome = self.command(&transition).await;
                if outcome.is_ok() {
                    self.waiters.extend(waiter);
                }
                // Whoever asked may have gone.
                let _ = answer.send(outcome);
            }
        }
    }
}

/// When something that failed `times` in a row is tried again.
pub(super) fn retry_at(times: u32) -> Timestamp {
    clock::now() + Duration::from_millis(200).saturating_mul(1 << times.min(7))
}
