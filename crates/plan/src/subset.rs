//! `up api`: a release in which only some services are new.

use mainstay_model::{ServiceName, Stack};
use std::collections::BTreeSet;

/// A service was named that the stack does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownService(pub ServiceName);

/// `services` and what they depend on, directly or not.
///
/// # Errors
/// A named service is not in `stack`.
pub fn with_dependencies(
    stack: &Stack,
    services: impl IntoIterator<Item = ServiceName>,
) -> Result<BTreeSet<ServiceName>, UnknownService> {
    let mut chosen = BTreeSet::new();
    let mut queue: Vec<_> = services.into_iter().collect();
    while let Some(name) = queue.pop() {
        let service = stack.services.get(&name).ok_or_else(|| UnknownService(name.clone()))?;
        if chosen.insert(name) {
            queue.extend(service.depends_on.keys().filter(|n| stack.services.contains_key(*n)).cloned());
        }
    }
    Ok(chosen)
}

/// The stack that results when, of `wanted`, only `services` and what they depend on are taken over into `current`.
/// With no services named, or nothing current, all or just those of `wanted` are taken.
///
/// # Errors
/// A named service is not in `wanted`.
pub fn subset(
    current: Option<&Stack>,
    wanted: &Stack,
    services: &BTreeSet<ServiceName>,
    dependencies: bool,
) -> Result<Stack, UnknownService> {
    if services.is_empty() {
        return Ok(wanted.clone());
    }
    let all = with_dependencies(wanted, services.iter().cloned())?;
    let chosen = if dependencies { &all } else { services };
    let mut stack = wanted.clone();
    stack.services.retain(|name, _| chosen.contains(name));
    if let Some(current) = current {
        let kept = current.services.iter().filter(|(name, _)| !chosen.contains(*name));
        stack.services.extend(kept.map(|(name, service)| (name.clone(), service.clone())));
        keep_used(&mut stack.networks, &current.networks);
        keep_used(&mut stack.volumes, &current.volumes);
        keep_used(&mut stack.secrets, &current.secrets);
        keep_used(&mut stack.configs, &current.configs);
    }
    Ok(stack)
}

fn keep_used<T: Clone>(
    to: &mut std::collections::BTreeMap<String, T>,
    from: &std::collections::BTreeMap<String, T>,
) {
    for (key, value) in from {
        to.entry(key.clone()).or_insert_with(|| value.clone());
    }
}
