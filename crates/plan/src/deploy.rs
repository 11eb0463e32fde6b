//! A deploy on its way: prove everything new, then switch once, then let the old go.

use crate::container_name::create_steps;
use crate::dependency::{closure, unmet};
use crate::draft::Draft;
use crate::proof::{is_proven, survives_at};
use crate::strategy::{Strategy, strategy};
use crate::view::View;
use crate::{Blueprint, leave, steady, watch};
use mainstay_model::{
    Deploy, Failure, Health, Instance, InstanceId, InstanceState, Service, ServiceName, Step, StepKey,
    Timestamp, Transition,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Restarts after which a new instance has failed: one may be bad luck, three are not.
pub(crate) const RESTARTS_ARE_FAILURE: u32 = 3;
/// A deploy that could not prove everything by then is undone; probes give up long before.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// One step further towards the switch.
pub(crate) fn prove(view: &View<'_>, draft: &mut Draft<'_>, deploy: &Deploy) {
    let from = view.blueprint(deploy.from);
    let Some(to) = view.blueprint(Some(deploy.to)) else {
        let why = format!("release {} is not in the journal", deploy.to);
        return draft.record(Transition::Fail { failure: blame(None, why.clone()) }, why);
    };
    let rollout = Rollout { view, deploy, from, to, jobs: pending_jobs(deploy, from, to) };
    if let Some(failure) = rollout.failure(draft) {
        let why = failure.why.clone();
        return draft.record(Transition::Fail { failure }, why);
    }
    if let Some(from) = from {
        steady::supervise(view, draft, from);
    }
    leave::advance(view, draft, |old| deploy.swapping.contains_key(&old.id.service));
    steady::resources(view, draft, to);
    rollout.run_jobs(draft);
    let mut all_proven = rollout.jobs.is_empty();
    for service in to.services() {
        rollout.advance(draft, service);
        all_proven &= rollout.proven(draft, service);
    }
    if all_proven && !draft.has_records() {
        let leaving = rollout.replaced();
        let answers = watch::answers(view);
        draft.record(Transition::Switch { leaving, at: view.now(), answers }, "everything new is proven");
    }
}

/// After the switch: the old drains and goes; then the deploy is over.
pub(crate) fn settle(view: &View<'_>, draft: &mut Draft<'_>, deploy: &Deploy) {
    let Some(to) = view.blueprint(Some(deploy.to)) else { return };
    steady::supervise(view, draft, to);
    steady::strays(view, draft, Some(to));
    leave::advance(view, draft, |_| false);
    let renames = to.services().any(|service| crate::container_name::rename_step(view, service).is_some());
    let quiet = view.input.busy.iter().all(|key| matches!(key, StepKey::Journal | StepKey::Edge));
    let routed = crate::route::in_force(view, draft);
    if quiet && routed && view.state().leaving.is_empty() && !renames && !draft.has_records() {
        draft.record(Transition::Settle, "the old release is gone");
    }
}

/// Services whose release job has still to run: those that change, once per deploy.
fn pending_jobs(deploy: &Deploy, from: Option<&Blueprint>, to: &Blueprint) -> BTreeSet<ServiceName> {
    let changed = |s: &&Service| from.is_none_or(|from| from.hash(&s.name) != to.hash(&s.name));
    let jobs = to.services().filter(|s| s.release_job.is_some() && !deploy.jobs_done.contains(&s.name));
    jobs.filter(changed).map(|s| s.name.clone()).collect()
}

fn blame(instance: Option<&InstanceId>, why: String) -> Failure {
    Failure {
        service: instance.map(|i| i.service.clone()),
        instance: instance.cloned(),
        why,
        log: Vec::new(),
    }
}

struct Rollout<'v, 'a> {
    view: &'v View<'a>,
    deploy: &'v Deploy,
    from: Option<&'v Blueprint>,
    to: &'v Blueprint,
    jobs: BTreeSet<ServiceName>,
}

impl Rollout<'_, '_> {
    /// Instances that only the new release has: of a new definition, or made for it.
    fn fresh(&self, service: &Service) -> impl Iterator<Item = &Instance> {
        let is_old = |i: &Instance| self.from.is_some_and(|from| self.view.made(from, i));
        let made_now =
            |i: &Instance| i.id.release == self.deploy.to && self.deploy.from != Some(self.deploy.to);
        let matching = self.view.matching(self.to, &service.name);
        matching.into_iter().filter(move |i| !is_old(i) || made_now(i))
    }

    /// Instances that are not what the new release wants.
    fn old(&self, service: &ServiceName) -> Vec<&Instance> {
        let instances = self.view.instances(service).iter().copied();
        instances.filter(|i| !self.view.made(self.to, i)).collect()
    }

    fn failure(&self, draft: &mut Draft<'_>) -> Option<Failure> {
        let fresh = self.to.services().flat_map(|s| self.fresh(s).map(move |i| (s, i)));
        let fault = fresh
            .filter(|(_, i)| !self.view.is_busy(&i.id))
            .find_map(|(s, i)| Some(blame(Some(&i.id), self.fault(s, i)?)));
        if fault.is_some() {
            return fault;
        }
        let jobs_run = self.jobs.iter().any(|s| self.view.input.busy.contains(&StepKey::Job(s.clone())));
        let deadline = self.deploy.started + DEADLINE;
        if jobs_run || self.view.now() < deadline {
            draft.wake(deadline);
            return None;
        }
        let late = self.to.services().find(|s| !is_proven(self.view, self.to, s))?;
        let why = format!("`{}` was not ready within {} minutes", late.name, DEADLINE.as_secs() / 60);
        Some(Failure { service: Some(late.name.clone()), ..blame(None, why) })
    }

    /// Why a new instance will not become ready, if so.
    fn fault(&self, service: &Service, instance: &Instance) -> Option<String> {
        let id = &instance.id;
        if instance.is_running()
            && let Health::Unhealthy { why } = &instance.health
        {
            return Some(format!("{id} did not become ready: {why}"));
        }
        let attempts = self.view.state().attempts.get(&id.service).map_or(0, |(count, _)| *count);
        if instance.restarts.max(attempts) >= RESTARTS_ARE_FAILURE && !self.view.is_ready(instance) {
            return Some(format!("{id} keeps ending: {}", last_end(instance)));
        }
        let InstanceState::Exited { at, .. } = instance.state else { return None };
        let done = crate::proof::may_end(service) && instance.has_completed();
        let again = steady::may_restart(service, instance)
            || self.view.state().started.get(&id.service).is_some_and(|t| *t > at);
        (!done && !again).then(|| format!("{id} ended before it was ready: {}", last_end(instance)))
    }

    fn run_jobs(&self, draft: &mut Draft<'_>) {
        for name in &self.jobs {
            let Some(service) = self.to.service(name) else { continue };
            match unmet(self.view, self.to, service)
                .or_else(|| steady::lacks_resource(self.view, self.to, service))
            {
                Some(why) => draft.wait(name, format!("its release job {why}")),
                None => draft.step(
                    Step::RunJob { service: name.clone(), release: self.deploy.to },
                    "the release job runs before any traffic moves",
                ),
            }
        }
    }

    /// Why `service` may not start yet. What a release job needs comes before it, everything else after it.
    fn gate(&self, service: &Service) -> Option<String> {
        let name = &service.name;
        let before_job = |job: &&ServiceName| *job != name && closure(self.to, job).contains(name);
        let needed = self.jobs.iter().any(|job| before_job(&job)) && !self.jobs.contains(name);
        if let Some(job) = self.jobs.iter().next().filter(|_| !needed) {
            return Some(format!("waits for the release job of `{job}`"));
        }
        unmet(self.view, self.to, service).or_else(|| steady::lacks_resource(self.view, self.to, service))
    }

    fn advance(&self, draft: &mut Draft<'_>, service: &Service) {
        let old = self.old(&service.name);
        let swapping = self.deploy.swapping.contains_key(&service.name);
        let wanted = usize::try_from(service.replicas).unwrap_or(usize::MAX);
        let staying = self.view.staying(self.to, &service.name);
        let missing = wanted.saturating_sub(staying.len());
        let begins = staying.iter().all(|i| i.state == InstanceState::Created);
        if (missing > 0 || begins)
            && wanted > 0
            && let Some(why) = self.gate(service)
        {
            return draft.wait(&service.name, why);
        }
        if missing > 0 && !old.is_empty() {
            let exclusive = self.strategy(service);
            if let (Strategy::HoldAndSwap(why), false) = (&exclusive, swapping) {
                return self.begin_swap(draft, service, &old, why);
            }
            // One that is being started, by a decision made before, has not ended for good.
            if swapping && !old.iter().all(|i| leave::ended(i) && !self.view.is_busy(&i.id)) {
                return draft.wait(&service.name, "waits for the old instance to stop");
            }
        }
        for step in create_steps(self.view, service, self.deploy.to, missing) {
            draft.step(step, self.why_new(service, swapping));
        }
        for instance in staying {
            steady::revive(self.view, draft, self.to, service, instance);
        }
    }

    fn strategy(&self, service: &Service) -> Strategy {
        strategy(&self.to.release.stack, service, self.view.input.observed.free_memory)
    }

    fn why_new(&self, service: &Service, swapping: bool) -> &'static str {
        match (self.from.and_then(|from| from.hash(&service.name)), swapping) {
            (None, _) => "it is new",
            (Some(hash), _) if self.to.hash(&service.name) == Some(hash) => "more instances are wanted",
            (Some(_), false) => "its definition or image changed; proven beside the old one",
            (Some(_), true) => "its definition or image changed; takes the old one's place",
        }
    }

    /// Stops the old of an exclusive service, as late as possible: when all that can be proven without it is.
    fn begin_swap(&self, draft: &mut Draft<'_>, service: &Service, old: &[&Instance], why: &str) {
        let name = &service.name;
        let for_a_job = self.jobs.iter().any(|job| closure(self.to, job).contains(name));
        let independent = |s: &&Service| {
            !closure(self.to, &s.name).contains(name) && self.strategy(s) == Strategy::StartFirst
        };
        let unproven = self.to.services().filter(independent).find(|s| !is_proven(self.view, self.to, s));
        match unproven.filter(|_| !for_a_job) {
            Some(first) => {
                draft.wait(name, format!("is swapped once `{}` is proven, because {why}", first.name))
            }
            None => {
                let leaving = old.iter().map(|i| i.id.clone()).collect();
                draft.record(Transition::Swap { service: name.clone(), leaving, at: self.view.now() }, why);
            }
        }
    }

    fn proven(&self, draft: &mut Draft<'_>, service: &Service) -> bool {
        let (view, now) = (self.view, self.view.now());
        let survive =
            self.fresh(service).filter_map(|i| survives_at(view, service, i)).filter(|at| *at > now);
        survive.for_each(|at: Timestamp| draft.wake(at));
        let proven = is_proven(view, self.to, service);
        if !proven {
            draft.wait(&service.name, "is not ready yet");
        }
        proven
    }

    /// Everything that leaves at the switch: other definitions, services that are no more, copies beyond the wanted.
    fn replaced(&self) -> BTreeSet<InstanceId> {
        let surplus = self.to.services().flat_map(|s| steady::surplus(self.view, self.to, s));
        let other = self.view.all().filter(|i| !self.view.made(self.to, i));
        other.chain(surplus).filter(|i| !self.view.is_leaving(&i.id)).map(|i| i.id.clone()).collect()
    }
}

/// How an instance ended, in words.
pub(crate) fn last_end(instance: &Instance) -> String {
    match instance.state {
        InstanceState::Exited { oom: true, .. } => "it was killed for lack of memory".into(),
        InstanceState::Exited { code, .. } => format!("exit status {code}"),
        _ => format!("restarted {} times", instance.restarts),
    }
}
