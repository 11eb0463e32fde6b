//! Which services are in (Compose Specification, "Profiles"), and which resources that leaves in use.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{Map, Node};
use crate::suggest;
use std::collections::BTreeSet;

/// Profiles and what they left out.
pub struct Chosen {
    /// Services that no active profile asks for.
    pub disabled: Map,
    /// Every job, whatever its profiles.
    pub jobs: BTreeSet<String>,
    /// Every profile of the file, sorted.
    pub known: Vec<String>,
}

/// Takes the services out that no active profile asks for. `given` are the profiles of the command line, which
/// replace `from_env`; `named` are services the user named, whose profiles count as active.
pub fn choose(
    tree: &mut Node,
    given: Option<&[String]>,
    from_env: &str,
    named: &[String],
    sink: &mut Sink,
) -> Chosen {
    let mut active: BTreeSet<String> = match given {
        Some(given) => given.iter().cloned().collect(),
        None => from_env.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect(),
    };
    let profiles_of = |service: &Node| -> Vec<String> {
        service.items("profiles").iter().filter_map(|p| p.as_text().map(str::to_owned)).collect()
    };
    let mut known = BTreeSet::new();
    for (_, entry) in tree.entries("services") {
        known.extend(profiles_of(&entry.node));
    }
    for name in named {
        match tree.at(&["services", name]) {
            Some(service) => {
                let own = profiles_of(service);
                if !own.is_empty() && !own.iter().any(|p| active.contains(p)) {
                    active.extend(own);
                }
            }
            None => {
                let finding = Diagnostic::error(Code::NoService, format!("there is no service `{name}`"));
                let known = tree.entries("services").map(|(name, _)| name.as_str());
                let meant = suggest::closest(name, known).map(|m| format!("did you mean `{m}`?"));
                sink.push(Diagnostic { help: meant, ..finding });
            }
        }
    }
    let is_in = |node: &Node| {
        let own = profiles_of(node);
        own.is_empty() || active.contains("*") || own.iter().any(|p| active.contains(p))
    };
    let jobs = tree.entries("jobs").map(|(name, _)| name.clone()).collect();
    if let Some(jobs) = tree.get_mut("jobs").and_then(Node::as_map_mut) {
        jobs.retain(|_, entry| is_in(&entry.node));
    }
    let mut disabled = Map::new();
    if let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) {
        services.retain(|name, entry| {
            let is_in = is_in(&entry.node);
            if !is_in {
                disabled.insert(name.clone(), entry.clone());
            }
            is_in
        });
    }
    Chosen { disabled, jobs, known: known.into_iter().collect() }
}

/// Takes the networks, volumes, secrets, configs and models out that no service uses.
pub fn drop_unused(tree: &mut Node) {
    let mut used: [BTreeSet<String>; 5] = Default::default();
    let [networks, volumes, secrets, configs, models] = &mut used;
    let source = |node: &Node| node.get_text("source").map(str::to_owned);
    for (_, entry) in tree.entries("services") {
        let service = &entry.node;
        networks.extend(service.entries("networks").map(|(name, _)| name.clone()));
        let named = service.items("volumes").iter().filter(|m| m.get_text("type") == Some("volume"));
        volumes.extend(named.filter_map(source));
        secrets.extend(service.items("secrets").iter().filter_map(source));
        configs.extend(service.items("configs").iter().filter_map(source));
        models.extend(service.entries("models").map(|(name, _)| name.clone()));
        if let Some(build) = service.get("build") {
            secrets.extend(build.items("secrets").iter().filter_map(source));
        }
    }
    for (kind, used) in ["networks", "volumes", "secrets", "configs", "models"].iter().zip(&used) {
        if let Some(resources) = tree.get_mut(kind).and_then(Node::as_map_mut) {
            resources.retain(|name, _| used.contains(name));
        }
    }
}
