//! What Compose does to single containers, here to the instances of a service: signals, freezing, processes, ports,
//! removal, waiting.
//!
//! None of it changes what is wanted: the planner sees what came of it and goes on by its own rules.

use super::answer::{Asked, lines};
use super::stacks::known;
use crate::runtimes::Known;
use crate::stack::StackHandle;
use crate::{Agent, Error};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mainstay_api::{
    CommitRequest, ExitView, InstanceQuery, PortQuery, ProcessesView, ServicesRequest, SignalRequest,
    VolumeView,
};
use mainstay_host::docker::{Commit, Docker};
use mainstay_model::table::ListenerKind;
use mainstay_model::{Instance, InstanceState, RuntimeKind, ServiceName, StackName};
use std::sync::Arc;
use tokio::sync::mpsc;

type Shared = State<Arc<Agent>>;
type OfStack = Path<StackName>;
type OfService = Path<(StackName, ServiceName)>;

/// All instances, in the order of their names. As they are now: what the stack's own task saw last may be older than what
/// was done a moment ago, by us or by others.
async fn look(agent: &Agent, stack: &StackHandle) -> Result<Vec<Instance>, Error> {
    let runtimes: Vec<_> = stack.sight.borrow().observed.instances.keys().copied().collect();
    let mut all = Vec::new();
    for runtime in runtimes {
        all.append(&mut match runtime {
            RuntimeKind::Docker => agent.runtimes.docker().await?.observe(&stack.name).await?,
            RuntimeKind::Native => agent.runtimes.native.observe(&stack.name).await?,
        });
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(all)
}

/// Those of the services named, or all.
pub(super) async fn instances(
    agent: &Agent,
    stack: &StackHandle,
    services: &[ServiceName],
) -> Result<Vec<Instance>, Error> {
    let mut all = look(agent, stack).await?;
    let unknown = services.iter().find(|name| !all.iter().any(|i| i.id.service == **name));
    if let Some(name) = unknown {
        return Err(Error::NoInstance(name.clone()));
    }
    all.retain(|instance| services.is_empty() || services.contains(&instance.id.service));
    Ok(all)
}

/// The `index`-th instance of `service`, counted from 1; with `running`, of those that run.
pub(super) fn chosen(
    stack: &StackHandle,
    service: &ServiceName,
    index: Option<u32>,
    running: bool,
) -> Result<Instance, Error> {
    let nth = index.unwrap_or(1).saturating_sub(1) as usize;
    let sight = stack.sight.borrow();
    let mut all = sight.observed.all().filter(|i| i.id.service == *service && (i.is_running() || !running));
    let none = || match running {
        true => Error::NotRunning(service.clone()),
        false => Error::NoInstance(service.clone()),
    };
    all.nth(nth).cloned().ok_or_else(none)
}

/// All instances of `service`, running or not.
pub(super) fn every(stack: &StackHandle, service: &ServiceName) -> Result<Vec<Instance>, Error> {
    let sight = stack.sight.borrow();
    let all: Vec<_> = sight.observed.all().filter(|i| i.id.service == *service).cloned().collect();
    if all.is_empty() { Err(Error::NoInstance(service.clone())) } else { Ok(all) }
}

/// Its container; what is no container cannot have `what` done to it.
pub(super) fn container<'i>(instance: &'i Instance, what: &str) -> Result<&'i str, Error> {
    match instance.runtime {
        RuntimeKind::Docker => Ok(&instance.handle),
        RuntimeKind::Native => {
            let why = format!("`{what}` needs a container, and it runs as a process of this host");
            Err(Error::Service { service: instance.id.service.clone(), why })
        }
    }
}

/// Sends a signal to every running instance. One that ends by it is started again where the restart policy says so,
/// except by Docker, which takes a deadly signal for the wish that it stay down.
pub(super) async fn kill(
    State(agent): Shared,
    Path(name): OfStack,
    Asked(request): Asked<SignalRequest>,
) -> Result<Json<Vec<String>>, Error> {
    let stack = known(&agent, name)?;
    let mut told = Vec::new();
    for instance in instances(&agent, &stack, &request.services).await?.iter().filter(|i| i.is_running()) {
        match instance.runtime {
            RuntimeKind::Docker => {
                agent.runtimes.docker().await?.kill(&instance.handle, Some(&request.signal)).await?;
            }
            RuntimeKind::Native => {
                agent.runtimes.native.kill(&stack.name, &instance.id, &request.signal).await?;
            }
        }
        told.push(instance.name.clone());
    }
    Ok(Json(told))
}

pub(super) async fn pause(
    State(agent): Shared,
    Path(name): OfStack,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Json<Vec<String>>, Error> {
    freeze(&agent, name, &request.services, true).await
}

pub(super) async fn unpause(
    State(agent): Shared,
    Path(name): OfStack,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Json<Vec<String>>, Error> {
    freeze(&agent, name, &request.services, false).await
}

async fn freeze(
    agent: &Agent,
    name: StackName,
    services: &[ServiceName],
    on: bool,
) -> Result<Json<Vec<String>>, Error> {
    let stack = known(agent, name)?;
    let subject = |i: &&Instance| if on { i.is_running() } else { i.state == InstanceState::Paused };
    let mut done = Vec::new();
    for instance in instances(agent, &stack, services).await?.iter().filter(subject) {
        let container = container(instance, if on { "pause" } else { "unpause" })?;
        let docker = agent.runtimes.docker().await?;
        if on {
            docker.pause(container).await?
        } else {
            docker.unpause(container).await?
        }
        done.push(instance.name.clone());
    }
    Ok(Json(done))
}

/// Removes instances that have ended.
pub(super) async fn remove(
    State(agent): Shared,
    Path(name): OfStack,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Json<Vec<String>>, Error> {
    let stack = known(&agent, name)?;
    let ended = |i: &&Instance| {
        matches!(i.state, InstanceState::Exited { .. } | InstanceState::Created | InstanceState::Dead)
    };
    let mut removed = Vec::new();
    for instance in instances(&agent, &stack, &request.services).await?.iter().filter(ended) {
        let (id, runtime, handle) = (instance.id.clone(), instance.runtime, instance.handle.clone());
        agent.runtimes.remove(&Known { stack: stack.name.clone(), id, runtime, handle }).await?;
        removed.push(instance.name.clone());
    }
    Ok(Json(removed))
}

pub(super) async fn top(
    State(agent): Shared,
    Path(name): OfStack,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Json<Vec<ProcessesView>>, Error> {
    let stack = known(&agent, name)?;
    let mut views = Vec::new();
    for instance in instances(&agent, &stack, &request.services).await?.iter().filter(|i| i.is_running()) {
        let processes = agent.runtimes.docker().await?.top(container(instance, "top")?).await?;
        views.push(ProcessesView {
            service: instance.id.service.clone(),
            name: instance.name.clone(),
            titles: processes.titles,
            processes: processes.processes,
        });
    }
    Ok(Json(views))
}

/// Where a port of an instance is published: by the edge, or by the Engine.
pub(super) async fn port(
    State(agent): Shared,
    Path((name, service)): OfService,
    Query(query): Query<PortQuery>,
) -> Result<Json<Vec<String>>, Error> {
    let stack = known(&agent, name)?;
    let instance = chosen(&stack, &service, query.index, true)?;
    let held: Vec<String> = {
        let sight = stack.sight.borrow();
        let key = mainstay_plan::upstream_key(&stack.name, &service, query.port);
        let listeners = sight.observed.table.iter().flat_map(|t| &t.listeners);
        listeners
            .filter(|l| matches!(&l.kind, ListenerKind::Tcp { upstream } if *upstream == key))
            .map(|l| l.address.to_string())
            .collect()
    };
    if query.protocol == "tcp" && !held.is_empty() {
        return Ok(Json(held));
    }
    let inside = format!("{}/{}", query.port, query.protocol);
    let docker = agent.runtimes.docker().await?;
    Ok(Json(docker.published(container(&instance, "port")?, &inside).await?))
}

pub(super) async fn volume_list(
    State(agent): Shared,
    Path(name): OfStack,
) -> Result<Json<Vec<VolumeView>>, Error> {
    let docker = agent.runtimes.docker().await?;
    let volumes = docker.volumes(&name).await?.into_iter().map(|volume| VolumeView {
        name: volume.name,
        driver: volume.driver,
        mountpoint: volume.mountpoint,
        key: volume
            .labels
            .and_then(|mut labels| labels.remove("com.docker.compose.volume"))
            .unwrap_or_default(),
    });
    Ok(Json(volumes.collect()))
}

/// Tells of every instance as it ends, until all have.
pub(super) async fn wait(
    State(agent): Shared,
    Path(name): OfStack,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    let mut left = instances(&agent, &stack, &request.services).await?;
    let (tell, told) = mpsc::unbounded_channel();
    let mut sight = stack.sight.clone();
    tokio::spawn(async move {
        loop {
            sight.mark_unchanged();
            // Who cannot be seen has not ended.
            let now = look(&agent, &stack).await;
            left.retain(|waited| {
                let Ok(now) = &now else { return true };
                let there = now.iter().find(|i| i.id == waited.id);
                let code = match there.map(|i| &i.state) {
                    Some(InstanceState::Exited { code, .. }) => *code,
                    Some(_) => return true,
                    // Removed before anybody saw how it ended.
                    None => 0,
                };
                let (service, name) = (waited.id.service.clone(), waited.name.clone());
                // Nobody listens: the end comes below.
                let _ = tell.send(ExitView { service, name, code });
                false
            });
            if left.is_empty() {
                return;
            }
            tokio::select! {
                changed = sight.changed() => if changed.is_err() { return },
                () = tell.closed() => return,
            }
        }
    });
    Ok(lines(told))
}

pub(super) async fn commit(
    State(agent): Shared,
    Path((name, service)): OfService,
    Asked(request): Asked<CommitRequest>,
) -> Result<Json<String>, Error> {
    let stack = known(&agent, name)?;
    let instance = chosen(&stack, &service, request.index, false)?;
    let CommitRequest { index: _, reference, author, message, changes, pause } = request;
    let commit = Commit { reference, author, message, changes, pause };
    Ok(Json(docker(&agent).await?.commit(container(&instance, "commit")?, &commit).await?))
}

/// All files of an instance, as a tar archive.
pub(super) async fn export(
    State(agent): Shared,
    Path((name, service)): OfService,
    Query(query): Query<InstanceQuery>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    let instance = chosen(&stack, &service, query.index, false)?;
    let archive = docker(&agent).await?.export(container(&instance, "export")?).await?;
    Ok(super::copy::tar(archive))
}

async fn docker(agent: &Agent) -> Result<Docker, Error> {
    agent.runtimes.docker().await
}
