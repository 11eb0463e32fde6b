//! What a stack has from programs outside it (Compose Specification, "Provider services" and "Models"): they are asked when a
//! release is made, and what they give is part of it.
//!
//! As with Docker Compose, providers are plug-ins that make something and give its variables to those who depend on it, and
//! models are the business of Docker Model Runner's plug-in.

use crate::{Agent, Error};
use mainstay_api::Progress;
use mainstay_host::docker::Docker;
use mainstay_model::{Model, ModelUse, Secret, ServiceName, Stack};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc::UnboundedSender;

/// Has every provider of `stack` make what it is for, and gives its variables, and those of models, to the services.
pub(crate) async fn provide(
    agent: &Agent,
    stack: &mut Stack,
    progress: &UnboundedSender<Progress>,
) -> Result<(), Error> {
    if stack.providers.is_empty() && stack.models.is_empty() {
        return Ok(());
    }
    let docker = agent.runtimes.docker().await?;
    for name in in_order(stack) {
        let Some(provider) = stack.providers.get(&name).cloned() else { continue };
        let tell = |line: String| drop(progress.send(Progress::Job { service: name.clone(), line }));
        let plugin = docker.provider(&provider.kind)?;
        let given = plugin.run("up", stack.name.as_str(), name.as_str(), &provider.options, tell).await?;
        let prefix = name.as_str().to_uppercase();
        for dependant in &provider.dependants {
            let Some(service) = stack.services.get_mut(dependant) else { continue };
            let prefixed =
                given.prefixed.iter().map(|(key, value)| (format!("{prefix}_{key}"), value.clone()));
            let all = prefixed.chain(given.raw.clone());
            service.environment.extend(all.map(|(key, value)| (key, Secret::new(value))));
        }
    }
    models(&docker, stack).await
}

/// Has every provider of `stack` take away what it made.
pub(crate) async fn withdraw(
    agent: &Agent,
    stack: &Stack,
    progress: &UnboundedSender<Progress>,
) -> Result<(), Error> {
    if stack.providers.is_empty() {
        return Ok(());
    }
    let docker = agent.runtimes.docker().await?;
    for name in in_order(stack).into_iter().rev() {
        let Some(provider) = stack.providers.get(&name) else { continue };
        let tell = |line: String| drop(progress.send(Progress::Job { service: name.clone(), line }));
        let plugin = docker.provider(&provider.kind)?;
        plugin.run("down", stack.name.as_str(), name.as_str(), &provider.options, tell).await?;
    }
    Ok(())
}

/// Providers, those before that others depend on.
fn in_order(stack: &Stack) -> Vec<ServiceName> {
    let (mut ordered, mut left) = (Vec::new(), stack.providers.keys().cloned().collect::<BTreeSet<_>>());
    while !left.is_empty() {
        let needs =
            |name: &ServiceName| stack.providers.get(name).into_iter().flat_map(|p| p.depends_on.keys());
        let free: Vec<_> =
            left.iter().filter(|name| !needs(name).any(|n| left.contains(n))).cloned().collect();
        // Circles were refused when the file was read.
        let next = if free.is_empty() { left.iter().cloned().collect() } else { free };
        left.retain(|name| !next.contains(name));
        ordered.extend(next);
    }
    ordered
}

/// Gets every model that a service uses, and gives name and address to those who do.
async fn models(docker: &Docker, stack: &mut Stack) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        tags: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Status {
        endpoint: String,
    }
    if stack.models.is_empty() {
        return Ok(());
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let read = |what: &str, e: serde_json::Error| Error::Request(format!("{what} of docker-model: {e}"));
    let listed = docker.ask_plugin("model", &words(&["ls", "--json"])).await?;
    let listed: Vec<Listed> = serde_json::from_slice(&listed).map_err(|e| read("the list", e))?;
    for model in stack.models.values() {
        if !listed.iter().any(|one| one.tags.contains(&model.model)) {
            docker.ask_plugin("model", &words(&["pull", &model.model])).await?;
        }
        docker.ask_plugin("model", &configuration(model)).await?;
    }
    let status = docker.ask_plugin("model", &words(&["status", "--json"])).await?;
    let Status { endpoint } = serde_json::from_slice(&status).map_err(|e| read("the status", e))?;
    let models = &stack.models;
    for service in stack.services.values_mut() {
        let variables = of_models(models, &service.more.models, &endpoint);
        service.environment.extend(variables);
    }
    Ok(())
}

fn configuration(model: &Model) -> Vec<String> {
    let mut words = vec!["configure".to_owned()];
    if model.context_size > 0 {
        words.extend(["--context-size".to_owned(), model.context_size.to_string()]);
    }
    words.push(model.model.clone());
    if !model.runtime_flags.is_empty() {
        words.push("--".to_owned());
        words.extend(model.runtime_flags.iter().cloned());
    }
    words
}

fn of_models(
    models: &BTreeMap<String, Model>,
    uses: &BTreeMap<String, ModelUse>,
    endpoint: &str,
) -> BTreeMap<String, Secret> {
    let mut variables = BTreeMap::new();
    for (key, used) in uses {
        let Some(model) = models.get(key) else { continue };
        let prefix = key.to_uppercase().replace('-', "_");
        let named =
            |given: &Option<String>, end: &str| given.clone().unwrap_or_else(|| format!("{prefix}_{end}"));
        variables.insert(named(&used.model_var, "MODEL"), Secret::new(model.model.clone()));
        variables.insert(named(&used.endpoint_var, "URL"), Secret::new(endpoint));
    }
    variables
}
