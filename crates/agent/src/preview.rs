//! What a deploy would do, and why, for `plan` and for the beginning of `up`.

use crate::images::{self, Need};
use crate::stack::{Sight, StackHandle};
use crate::{Agent, Error, deploy, observe, sites};
use mainstay_api::{DeployRequest, PlanView, PlannedStep};
use mainstay_model::{Files, Release, RuntimeKind, Service, ServiceName, Timestamp};
use mainstay_plan::{Blueprint, Strategy, strategy};
use std::collections::BTreeMap;

/// What `request` would do.
pub(crate) async fn plan(
    agent: &Agent,
    stack: &StackHandle,
    mut request: DeployRequest,
) -> Result<PlanView, Error> {
    let current = deploy::current(agent, stack).await?;
    request.stack = deploy::wanted(current.as_ref(), &request)?;
    deploy::mark_as_new(&mut request)?;
    sites::name(agent, current.as_ref(), &request.services, &mut request.stack).await?;
    let chosen = deploy::chosen(current.as_ref(), &request);
    let mut steps = Vec::new();
    let mut ids = current.as_ref().map(|r| r.images.clone()).unwrap_or_default();
    if chosen.iter().any(|s| s.runtime() == RuntimeKind::Docker) {
        let docker = agent.runtimes.docker().await?;
        for (name, need) in images::needs(&docker, &request, &chosen).await? {
            let Some(service) = request.stack.services.get(&name) else { continue };
            let image = images::reference(&request.stack, service);
            match need {
                Need::There(id) => drop(ids.insert(name, id)),
                Need::Pull(why) => {
                    steps.push(step("pull", &image, why));
                    ids.insert(name, "to be pulled".into());
                }
                Need::Build(why) => {
                    steps.push(step("build", &image, why));
                    ids.insert(name, "to be built".into());
                }
            }
        }
    }
    let release = Release { number: 0, stack: request.stack.clone(), images: ids, created: Timestamp(0) };
    let sight = observe::before(agent, stack, &request.stack).await;
    let mut view = of_release(current.map(Blueprint::new).as_ref(), &Blueprint::new(release), &sight);
    steps.append(&mut view.steps);
    Ok(PlanView { steps, ..view })
}

/// What moving from one release to another would do.
pub(crate) fn of_release(from: Option<&Blueprint>, to: &Blueprint, sight: &Sight) -> PlanView {
    let mut view = PlanView {
        from: from.map(|b| b.release.number),
        steps: Vec::new(),
        unchanged: Vec::new(),
        notes: Vec::new(),
    };
    let stack = &to.release.stack;
    let docker = stack.services.values().any(|s| s.runtime() == RuntimeKind::Docker);
    let networks = stack
        .networks
        .iter()
        .filter(|(key, n)| docker && !n.external && !sight.observed.networks.contains(*key));
    view.steps.extend(networks.map(|(_, n)| step("network", &n.name, "it does not exist")));
    let volumes =
        stack.volumes.iter().filter(|(key, v)| !v.external && !sight.observed.volumes.contains(*key));
    view.steps.extend(volumes.map(|(_, v)| step("volume", &v.name, "it does not exist")));
    for service in to.services() {
        if service.release_job.is_some()
            && from.is_none_or(|from| from.hash(&service.name) != to.hash(&service.name))
        {
            view.steps.push(step(
                "job",
                service.name.as_str(),
                "its release job runs once, before any traffic moves",
            ));
        }
    }
    for service in to.services() {
        match about(from, to, service, sight) {
            Some(planned) => view.steps.push(planned),
            None => view.unchanged.push(service.name.clone()),
        }
    }
    view.steps.extend(about_sites(from, to));
    let removed = from.into_iter().flat_map(Blueprint::services).filter(|s| to.service(&s.name).is_none());
    view.steps.extend(removed.map(|s| step("remove", s.name.as_str(), "it is no longer in the files")));
    let (same, others): (Vec<_>, Vec<_>) =
        sight.observed.all().filter(|i| i.compose.is_some()).partition(|i| to.made(i, &sight.observed));
    if !same.is_empty() {
        let count = same.len();
        view.notes.push(format!("{count} containers that Docker Compose made are taken over as they are"));
    }
    let others = others.iter().filter(|i| to.service(&i.id.service).is_some()).count();
    if others > 0 {
        view.notes.push(format!("{others} containers that Docker Compose made are replaced"));
    }
    view
}

fn about(from: Option<&Blueprint>, to: &Blueprint, service: &Service, sight: &Sight) -> Option<PlannedStep> {
    let name = service.name.as_str();
    let hash = to.hash(&service.name);
    let mine = || sight.observed.all().filter(|i| i.id.service == service.name);
    let matching = mine().filter(|i| to.made(i, &sight.observed)).count();
    let wanted = service.replicas as usize;
    let Some(old) = from.and_then(|from| from.service(&service.name)) else {
        if wanted > 0 && matching >= wanted {
            return None;
        }
        let copies = if wanted == 1 { "one instance".to_owned() } else { format!("{wanted} instances") };
        return Some(step("create", name, &format!("{copies}: it is new")));
    };
    if from.and_then(|from| from.hash(&service.name)) == hash {
        let routes = old.routes != service.routes;
        return match matching.cmp(&wanted) {
            std::cmp::Ordering::Equal if routes => Some(step("route", name, "its routes change")),
            std::cmp::Ordering::Equal => None,
            _ => Some(step("scale", name, &format!("from {matching} to {wanted}"))),
        };
    }
    let image =
        from.and_then(|f| f.release.images.get(&service.name)) != to.release.images.get(&service.name);
    let what = match (image, differences(old, service)) {
        (true, keys) if keys.is_empty() => "new image".to_owned(),
        (true, keys) => format!("new image, {} changed", keys.join(", ")),
        (false, keys) if keys.is_empty() => "its networks, secrets or configs changed".to_owned(),
        (false, keys) => format!("{} changed", keys.join(", ")),
    };
    Some(match strategy(&to.release.stack, service, sight.observed.free_memory) {
        Strategy::StartFirst => step("replace", name, &format!("{what}; the new is proven beside the old")),
        Strategy::HoldAndSwap(why) => step("swap", name, &format!("{what}; requests wait meanwhile: {why}")),
    })
}

/// What becomes of services that are nothing but files.
fn about_sites(from: Option<&Blueprint>, to: &Blueprint) -> Vec<PlannedStep> {
    let before = from.map(|from| sites::of_stack(&from.release.stack)).unwrap_or_default();
    let after = sites::of_stack(&to.release.stack);
    let about = |(name, files): (&ServiceName, &Files)| match before.get(name) {
        None => Some(step("serve", name.as_str(), "its files are new")),
        Some(old) if old.snapshot != files.snapshot => {
            Some(step("serve", name.as_str(), "its files changed"))
        }
        Some(old) => (old != files).then(|| step("serve", name.as_str(), "how they are served changes")),
    };
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    let removed = removed.map(|name| step("remove", name.as_str(), "it is no longer in the files"));
    after.iter().filter_map(about).chain(removed).collect()
}

/// Keys whose values differ. Names only: values may be secret.
fn differences(old: &Service, new: &Service) -> Vec<String> {
    let fields = |s: &Service| match serde_json::to_value(s) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().collect::<BTreeMap<_, _>>(),
        _ => BTreeMap::new(),
    };
    let (old, new) = (fields(old), fields(new));
    // What changes no instance; and the hash of all the rest, which says nothing new.
    let silent = ["replicas", "depends_on", "routes", "release_job", "build", "profiles", "config_hash"];
    let changed =
        new.iter().filter(|(key, value)| old.get(*key) != Some(*value) && !silent.contains(&key.as_str()));
    changed.map(|(key, _)| format!("`{key}`")).collect()
}

fn step(verb: &str, subject: &str, why: &str) -> PlannedStep {
    PlannedStep { verb: verb.into(), subject: subject.into(), why: why.into() }
}
