//! When an instance, and a service, counts as working.

use crate::{Blueprint, view::View};
use mainstay_model::{Instance, InstanceState, Readiness, RestartPolicy, Service, Timestamp};
use std::time::Duration;

/// A process that proves nothing by itself must at least live this long before it takes the place of an old one:
/// most broken starts end within a second.
const SURVIVES: Duration = Duration::from_secs(1);

/// Whether every wanted instance of `service` works.
pub(crate) fn is_proven(view: &View<'_>, blueprint: &Blueprint, service: &Service) -> bool {
    let wanted = usize::try_from(service.replicas).unwrap_or(usize::MAX);
    let proven =
        view.staying(blueprint, &service.name).into_iter().filter(|i| works(view, service, i)).count();
    proven >= wanted
}

fn works(view: &View<'_>, service: &Service, instance: &Instance) -> bool {
    if may_end(service) && instance.has_completed() {
        return true;
    }
    // What a step is still under way for is not proven yet.
    view.is_ready(instance)
        && !view.is_busy(&instance.id)
        && survives_at(view, service, instance).is_none_or(|at| at <= view.now())
}

/// When an instance without a probe has lived for long enough; `None` where that does not matter: it has a probe, or
/// there is nothing old that it could replace too early.
pub(crate) fn survives_at(view: &View<'_>, service: &Service, instance: &Instance) -> Option<Timestamp> {
    let replaces =
        view.state().deploy.as_ref().is_some_and(|d| d.from.is_some() && d.to == instance.id.release);
    match (&service.readiness, &instance.state) {
        (Readiness::Running | Readiness::Image, InstanceState::Running { since }) if replaces => {
            // A clock set back must not make it wait for ever.
            (*since <= view.now()).then(|| *since + SURVIVES)
        }
        _ => None,
    }
}

/// Whether ending with status 0 is what `service` is for.
pub(crate) fn may_end(service: &Service) -> bool {
    matches!(service.restart, RestartPolicy::No | RestartPolicy::OnFailure { .. })
}
