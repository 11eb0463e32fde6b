//! `run`: a one-off copy of a service.

use super::exec::{Window, Wires, finish, relay, split, switching, variables};
use crate::{Agent, Error, deploy, images};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use mainstay_api::RunRequest;
use mainstay_api::frame::Frame;
use mainstay_host::docker::{self, Docker, OneOff};
use mainstay_model::{RuntimeKind, Service, ServiceName, Stack, StackName};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(super) async fn run(
    State(agent): State<Arc<Agent>>,
    Path((name, service)): Path<(StackName, ServiceName)>,
    request: Request,
) -> Result<Response, Error> {
    let stack = agent.stack(&name).await?;
    let (upgrade, request) = split::<RunRequest>(request).await?;
    let docker = agent.runtimes.docker().await?;
    let current = deploy::current(&agent, &stack).await?;
    let released = current.as_ref().filter(|release| stated(&release.stack, &service).is_some());
    let definition = match (released, &request.stack) {
        (Some(release), _) => &release.stack,
        (None, Some(stack)) => stack.as_ref(),
        (None, None) => return Err(Error::NoStack(name)),
    };
    let missing = || Error::NoService { stack: name.clone(), service: service.clone() };
    let mut alone = stated(definition, &service).cloned().ok_or_else(missing)?;
    if alone.runtime() == RuntimeKind::Native {
        let why = "`run` needs a container; for a native service use `exec`, or run its command yourself"
            .to_owned();
        return Err(Error::Service { service, why });
    }
    let pinned = released.and_then(|release| release.images.get(&service)).filter(|_| !request.fresh_image);
    let image = match pinned {
        Some(id) => id.clone(),
        None if definition.jobs.contains_key(&service) => images::of_job(&docker, definition, &alone).await?,
        None => docker.image_id(&images::reference(definition, &alone)).await?,
    };
    adapt(&mut alone, &request);
    let attached = begun(&docker, definition, &alone, &image, &request).await?;
    let wires = Wires::start(upgrade);
    if request.command.detach {
        tokio::spawn(in_the_background(docker, attached, request.remove, wires.output));
    } else {
        tokio::spawn(to_its_end(docker, attached, request.remove, wires));
    }
    Ok(switching())
}

/// The service or job of that name.
fn stated<'s>(stack: &'s Stack, name: &ServiceName) -> Option<&'s Service> {
    stack.services.get(name).or_else(|| stack.jobs.get(name))
}

/// Makes the container and attaches to it.
async fn begun(
    docker: &Docker,
    stack: &Stack,
    service: &Service,
    image: &str,
    request: &RunRequest,
) -> Result<docker::Attached, Error> {
    let made_up = || format!("{}-{}-run-{:x}", stack.name, service.name, crate::clock::now().0);
    let name = request.name.clone().unwrap_or_else(made_up);
    let one_off = OneOff { stack, service, name: &name, image, aliases: request.use_aliases };
    Ok(docker.attach_one_off(&one_off).await?)
}

async fn to_its_end(docker: Docker, attached: docker::Attached, remove: bool, mut wires: Wires) {
    let docker::Attached { container, input, output } = attached;
    let run = async {
        docker.start(&container).await?;
        let window = Window::Container(&container);
        relay(&docker, window, (input, output), &mut wires.input, &wires.output).await?;
        Ok::<i32, Error>(docker.wait(&container).await?)
    };
    let mut ended = run.await;
    if remove || ended.is_err() {
        let removed = docker.remove(&container).await;
        ended = ended.and_then(|code| removed.map(|()| code).map_err(Error::from));
    }
    finish(&wires.output, ended).await;
}

/// Tells the container's id once it runs, and removes it when it has ended, where that is wished.
async fn in_the_background(
    docker: Docker,
    attached: docker::Attached,
    remove: bool,
    output: mpsc::Sender<Frame>,
) {
    let container = attached.container;
    let started = docker.start(&container).await;
    let failed = started.is_err();
    if !failed {
        // Whoever asked may have gone.
        let _ = output.send(Frame::Stdout(Bytes::from(format!("{container}\n")))).await;
    }
    finish(&output, started.map(|()| 0).map_err(Error::from)).await;
    drop(output);
    let ended = async { if failed { Ok(0) } else { docker.wait(&container).await } };
    if (remove || failed)
        && let Err(error) = async { ended.await.map(drop).and(docker.remove(&container).await) }.await
    {
        tracing::warn!(%error, container, "a one-off copy could not be removed");
    }
}

/// The service as `run` wants it.
fn adapt(service: &mut Service, request: &RunRequest) {
    let command = &request.command;
    if !command.argv.is_empty() {
        service.command = Some(command.argv.clone());
    }
    if let Some(program) = &request.entrypoint {
        service.entrypoint = Some(vec![program.clone()]);
        // As with Docker, another entrypoint does away with the command that belonged to the old one.
        service.command = Some(command.argv.clone());
    }
    service.environment.extend(variables(command));
    service.user = command.user.clone().or(service.user.take());
    service.working_dir = command.workdir.clone().or(service.working_dir.take());
    service.tty = command.tty.is_some();
    service.stdin_open = command.stdin;
    if !request.service_ports {
        service.ports.clear();
    }
    service.ports.extend(request.ports.iter().cloned());
    service.mounts.retain(|mount| request.mounts.iter().all(|over| over.target != mount.target));
    service.mounts.extend(request.mounts.iter().cloned());
    service.labels.extend(request.labels.clone());
    service.cap_add.extend(request.cap_add.iter().cloned());
    service.cap_drop.extend(request.cap_drop.iter().cloned());
}
