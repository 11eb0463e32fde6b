//! Stacks: what they are, and what is asked of them.

use super::answer::{Asked, begun, lines};
use crate::stack::StackHandle;
use crate::waiters::{Until, Waiter};
use crate::{Agent, Error, clock, deploy as deploys, preview, view};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mainstay_api::{
    AgentInfo, DeployRequest, DownRequest, EngineView, EventQuery, PlanView, ReleaseView, RollbackRequest,
    ServicesRequest, StackSummary, StackView,
};
use mainstay_model::{Failure, ServiceName, StackName, Timestamp, Transition};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

type Shared = State<Arc<Agent>>;

pub(super) fn known(agent: &Agent, name: StackName) -> Result<StackHandle, Error> {
    agent.known(&name).ok_or(Error::NoStack(name))
}

pub(super) async fn info(State(agent): Shared) -> Json<AgentInfo> {
    let engine = agent.runtimes.connected().await.map(|docker| {
        let engine = docker.engine();
        EngineView { version: engine.version.clone(), api: engine.api.to_string(), unreachable: None }
    });
    Json(AgentInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        state_dir: agent.config.state_dir.display().to_string(),
        engine,
        edge_pid: agent.edge.pid().await,
        http: Some(agent.http.to_string()),
    })
}

#[derive(serde::Deserialize)]
pub(super) struct Shutdown {
    /// End the edge too.
    #[serde(default)]
    edge: bool,
}

pub(super) async fn shutdown(State(agent): Shared, Query(Shutdown { edge }): Query<Shutdown>) -> Json<bool> {
    if edge {
        agent.edge.end().await;
    }
    let token = agent.shutdown.clone();
    // The answer first.
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        token.cancel();
    });
    Json(true)
}

pub(super) async fn list(State(agent): Shared) -> Result<Json<Vec<StackSummary>>, Error> {
    let mut summaries = Vec::new();
    for stack in agent.all() {
        summaries.push(view::summary(&agent, &stack).await?);
    }
    Ok(Json(summaries))
}

pub(super) async fn show(
    State(agent): Shared,
    Path(name): Path<StackName>,
) -> Result<Json<StackView>, Error> {
    let stack = known(&agent, name)?;
    Ok(Json(view::stack(&agent, &stack).await?))
}

pub(super) async fn plan(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<DeployRequest>,
) -> Result<Json<PlanView>, Error> {
    let stack = agent.stack(&name).await?;
    Ok(Json(preview::plan(&agent, &stack, request).await?))
}

pub(super) async fn deploy(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<DeployRequest>,
) -> Result<Response, Error> {
    let stack = agent.stack(&name).await?;
    Ok(begun(|progress| deploys::deploy(agent, stack, request, progress)))
}

pub(super) async fn create(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<DeployRequest>,
) -> Result<Response, Error> {
    let stack = agent.stack(&name).await?;
    Ok(begun(|progress| deploys::create(agent, stack, request, progress)))
}

pub(super) async fn rollback(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<RollbackRequest>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    Ok(begun(|progress| deploys::rollback(agent, stack, request, progress)))
}

/// Gives up the deploy under way; one that has switched is past that.
pub(super) async fn cancel(State(agent): Shared, Path(name): Path<StackName>) -> Result<Json<bool>, Error> {
    let stack = known(&agent, name)?;
    let failure = Failure { service: None, instance: None, why: "interrupted".into(), log: Vec::new() };
    stack.record(Transition::Fail { failure }, None).await?;
    Ok(Json(true))
}

pub(super) async fn down(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<DownRequest>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    if let Some(docker) = agent.runtimes.connected().await {
        docker.remove_one_offs(&stack.name).await?;
    }
    Ok(begun(|progress| deploys::down(agent, stack, request, progress)))
}

pub(super) async fn eject(State(agent): Shared, Path(name): Path<StackName>) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    Ok(begun(|progress| deploys::eject(agent, stack, progress)))
}

/// The services meant: those named, or all of the stack.
async fn meant(
    agent: &Agent,
    stack: &StackHandle,
    request: ServicesRequest,
) -> Result<BTreeSet<ServiceName>, Error> {
    let Some(current) = deploys::current(agent, stack).await? else {
        return Err(Error::NoStack(stack.name.clone()));
    };
    let all: BTreeSet<_> = current.stack.services.keys().cloned().collect();
    match request.services.iter().find(|s| !all.contains(*s)) {
        Some(unknown) => Err(Error::NoService { stack: stack.name.clone(), service: unknown.clone() }),
        None if request.services.is_empty() => Ok(all),
        None => Ok(request.services.into_iter().collect()),
    }
}

async fn ask(stack: &StackHandle, transition: Transition, until: Until) -> Result<Response, Error> {
    let (progress, told) = mpsc::unbounded_channel();
    stack.record(transition, Some(Waiter { until, progress })).await?;
    Ok(lines(told))
}

pub(super) async fn stop(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    stack.grace(request.timeout);
    let services = meant(&agent, &stack, request).await?;
    ask(&stack, Transition::Stop { services: services.clone() }, Until::Stopped(services)).await
}

pub(super) async fn start(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    let services = meant(&agent, &stack, request).await?;
    ask(&stack, Transition::Start { services: services.clone(), at: clock::now() }, Until::Started(services))
        .await
}

/// Running instances are replaced, each by one that is proven first where two may run; stopped ones are started.
pub(super) async fn restart(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    stack.grace(request.timeout);
    let services = meant(&agent, &stack, request).await?;
    let at = clock::now();
    let running: BTreeSet<_> = {
        let sight = stack.sight.borrow();
        sight
            .observed
            .all()
            .filter(|i| services.contains(&i.id.service) && i.is_running())
            .map(|i| i.id.clone())
            .collect()
    };
    let ended: BTreeSet<_> =
        services.iter().filter(|s| !running.iter().any(|i| i.service == **s)).cloned().collect();
    if !ended.is_empty() {
        stack.record(Transition::Start { services: ended, at }, None).await?;
    }
    ask(&stack, Transition::Replace { instances: running, at }, Until::Started(services)).await
}

pub(super) async fn releases(
    State(agent): Shared,
    Path(name): Path<StackName>,
) -> Result<Json<Vec<ReleaseView>>, Error> {
    let stack = known(&agent, name)?;
    Ok(Json(view::releases(&agent, &stack).await?))
}

/// Events told at most before those that follow.
const EVENTS: usize = 1000;

pub(super) async fn events(
    State(agent): Shared,
    Path(name): Path<StackName>,
    Query(query): Query<EventQuery>,
) -> Result<Response, Error> {
    let stack = known(&agent, name)?;
    let mut live = stack.events.subscribe();
    let kept = agent.journal.events(&stack.name, query.since, EVENTS).await?;
    let (tell, told) = mpsc::unbounded_channel();
    let early = move |at: Timestamp| query.until.is_none_or(|until| at < until);
    tokio::spawn(async move {
        for event in kept.into_iter().filter(|event| early(event.at)) {
            if tell.send(event).is_err() {
                return;
            }
        }
        let left = query.until.map(|until| Duration::from_millis(until.0.saturating_sub(clock::now().0)));
        if !query.follow {
            return;
        }
        let mut end = std::pin::pin!(async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        });
        loop {
            let heard = tokio::select! {
                heard = live.recv() => heard,
                () = &mut end => return,
                () = tell.closed() => return,
            };
            match heard {
                Ok(event) => {
                    if !early(event.at) || tell.send(event).is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    });
    Ok(lines(told))
}
