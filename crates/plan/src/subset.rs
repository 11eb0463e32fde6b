//! `up api`: a release in which only some services are new.

use mainstay_model::{ServiceName, Stack};
use std::collections::BTreeSet;

/// A service was named that the stack does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownService(pub ServiceName);

/// The stack that results when, of `wanted`, only `services` and what they depend on are taken over into `current`.
/// With no services named, or nothing current, all or just those of `wanted` are taken.
///
/// # Errors
/// A named service is not in `wanted`.
pub fn subset(
    current: Option<&Stack>,
    wanted: &Stack,
    services: &BTreeSet<ServiceName>,
    with_dependencies: bool,
) -> Result<Stack, UnknownService> {
    if services.is_empty() {
        return Ok(wanted.clone());
    }
    let mut chosen = BTreeSet::new();
    let mut queue: Vec<_> = services.iter().cloned().collect();
    while let Some(name) = queue.pop() {
        let service = wanted.services.get(&name).ok_or_else(|| UnknownService(name.clone()))?;
        if chosen.insert(name) && with_dependencies {
            queue.extend(service.depends_on.keys().filter(|n| wanted.services.contains_key(*n)).cloned());
        }
    }
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
