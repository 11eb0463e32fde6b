//! Carrying out one step. Nothing is decided here.

use crate::runtimes::Known;
use crate::{Agent, Error, hook};
use mainstay_host::docker::Job;
use mainstay_model::{ReleaseNumber, RuntimeKind, Service, Stack, Step};
use mainstay_plan::Blueprint;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Everything a step needs besides itself.
#[derive(Clone)]
pub(crate) struct Order {
    pub step: Step,
    /// The release whose definitions count.
    pub blueprint: Arc<Blueprint>,
    /// The instance it is about, where it exists.
    pub known: Option<Known>,
}

/// How a step ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Landed {
    /// Done.
    Done,
    /// An instance was started, and its hooks have run.
    Started,
    /// A release job ended with this status.
    Job { code: i32, oom: bool, log: Vec<String> },
}

/// Carries out `order`; `tell` hears every line of a release job or hook. Hooks of a start are left when it is `abandoned`.
pub(crate) async fn carry_out(
    agent: &Agent,
    order: &Order,
    abandoned: CancellationToken,
    tell: impl FnMut(String) + Send,
) -> Result<Landed, Error> {
    let (runtimes, stack) = (&agent.runtimes, &order.blueprint.release.stack);
    match &order.step {
        Step::Record { .. } | Step::Route { .. } => {}
        Step::CreateNetwork { key, .. } => runtimes.create_network(stack, key).await?,
        Step::CreateVolume { key, .. } => runtimes.create_volume(stack, key).await?,
        Step::RemoveNetwork { key } => {
            if let Some(network) = stack.networks.get(key).filter(|n| !n.external) {
                runtimes.docker().await?.remove_network(&network.name).await?;
            }
        }
        Step::RemoveVolume { key } => {
            if let Some(volume) = stack.volumes.get(key).filter(|v| !v.external) {
                runtimes.docker().await?.remove_volume(&volume.name).await?;
            }
        }
        Step::Create { instance, name, number, .. } => {
            runtimes.create(&order.blueprint, instance, name, *number).await?
        }
        Step::RunJob { .. } => return run_job(agent, order, tell).await,
        Step::Start { .. } | Step::Stop { .. } | Step::Remove { .. } | Step::Rename { .. } => {
            return about_instance(agent, order, &abandoned, tell).await;
        }
    }
    Ok(Landed::Done)
}

/// A step about an instance that is gone has nothing left to do.
async fn about_instance(
    agent: &Agent,
    order: &Order,
    abandoned: &CancellationToken,
    tell: impl FnMut(String) + Send,
) -> Result<Landed, Error> {
    let Some(known) = &order.known else { return Ok(Landed::Done) };
    match &order.step {
        Step::Start { prepare, .. } => {
            hook::start(agent, order, known, *prepare, abandoned, tell).await?;
            return Ok(Landed::Started);
        }
        Step::Stop { grace_ms, .. } => {
            hook::stop(agent, order, known, Duration::from_millis(*grace_ms), tell).await?;
        }
        Step::Remove { .. } => agent.runtimes.remove(known).await?,
        Step::Rename { name, .. } => agent.runtimes.rename(known, name).await?,
        _ => {}
    }
    Ok(Landed::Done)
}

async fn run_job(agent: &Agent, order: &Order, mut tell: impl FnMut(String) + Send) -> Result<Landed, Error> {
    let Step::RunJob { service: name, release } = &order.step else { return Ok(Landed::Done) };
    let stack = &order.blueprint.release.stack;
    let Some(service) = order.blueprint.service(name) else { return Ok(Landed::Done) };
    let Some(argv) = &service.release_job else { return Ok(Landed::Done) };
    match service.runtime() {
        RuntimeKind::Docker => {
            let image = order.blueprint.release.images.get(name).map(String::as_str).unwrap_or_default();
            let job = Job { stack, service, purpose: "release", release: *release, image, argv };
            let end = agent.runtimes.docker().await?.run_job(&job, |line| tell(line.text)).await?;
            Ok(Landed::Job { code: end.code, oom: end.oom, log: end.last_lines })
        }
        RuntimeKind::Native => native_job(agent, stack, service, argv, *release, tell).await,
    }
}

/// Lines of a job's log that are kept for who has to tell of its failure.
const LAST_LINES: usize = 20;

async fn native_job(
    agent: &Agent,
    stack: &Stack,
    service: &Service,
    argv: &[String],
    release: ReleaseNumber,
    mut tell: impl FnMut(String) + Send,
) -> Result<Landed, Error> {
    let (lines, mut printed) = mpsc::channel(64);
    let job = agent.runtimes.native.run_job(&stack.name, service, release, argv.to_vec(), lines);
    let mut log = VecDeque::new();
    let listen = async {
        while let Some(line) = printed.recv().await {
            if log.len() == LAST_LINES {
                log.pop_front();
            }
            log.push_back(line.line.clone());
            tell(line.line);
        }
    };
    let (exit, ()) = tokio::join!(job, listen);
    let exit = exit?;
    Ok(Landed::Job { code: exit.code, oom: exit.oom, log: log.into() })
}
