//! Who waits for the end of what, and when that end has come.

use crate::Error;
use mainstay_api::{Outcome, Progress};
use mainstay_model::{Health, InstanceState, Phase, ReleaseNumber, ServiceName, StackState, Wish};
use mainstay_plan::Blueprint;
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// What a command waits for.
#[derive(Debug)]
pub(crate) enum Until {
    /// The deploy of this release has ended.
    Deployed(ReleaseNumber),
    /// Nothing is left of the stack.
    Gone,
    /// The instances of these services are made.
    Made(BTreeSet<ServiceName>),
    /// Everything is as Docker Compose would have made it.
    Ejected,
    /// The services have stopped.
    Stopped(BTreeSet<ServiceName>),
    /// The services run, and their probes have answered one way or the other.
    Started(BTreeSet<ServiceName>),
}

/// Somebody who waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub until: Until,
    pub progress: mpsc::UnboundedSender<Progress>,
}

impl Waiter {
    /// Tells one line; false when nobody listens any more.
    pub fn tell(&self, progress: Progress) -> bool {
        self.progress.send(progress).is_ok()
    }

    /// The end, if this transition from `before` to `after` is the end of a deploy that is waited for.
    pub fn settled(&self, before: &StackState, after: &StackState) -> Option<Outcome> {
        let Until::Deployed(release) = self.until else { return None };
        let deploy = before.deploy.as_ref().filter(|d| d.to == release && after.deploy.is_none())?;
        Some(match &deploy.phase {
            Phase::Undoing { failure } => Outcome {
                ok: false,
                release: after.current,
                message: match after.current {
                    Some(old) => format!("{}; release {old} serves as before", failure.why),
                    None => format!("{}; nothing was left behind", failure.why),
                },
                service: failure.service.clone(),
                log: failure.log.clone(),
                code: Some("A0310".into()),
            },
            Phase::Switched { .. } => done(after.current, format!("release {release} is up")),
            Phase::Proving => failed(after.current, format!("the deploy of release {release} was given up")),
        })
    }

    /// The end, if the stack is at rest as the command wanted it.
    pub fn resting(
        &self,
        state: &StackState,
        observed: &mainstay_model::Observed,
        current: Option<&Blueprint>,
    ) -> Option<Outcome> {
        let of = |services: &BTreeSet<ServiceName>| -> Vec<_> {
            observed.all().filter(|i| services.contains(&i.id.service)).cloned().collect()
        };
        let ended = |s: &InstanceState| {
            matches!(s, InstanceState::Exited { .. } | InstanceState::Created | InstanceState::Dead)
        };
        match &self.until {
            Until::Deployed(_) => None,
            Until::Gone => (state.current.is_none() && state.wish == Wish::Up)
                .then(|| done(None, "the stack is down".into())),
            Until::Made(services) => (!state.make.iter().any(|service| services.contains(service)))
                .then(|| done(state.current, "made, and not started".into())),
            // Asked at rest only: nothing is left to be done.
            Until::Ejected => (state.wish == Wish::Eject && state.leaving.is_empty())
                .then(|| done(state.current, "the stack is Docker Compose's".into())),
            Until::Stopped(services) => {
                of(services).iter().all(|i| ended(&i.state)).then(|| done(state.current, "stopped".into()))
            }
            Until::Started(services) => {
                let replaced =
                    state.replace.keys().chain(state.leaving.keys()).any(|id| services.contains(&id.service));
                let instances = of(services);
                let wanted: usize = current.map_or(0, |b| {
                    b.services().filter(|s| services.contains(&s.name)).map(|s| s.replicas as usize).sum()
                });
                let decided = instances.iter().filter(|i| match i.state {
                    InstanceState::Running { .. } => i.health != Health::Starting,
                    InstanceState::Exited { .. } => true,
                    _ => false,
                });
                let all = !replaced && decided.count() >= wanted;
                all.then(|| started(state.current, &instances))
            }
        }
    }
}

fn started(release: Option<ReleaseNumber>, instances: &[mainstay_model::Instance]) -> Outcome {
    match instances.iter().find(|i| i.is_running() && i.health != Health::Ready) {
        Some(sick) => Outcome {
            service: Some(sick.id.service.clone()),
            ..failed(release, format!("{} is not ready", sick.id))
        },
        None => done(release, "started".into()),
    }
}

pub(crate) fn done(release: Option<ReleaseNumber>, message: String) -> Outcome {
    Outcome { ok: true, release, message, service: None, log: Vec::new(), code: None }
}

/// The end of what an error kept from being done.
pub(crate) fn refused(release: Option<ReleaseNumber>, error: &Error) -> Outcome {
    Outcome { log: error.log(), code: Some(error.code().into()), ..failed(release, error.whole()) }
}

pub(crate) fn failed(release: Option<ReleaseNumber>, message: String) -> Outcome {
    Outcome { ok: false, ..done(release, message) }
}
