//! Starts and stops with their hooks (Compose Specification, "Lifecycle hooks").
//!
//! When a start is due, and that its hooks belong to it, is the planner's. Who is interrupted does the whole start once
//! more: commands of `post_start:` may then run twice, containers of `pre_start:` that ended well do not.

use crate::carry::Order;
use crate::runtimes::Known;
use crate::{Agent, Error};
use mainstay_host::docker::{DockerError, PreStart};
use mainstay_model::{Hook, Service};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The Specification sets no bound, and one that hangs must not hold a deploy or a stop for ever: as long as a deploy may
/// take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The definition that `known` was made from; none where no hooks are to be run.
fn definition<'o>(order: &'o Order, known: &Known) -> Option<&'o Service> {
    order.blueprint.service(&known.id.service)
}

/// Containers before, the start itself, commands after.
pub(crate) async fn start(
    agent: &Agent,
    order: &Order,
    known: &Known,
    prepare: bool,
    abandoned: &CancellationToken,
    tell: impl FnMut(String) + Send,
) -> Result<(), Error> {
    let given_up = || failed(known, "the hooks".to_owned(), "were given up".to_owned(), Vec::new());
    tokio::select! {
        done = whole_start(agent, order, known, prepare, tell) => done,
        // What runs in the container goes with it.
        () = abandoned.cancelled() => Err(given_up()),
    }
}

async fn whole_start(
    agent: &Agent,
    order: &Order,
    known: &Known,
    prepare: bool,
    mut tell: impl FnMut(String) + Send,
) -> Result<(), Error> {
    let Some(service) = definition(order, known) else { return agent.runtimes.start(known).await };
    if prepare {
        run_before(agent, order, known, service, &mut tell).await?;
    }
    agent.runtimes.start(known).await?;
    if !service.more.pre_start.is_empty() {
        let docker = agent.runtimes.docker().await?;
        docker.remove_pre_start(&known.stack, &service.name).await?;
    }
    for (index, hook) in service.more.post_start.iter().enumerate() {
        run_inside(agent, known, hook, &format!("post_start[{index}]"), &mut tell).await?;
    }
    Ok(())
}

async fn run_before(
    agent: &Agent,
    order: &Order,
    known: &Known,
    service: &Service,
    mut tell: impl FnMut(String) + Send,
) -> Result<(), Error> {
    let (docker, release) = (agent.runtimes.docker().await?, &order.blueprint.release);
    let own = release.images.get(&service.name).map(String::as_str).unwrap_or_default();
    for (index, hook) in service.more.pre_start.iter().enumerate() {
        let other = match &hook.image {
            Some(image) if hook.image != service.image => Some(docker.image_id(image).await?),
            _ => None,
        };
        let image = other.as_deref().unwrap_or(own);
        let wanted = PreStart { stack: &release.stack, hook, index, image, before: &known.handle };
        let end = docker.run_pre_start(&wanted, |line| tell(line.text)).await?;
        if end.code != 0 {
            let why = if end.oom {
                "was killed for lack of memory".to_owned()
            } else {
                format!("ended with status {}", end.code)
            };
            return Err(failed(known, format!("pre_start[{index}]"), why, end.last_lines));
        }
    }
    Ok(())
}

/// Commands before, then the stop itself. A command that fails is told of, and keeps nothing running: what leaves has been
/// replaced, or nobody wants it.
pub(crate) async fn stop(
    agent: &Agent,
    order: &Order,
    known: &Known,
    grace: Duration,
    mut tell: impl FnMut(String) + Send,
) -> Result<(), Error> {
    let hooks = definition(order, known).map(|service| service.more.pre_stop.as_slice()).unwrap_or_default();
    for (index, hook) in hooks.iter().enumerate() {
        match run_inside(agent, known, hook, &format!("pre_stop[{index}]"), &mut tell).await {
            Ok(()) => {}
            // It has ended already.
            Err(Error::Docker(DockerError::Conflict { .. } | DockerError::NotFound { .. })) => break,
            Err(error @ Error::Hook { .. }) => {
                tracing::warn!(instance = %known.id, error = error.whole(), "it is stopped all the same");
                tell(format!("{}; it is stopped all the same", error.whole()));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    agent.runtimes.stop(known, grace).await
}

async fn run_inside(
    agent: &Agent,
    known: &Known,
    hook: &Hook,
    which: &str,
    tell: impl FnMut(String) + Send,
) -> Result<(), Error> {
    let docker = agent.runtimes.docker().await?;
    let end = docker.run_hook(&known.handle, hook, PATIENCE, tell).await?;
    let why = match end.code {
        Some(0) => return Ok(()),
        Some(code) => format!("ended with status {code}"),
        None => format!("did not end within {} minutes", PATIENCE.as_secs() / 60),
    };
    Err(failed(known, which.to_owned(), why, end.last_lines))
}

fn failed(known: &Known, hook: String, why: String, log: Vec<String>) -> Error {
    Error::Hook { service: known.id.service.clone(), hook, why, log }
}
