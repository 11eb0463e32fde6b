//! From a request to a release under way: preflight, images, the release in the journal, and the word to begin.
//!
//! Nothing that serves is touched here; whatever fails, fails before anything has changed.

use crate::stack::StackHandle;
use crate::waiters::{self, Until, Waiter, done};
use crate::{Agent, Error, clock, crash, images, observe, outside, preflight, preview, sites};
use mainstay_api::{DeployRequest, DownRequest, Outcome, Progress, Recreate, RollbackRequest};
use mainstay_host::journal::ReleaseStatus;
use mainstay_model::{Instance, Release, ReleaseNumber, Service, ServiceName, Stack, Transition};
use mainstay_plan::{Blueprint, subset};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc::{self, UnboundedSender};

/// Carries out a deploy request to its end; the last thing told is `Done`. Goes on when nobody listens.
pub(crate) async fn deploy(
    agent: Arc<Agent>,
    stack: StackHandle,
    request: DeployRequest,
    progress: UnboundedSender<Progress>,
) {
    let begun = begin(&agent, &stack, request, &progress).await;
    tell_end(&stack, begun, &progress);
}

/// Goes back to an earlier release.
pub(crate) async fn rollback(
    agent: Arc<Agent>,
    stack: StackHandle,
    request: RollbackRequest,
    progress: UnboundedSender<Progress>,
) {
    let begun = begin_rollback(&agent, &stack, &request, &progress).await;
    tell_end(&stack, begun.map(|()| None), &progress);
}

/// Takes the stack down.
pub(crate) async fn down(
    agent: Arc<Agent>,
    stack: StackHandle,
    request: DownRequest,
    progress: UnboundedSender<Progress>,
) {
    let nothing = {
        let sight = stack.sight.borrow();
        sight.state.current.is_none() && sight.state.deploy.is_none() && sight.observed.all().next().is_none()
    };
    if nothing && !request.volumes {
        let outcome = done(None, "nothing was up".into());
        let _ = progress.send(Progress::Done { outcome });
        return;
    }
    stack.grace(request.timeout);
    let before = current(&agent, &stack).await.ok().flatten().map(|release| release.stack);
    let (told, mut heard) = mpsc::unbounded_channel();
    let waiter = Waiter { until: Until::Gone, progress: told };
    let transition = Transition::Down { volumes: request.volumes, at: clock::now() };
    if let Err(error) = stack.record(transition, Some(waiter)).await {
        let _ = progress.send(Progress::Done { outcome: refused(&stack, &error) });
        return;
    }
    while let Some(line) = heard.recv().await {
        let Progress::Done { mut outcome } = line else {
            let _ = progress.send(line);
            continue;
        };
        // What others made for the services goes after them.
        if let (true, Some(before)) = (outcome.ok, &before)
            && let Err(error) = outside::withdraw(&agent, before, &progress).await
        {
            outcome = refused(&stack, &error);
        }
        let _ = progress.send(Progress::Done { outcome });
    }
}

/// Makes instances of services that have none, and starts nothing.
pub(crate) async fn create(
    agent: Arc<Agent>,
    stack: StackHandle,
    request: DeployRequest,
    progress: UnboundedSender<Progress>,
) {
    let begun = begin_create(&agent, &stack, request, &progress).await;
    tell_end(&stack, begun, &progress);
}

/// Gives the stack to Docker Compose. Refused before anything is touched where Compose could not run it.
pub(crate) async fn eject(agent: Arc<Agent>, stack: StackHandle, progress: UnboundedSender<Progress>) {
    let begun = begin_eject(&agent, &stack, &progress).await;
    tell_end(&stack, begun.map(|()| None), &progress);
}

/// Tells the end of what has ended already; the rest is told by whom the stack's task tells.
fn tell_end(
    stack: &StackHandle,
    begun: Result<Option<Outcome>, Error>,
    progress: &UnboundedSender<Progress>,
) {
    let outcome = match begun {
        Ok(None) => return,
        Ok(Some(outcome)) => outcome,
        Err(error) => refused(stack, &error),
    };
    // Whoever asked may have gone.
    let _ = progress.send(Progress::Done { outcome });
}

fn refused(stack: &StackHandle, error: &Error) -> Outcome {
    waiters::refused(stack.sight.borrow().state.current, error)
}

/// Waits for its turn; an error when another one is under way and the caller does not want to wait.
async fn turn(
    stack: &StackHandle,
    refuse: bool,
    progress: &UnboundedSender<Progress>,
) -> Result<tokio::sync::OwnedMutexGuard<()>, Error> {
    let under_way = || stack.sight.borrow().state.deploy.as_ref().map(|d| d.to);
    let guard = match Arc::clone(&stack.deploying).try_lock_owned() {
        Ok(guard) => guard,
        Err(_) if refuse => return Err(Error::Busy(under_way().unwrap_or(0))),
        Err(_) => {
            let _ = progress.send(Progress::Queued { behind: under_way().unwrap_or(0) });
            Arc::clone(&stack.deploying).lock_owned().await
        }
    };
    // One that an agent before this one began holds no lock.
    let mut sight = stack.sight.clone();
    if let Some(behind) = under_way() {
        if refuse {
            return Err(Error::Busy(behind));
        }
        let _ = progress.send(Progress::Queued { behind });
        sight.wait_for(|s| s.state.deploy.is_none()).await.map_err(|_| Error::Ending)?;
    }
    Ok(guard)
}

/// Waits until the host was looked at: an agent that has just come back must not take what it has not seen for gone.
async fn seen(stack: &StackHandle) -> Result<(), Error> {
    let mut sight = stack.sight.clone();
    sight.wait_for(|s| s.looked).await.map(drop).map_err(|_| Error::Ending)
}

/// `Some` when there is nothing to wait for.
async fn begin(
    agent: &Agent,
    stack: &StackHandle,
    mut request: DeployRequest,
    progress: &UnboundedSender<Progress>,
) -> Result<Option<Outcome>, Error> {
    let _turn = turn(stack, request.refuse_if_busy, progress).await?;
    seen(stack).await?;
    let current = current(agent, stack).await?;
    request.stack = wanted(current.as_ref(), &request)?;
    mark_as_new(&mut request)?;
    let sight = observe::before(agent, stack, &request.stack).await;
    preflight::check(agent, &request.stack, &sight.observed).await?;
    let ids = provide(agent, current.as_ref(), &mut request, progress).await?;
    if let Some(outcome) = unchanged(stack, current.as_ref(), &request.stack, &ids) {
        return Ok(Some(outcome));
    }
    crash::point("before a release is kept");
    let release = agent.journal.add_release(&request.stack, ids, clock::now()).await?;
    crash::point("after a release is kept");
    let view =
        preview::of_release(current.map(Blueprint::new).as_ref(), &Blueprint::new(release.clone()), &sight);
    let _ = progress.send(Progress::Plan { plan: view });
    start(stack, release.number, progress).await?;
    Ok(None)
}

/// Has everything made that services need before they can be: what others make for them, and their images, whose ids it
/// gives. A service that nothing was asked for keeps the image that it has.
async fn provide(
    agent: &Agent,
    current: Option<&Release>,
    request: &mut DeployRequest,
    progress: &UnboundedSender<Progress>,
) -> Result<BTreeMap<ServiceName, String>, Error> {
    outside::provide(agent, &mut request.stack, progress).await?;
    sites::keep(agent, current, &request.services, &mut request.stack, progress).await?;
    let chosen = chosen(current, request);
    let mut ids = images::provide(agent, request, &chosen, progress).await?;
    for (service, id) in current.iter().flat_map(|release| &release.images) {
        if request.stack.services.contains_key(service) {
            ids.entry(service.clone()).or_insert_with(|| id.clone());
        }
    }
    Ok(ids)
}

async fn begin_rollback(
    agent: &Agent,
    stack: &StackHandle,
    request: &RollbackRequest,
    progress: &UnboundedSender<Progress>,
) -> Result<(), Error> {
    let _turn = turn(stack, request.refuse_if_busy, progress).await?;
    let current = current(agent, stack).await?;
    let number = match request.to {
        Some(number) => number,
        None => before(agent, stack, current.as_ref().map(|r| r.number)).await?,
    };
    let release = agent.journal.release(&stack.name, number).await?;
    let observed = stack.sight.borrow().observed.clone();
    preflight::check(agent, &release.stack, &observed).await?;
    preflight::images_exist(agent, &release).await?;
    sites::exist(agent, &release)?;
    let sight = stack.sight.borrow().clone();
    let view =
        preview::of_release(current.map(Blueprint::new).as_ref(), &Blueprint::new(release.clone()), &sight);
    let _ = progress.send(Progress::Plan { plan: view });
    start(stack, number, progress).await
}

/// `Some` when there is nothing to wait for. What runs is left as it is: moving it is a deploy.
async fn begin_create(
    agent: &Agent,
    stack: &StackHandle,
    mut request: DeployRequest,
    progress: &UnboundedSender<Progress>,
) -> Result<Option<Outcome>, Error> {
    let _turn = turn(stack, request.refuse_if_busy, progress).await?;
    seen(stack).await?;
    let current = current(agent, stack).await?;
    let named = wanted(None, &request)?;
    let sight = observe::before(agent, stack, &named).await;
    let of = |name: &ServiceName| sight.observed.all().filter(|i| i.id.service == *name).collect::<Vec<_>>();
    let idle: BTreeSet<_> =
        named.services.keys().filter(|name| !of(name).iter().any(|i| i.is_running())).cloned().collect();
    (request.services, request.no_deps) = (idle.iter().cloned().collect(), true);
    if idle.is_empty() {
        return Ok(Some(done(current.map(|r| r.number), "nothing to make: everything runs".into())));
    }
    mark_as_new(&mut request)?;
    request.stack = wanted(current.as_ref(), &request)?;
    preflight::check(agent, &request.stack, &sight.observed).await?;
    let ids = provide(agent, current.as_ref(), &mut request, progress).await?;
    let release = agent.journal.add_release(&request.stack, ids, clock::now()).await?;
    let blueprint = Blueprint::new(release.clone());
    let stays = |i: &&Instance| blueprint.made(i, &sight.observed);
    let whole = |name: &&ServiceName| {
        let wanted = blueprint.service(name).map_or(0, |service| service.replicas as usize);
        of(name).iter().filter(|i| stays(i)).count() >= wanted
    };
    let services: BTreeSet<_> = idle.iter().filter(|name| !whole(name)).cloned().collect();
    let leaving = services.iter().flat_map(of).filter(|i| !stays(i)).map(|i| i.id.clone()).collect();
    let waiter = Waiter { until: Until::Made(services.clone()), progress: progress.clone() };
    let transition = Transition::Make { to: release.number, services, leaving, at: clock::now() };
    stack.record(transition, Some(waiter)).await?;
    Ok(None)
}

async fn begin_eject(
    agent: &Agent,
    stack: &StackHandle,
    progress: &UnboundedSender<Progress>,
) -> Result<(), Error> {
    let _turn = turn(stack, false, progress).await?;
    seen(stack).await?;
    let Some(current) = current(agent, stack).await? else { return Err(Error::NoStack(stack.name.clone())) };
    let current = Blueprint::new(current);
    let obstacles = mainstay_plan::obstacles(&current);
    if !obstacles.is_empty() {
        let one = |(service, why): &(&ServiceName, String)| format!("`{service}`: {why}");
        return Err(Error::NotForCompose(obstacles.iter().map(one).collect::<Vec<_>>().join("; ")));
    }
    let waiter = Waiter { until: Until::Ejected, progress: progress.clone() };
    stack.record(Transition::Eject, Some(waiter)).await
}

/// Begins, and holds the turn until the deploy has ended.
async fn start(
    stack: &StackHandle,
    to: ReleaseNumber,
    progress: &UnboundedSender<Progress>,
) -> Result<(), Error> {
    let waiter = Waiter { until: Until::Deployed(to), progress: progress.clone() };
    stack.record(Transition::Begin { to, at: clock::now() }, Some(waiter)).await?;
    let mut sight = stack.sight.clone();
    sight.wait_for(|s| s.state.deploy.is_none()).await.map_err(|_| Error::Ending)?;
    Ok(())
}

/// The release that served before `current`.
async fn before(
    agent: &Agent,
    stack: &StackHandle,
    current: Option<ReleaseNumber>,
) -> Result<ReleaseNumber, Error> {
    let releases = agent.journal.releases(&stack.name).await?;
    let served = |r: &&mainstay_host::journal::ReleaseSummary| {
        r.status == ReleaseStatus::Superseded && Some(r.number) != current
    };
    releases
        .iter()
        .filter(served)
        .map(|r| r.number)
        .filter(|n| current.is_none_or(|c| *n < c))
        .max()
        .ok_or(Error::NoEarlierRelease)
}

pub(crate) async fn current(agent: &Agent, stack: &StackHandle) -> Result<Option<Release>, Error> {
    let number = stack.sight.borrow().state.current;
    match number {
        Some(number) => Ok(Some(agent.journal.release(&stack.name, number).await?)),
        None => Ok(None),
    }
}

/// The whole stack that results from what is asked for and what is there.
pub(crate) fn wanted(current: Option<&Release>, request: &DeployRequest) -> Result<Stack, Error> {
    let services: BTreeSet<_> = request.services.iter().cloned().collect();
    let name = request.stack.name.clone();
    let mut stack = subset(current.map(|r| &r.stack), &request.stack, &services, !request.no_deps)
        .map_err(|unknown| Error::NoService { stack: name, service: unknown.0 })?;
    if let (Recreate::Never, Some(current)) = (request.recreate, current) {
        for (name, service) in &mut stack.services {
            if let Some(there) = current.stack.services.get(name) {
                *service = Service { replicas: service.replicas, ..there.clone() };
            }
        }
    }
    Ok(stack)
}

/// Services whose image is looked for: the named ones and what they need, or all.
pub(crate) fn chosen<'r>(current: Option<&Release>, request: &'r DeployRequest) -> Vec<&'r Service> {
    let kept = |s: &&Service| {
        let same = current
            .is_some_and(|r| r.stack.services.get(&s.name) == Some(*s) && r.images.contains_key(&s.name));
        !request.services.is_empty() && same && !request.services.contains(&s.name)
    };
    request.stack.services.values().filter(|s| !kept(s)).collect()
}

/// A label makes new instances out of unchanged definitions.
pub(crate) fn mark_as_new(request: &mut DeployRequest) -> Result<(), Error> {
    let named: BTreeSet<_> = request.services.iter().cloned().collect();
    let all: BTreeSet<_> = request.stack.services.keys().cloned().collect();
    let named_or_all = if named.is_empty() { &all } else { &named };
    let mut anew = match request.recreate {
        Recreate::All => named_or_all.clone(),
        Recreate::Changed | Recreate::Never => BTreeSet::new(),
    };
    if request.recreate_dependencies {
        // Where all are meant, those that others depend on.
        let dependants = named_or_all.iter().filter_map(|name| request.stack.services.get(name));
        let direct: Vec<_> = dependants.flat_map(|s| s.depends_on.keys().cloned()).collect();
        let below = mainstay_plan::with_dependencies(&request.stack, direct)
            .map_err(|unknown| Error::NoService { stack: request.stack.name.clone(), service: unknown.0 })?;
        anew.extend(below.into_iter().filter(|name| !named.contains(name)));
    }
    let stamp = clock::now().0.to_string();
    for service in request.stack.services.values_mut().filter(|s| anew.contains(&s.name)) {
        service.labels.insert("mainstay.recreated".into(), stamp.clone());
    }
    Ok(())
}

fn unchanged(
    handle: &StackHandle,
    current: Option<&Release>,
    stack: &Stack,
    ids: &BTreeMap<ServiceName, String>,
) -> Option<Outcome> {
    let current = current.filter(|r| r.stack == *stack && r.images == *ids)?;
    let sight = handle.sight.borrow();
    let stopped = sight.state.stopped.is_empty();
    let blueprint = Blueprint::new(current.clone());
    let whole = blueprint.services().all(|s| {
        let copies =
            sight.observed.all().filter(|i| i.id.service == s.name && blueprint.made(i, &sight.observed));
        copies.count() >= s.replicas as usize
    });
    (stopped && whole).then(|| {
        done(Some(current.number), format!("nothing to do: release {} is what the files say", current.number))
    })
}
