//! Changing the stack's state: written first, then believed.

use super::Task;
use crate::waiters::{Until, failed};
use crate::{Error, crash, sites};
use mainstay_api::{Outcome, Progress};
use mainstay_host::journal::Outcome as Ending;
use mainstay_model::{
    Deploy, EventKind, Failure, Phase, Plan, ServiceName, StackState, Step, Transition, Wish,
};
use mainstay_plan::{Blueprint, apply};
use std::sync::Arc;

impl Task {
    /// Reads the releases that the state speaks of and forgets the others.
    pub(super) async fn load_blueprints(&mut self) -> Result<(), Error> {
        let needed = self.state.releases();
        self.blueprints.retain(|number, _| needed.contains(number));
        for number in needed {
            if !self.blueprints.contains_key(&number) {
                let release = self.agent.journal.release(&self.name, number).await?;
                self.blueprints.insert(number, Arc::new(Blueprint::new(release)));
            }
        }
        Ok(())
    }

    /// Records what a command asks for, if it may now.
    pub(super) async fn command(&mut self, transition: &Transition) -> Result<(), Error> {
        let deploy = self.state.deploy.as_ref().map(|d| d.to);
        match (transition, deploy) {
            (
                Transition::Begin { .. }
                | Transition::Eject
                | Transition::Make { .. }
                | Transition::Stop { .. }
                | Transition::Start { .. }
                | Transition::Replace { .. },
                Some(to),
            ) => {
                return Err(Error::Busy(to));
            }
            (
                Transition::Begin { .. }
                | Transition::Eject
                | Transition::Make { .. }
                | Transition::Start { .. },
                None,
            ) if matches!(self.state.wish, Wish::Down { .. }) => {
                return Err(Error::GoingDown);
            }
            (Transition::Stop { .. } | Transition::Start { .. } | Transition::Replace { .. }, None)
                if self.state.wish == Wish::Eject =>
            {
                return Err(Error::Ejected);
            }
            _ => {}
        }
        self.record(transition).await
    }

    /// Records every transition of `plan`; false when the journal would not.
    pub(super) async fn record_all(&mut self, plan: &Plan) -> bool {
        for (step, why) in &plan.steps {
            let Step::Record { transition } = step else { continue };
            let transition = self.with_log(transition).await;
            if let Err(error) = self.record(&transition).await {
                tracing::error!(stack = %self.name, error = error.whole(), "cannot write the journal");
                self.busy.insert(mainstay_model::StepKey::Journal, Some(super::converge::retry_at(3)));
                return false;
            }
            tracing::info!(stack = %self.name, ?transition, why, "recorded");
        }
        true
    }

    /// A failure gets the last lines of the log of whom it blames.
    async fn with_log(&self, transition: &Transition) -> Transition {
        let mut transition = transition.clone();
        if let Transition::Fail { failure } | Transition::GoBack { failure, .. } = &mut transition
            && let (Some(id), true) = (&failure.instance, failure.log.is_empty())
        {
            failure.log = self.last_lines(id).await;
        }
        transition
    }

    async fn record(&mut self, transition: &Transition) -> Result<(), Error> {
        let after = apply(&self.state, transition);
        if let (Transition::Settle | Transition::Down { .. }, Some(deploy)) = (transition, &self.state.deploy)
        {
            self.mark(deploy).await?;
        }
        if let (Transition::GoBack { .. }, Some(current)) = (transition, self.state.current) {
            self.agent.journal.mark_release(&self.name, current, Ending::Failed).await?;
        }
        if let Transition::Make { to, .. } = transition {
            self.agent.journal.mark_release(&self.name, *to, Ending::Served).await?;
        }
        crash::point("before a record");
        self.agent.journal.record(&self.name, transition, &after, self.state.generation).await?;
        crash::point("after a record");
        let before = std::mem::replace(&mut self.state, after);
        if let Err(error) = self.load_blueprints().await {
            tracing::error!(error = error.whole(), "cannot read a release");
        }
        // Whoever is told of the change may look at once.
        self.show();
        self.after(&before, transition).await;
        Ok(())
    }

    /// What others have to know of a change.
    async fn after(&mut self, before: &StackState, transition: &Transition) {
        match transition {
            Transition::Begin { to, .. } => {
                self.failures.clear();
                self.grace = None;
                self.event(EventKind::DeployStarted, None, None, format!("release {to} is being deployed"));
            }
            Transition::Switch { .. } => {
                if let Some(release) = self.state.deploy.as_ref().map(|d| d.to) {
                    self.tell(&Progress::Switched { release });
                    self.event(
                        EventKind::DeploySwitched,
                        None,
                        None,
                        format!("release {release} takes the traffic"),
                    );
                }
            }
            Transition::Fail { failure } => {
                self.event(EventKind::DeployFailed, failure.service.clone(), None, failure.why.clone())
            }
            Transition::GoBack { failure, .. } => self.goes_back(before, failure),
            Transition::Settle | Transition::Down { .. } => self.settled(before).await,
            Transition::Gone => {
                self.agent.runtimes.remove_native_jobs(&self.name).await;
                self.agent.edge.forget(&self.name).await;
                sites::remove(&self.agent, &self.name).await;
            }
            _ => {}
        }
    }

    fn goes_back(&mut self, before: &StackState, failure: &Failure) {
        self.failures.clear();
        let (Some(bad), Some(deploy)) = (before.current, &self.state.deploy) else { return };
        let text = format!("release {bad} is worse than release {}: {}; going back", deploy.to, failure.why);
        tracing::warn!(stack = %self.name, text);
        self.event_of(Some(bad), EventKind::DeployFailed, failure.service.clone(), None, text);
    }

    /// Notes how a deploy ends, before it has: who comes back after a crash in between settles it once more.
    async fn mark(&self, deploy: &Deploy) -> Result<(), Error> {
        let ending = match &deploy.phase {
            Phase::Undoing { .. } | Phase::Proving => Ending::Failed,
            Phase::Switched { .. } => Ending::Served,
        };
        self.agent.journal.mark_release(&self.name, deploy.to, ending).await?;
        crash::point("after a release was marked");
        Ok(())
    }

    async fn settled(&mut self, before: &StackState) {
        self.tell_settled(before);
        let Some(deploy) = &before.deploy else { return };
        let (kind, text) = match &deploy.phase {
            Phase::Undoing { .. } => (EventKind::DeployUndone, "was undone"),
            Phase::Proving => (EventKind::DeployUndone, "was given up"),
            Phase::Switched { .. } => (EventKind::DeployFinished, "is deployed"),
        };
        self.event(kind, None, None, format!("release {} {text}", deploy.to));
        let name = &self.name;
        if let Err(error) = self.agent.journal.prune(name).await {
            tracing::warn!(%error, "cannot prune releases");
        }
        sites::prune(&self.agent, name, self.blueprints.values().cloned().collect()).await;
        self.agent.runtimes.remove_native_jobs(name).await;
        if let Some(docker) = self.agent.runtimes.connected().await {
            let _ = docker.remove_jobs(name).await;
        }
    }

    /// Tells those who wait for a deploy. Who is told and asks must see it: shown first.
    fn tell_settled(&mut self, before: &StackState) {
        self.show();
        let state = self.state.clone();
        self.waiters.retain(|waiter| match waiter.settled(before, &state) {
            Some(outcome) => {
                waiter.tell(Progress::Done { outcome });
                false
            }
            None => true,
        });
    }

    /// Tells those who wait for `service` to be started that it is not, or not as they wished.
    pub(super) fn tell_failed_start(&mut self, service: &ServiceName, error: &Error) {
        let release = self.state.current;
        self.waiters.retain(|waiter| {
            let waits = matches!(&waiter.until, Until::Started(services) if services.contains(service));
            if waits {
                let (log, code) = (error.log(), Some(error.code().into()));
                let service = Some(service.clone());
                let outcome = Outcome { log, code, service, ..failed(release, error.whole()) };
                waiter.tell(Progress::Done { outcome });
            }
            !waits
        });
    }

    /// Tells those whose wish has come true.
    pub(super) fn finish_waiters(&mut self, nothing_planned: bool) {
        let current = self.blueprints.get(&self.state.current.unwrap_or(0)).cloned();
        let at_rest = nothing_planned && self.busy.is_empty();
        let (state, observed) = (&self.state, &self.observed);
        self.waiters.retain(|waiter| {
            match waiter.resting(state, observed, current.as_deref()).filter(|_| at_rest) {
                Some(outcome) => {
                    waiter.tell(Progress::Done { outcome });
                    false
                }
                None => !waiter.progress.is_closed(),
            }
        });
    }
}
