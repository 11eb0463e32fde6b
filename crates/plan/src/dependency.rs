//! `depends_on`: when a service may start, and in which order things end.

use crate::proof::is_proven;
use crate::{Blueprint, view::View};
use mainstay_model::{DependencyCondition, Instance, Service, ServiceName};
use std::collections::BTreeSet;

/// The first dependency of `service` that does not hold yet, in words; `None` when it may start.
pub(crate) fn unmet(view: &View<'_>, blueprint: &Blueprint, service: &Service) -> Option<String> {
    service.depends_on.iter().find_map(|(name, dependency)| {
        let Some(needed) = blueprint.service(name) else {
            return dependency.required.then(|| format!("`{name}` is not part of the stack"));
        };
        let instances = view.staying(blueprint, name);
        let wanted = usize::try_from(needed.replicas).unwrap_or(usize::MAX);
        let count = |holds: &dyn Fn(&Instance) -> bool| instances.iter().filter(|i| holds(i)).count();
        let has_started = |i: &Instance| i.is_running() && !view.is_starting(&i.id);
        let (holds, to_be) = match dependency.condition {
            DependencyCondition::ServiceStarted => {
                (count(&|i| has_started(i) || i.has_completed()) >= wanted, "started")
            }
            DependencyCondition::ServiceHealthy => (is_proven(view, blueprint, needed), "ready"),
            DependencyCondition::ServiceCompletedSuccessfully => {
                (count(&Instance::has_completed) >= wanted, "completed")
            }
        };
        (!holds).then(|| format!("waits for `{name}` to be {to_be}"))
    })
}

/// `service` and everything it depends on, directly or not.
pub(crate) fn closure(blueprint: &Blueprint, service: &ServiceName) -> BTreeSet<ServiceName> {
    let mut found = BTreeSet::from([service.clone()]);
    let mut queue = vec![service.clone()];
    while let Some(name) = queue.pop() {
        for needed in blueprint.service(&name).iter().flat_map(|s| s.depends_on.keys()) {
            if found.insert(needed.clone()) {
                queue.push(needed.clone());
            }
        }
    }
    found
}
