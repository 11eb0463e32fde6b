//! What people are shown of a stack. No secret gets in here.

use crate::stack::{Sight, StackHandle};
use crate::{Agent, Error};
use mainstay_api::{
    InstanceView, ReleaseStatus, ReleaseView, RouteView, ServiceView, StackSummary, StackView,
};
use mainstay_host::journal::ReleaseStatus as Kept;
use mainstay_model::{
    EventKind, ExternalRoute, Health, HostPattern, Instance, InstanceState, Phase, Protocol, ReleaseNumber,
    RuntimeKind, Seen, Service, ServiceName, Stack, StackName, Timestamp, Wish,
};
use mainstay_plan::{Blueprint, CRASH_LOOP};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Time between the two readings that make a rate.
const SAMPLE: Duration = Duration::from_millis(200);

/// Everything `ps` shows, out of one sight: borrowing it anew while it is borrowed would wait for ever behind a writer.
pub(crate) async fn stack(agent: &Agent, stack: &StackHandle) -> Result<StackView, Error> {
    let sight = stack.sight.borrow().clone();
    let deploy = sight.state.deploy.as_ref();
    let number = deploy.map(|d| d.to).or(sight.state.current);
    let blueprint = release(agent, stack, number).await?;
    let usage = usage(agent, stack).await;
    let edge = blueprint.as_ref().and_then(|b| b.release.stack.edge.http);
    let services = blueprint.iter().flat_map(Blueprint::services);
    let mut views: Vec<_> = services.map(|s| service(agent, &stack.name, &sight, s, edge, &usage)).collect();
    views.extend(blueprint.iter().flat_map(|b| sites(agent, &b.release.stack, edge)));
    let known = |i: &&Instance| views.iter().any(|v| v.name == i.id.service);
    let mut strangers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for instance in sight.observed.all().filter(|i| !known(i)) {
        strangers.entry(instance.id.service.clone()).or_default().push(instance_view(
            &stack.name,
            &sight,
            instance,
            &usage,
        ));
    }
    views.extend(strangers.into_iter().map(|(name, instances)| ServiceView {
        name,
        runtime: Some(RuntimeKind::Docker),
        image: None,
        replicas: 0,
        note: "not in the release".into(),
        instances,
        routes: Vec::new(),
    }));
    let blind = sight.observed.instances.values().find_map(|seen| match seen {
        Seen::Unknown(why) => Some(why.clone()),
        Seen::Known(_) => None,
    });
    let in_words = deploy.map(|d| match &d.phase {
        Phase::Proving => format!("release {} is being proven", d.to),
        Phase::Switched { .. } => format!("release {} takes over", d.to),
        Phase::Undoing { .. } => format!("release {} failed and is being undone", d.to),
    });
    Ok(StackView {
        name: stack.name.clone(),
        release: sight.state.current,
        deploy: in_words,
        back_to: sight.state.watch.as_ref().map(|watch| watch.back_to),
        blind,
        services: views,
    })
}

async fn release(
    agent: &Agent,
    stack: &StackHandle,
    number: Option<ReleaseNumber>,
) -> Result<Option<Blueprint>, Error> {
    match number {
        Some(number) => Ok(Some(Blueprint::new(agent.journal.release(&stack.name, number).await?))),
        None => Ok(None),
    }
}

fn service(
    agent: &Agent,
    stack: &StackName,
    sight: &Sight,
    service: &Service,
    edge: Option<SocketAddr>,
    usage: &Usage,
) -> ServiceView {
    let mine = sight.observed.all().filter(|i| i.id.service == service.name);
    let mut instances: Vec<_> = mine.map(|i| instance_view(stack, sight, i, usage)).collect();
    if service.resources.memory.is_none() {
        // What the Engine reports then is the memory of the host.
        instances.iter_mut().for_each(|instance| instance.memory_limit = None);
    }
    let attempts = sight.state.attempts.get(&service.name).map_or(0, |(count, _)| *count);
    let restarts = instances.iter().filter(|i| i.health != "ready").map(|i| i.restarts).max().unwrap_or(0);
    let waits = sight.waiting.iter().find(|(name, _)| *name == service.name).map(|(_, why)| why.clone());
    let note = if sight.state.stopped.contains(&service.name) {
        "stopped".to_owned()
    } else if attempts.max(restarts) >= CRASH_LOOP {
        "crash loop".to_owned()
    } else {
        waits.unwrap_or_default()
    };
    ServiceView {
        name: service.name.clone(),
        runtime: Some(service.runtime()),
        image: service.image.clone(),
        replicas: service.replicas,
        note,
        instances,
        routes: routes(agent, edge, service),
    }
}

/// Services that are nothing but files.
fn sites(agent: &Agent, stack: &Stack, edge: Option<SocketAddr>) -> Vec<ServiceView> {
    let routes = |name: &ServiceName| {
        let of = |route: &&ExternalRoute| {
            route.policy.files.as_ref().is_some_and(|files| files.service.as_ref() == Some(name))
        };
        let mine = stack.edge.routes.iter().filter(of);
        mine.map(|route| route_view(agent, edge, &route.host, &route.path)).collect()
    };
    let all = crate::sites::of_stack(stack);
    let view = |(name, _): (&ServiceName, &_)| ServiceView {
        name: name.clone(),
        runtime: None,
        image: None,
        replicas: 0,
        note: "files".into(),
        instances: Vec::new(),
        routes: routes(name),
    };
    all.iter().map(view).collect()
}

fn route_view(agent: &Agent, edge: Option<SocketAddr>, host: &HostPattern, path: &str) -> RouteView {
    let http = edge.unwrap_or(agent.http);
    let port = if http.port() == 80 { String::new() } else { format!(":{}", http.port()) };
    let name = match host {
        HostPattern::Exact(name) => Some(name.clone()),
        HostPattern::Any => Some("localhost".into()),
        HostPattern::Wildcard(_) => None,
    };
    let url = name.map(|name| format!("http://{name}{port}{path}"));
    RouteView { from: format!("{host}{path}"), url }
}

fn routes(agent: &Agent, edge: Option<SocketAddr>, service: &Service) -> Vec<RouteView> {
    let of_route = |route: &mainstay_model::Route| route_view(agent, edge, &route.host, &route.path);
    let published = service.ports.iter().filter_map(|p| {
        let protocol = if p.protocol == Protocol::Tcp { "" } else { "/udp" };
        let host = p.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        Some(RouteView { from: format!("{host}:{}{protocol}", p.published?.start), url: None })
    });
    service.routes.iter().map(of_route).chain(published).collect()
}

fn instance_view(stack: &StackName, sight: &Sight, instance: &Instance, usage: &Usage) -> InstanceView {
    let (state, since, exit_code) = match instance.state {
        InstanceState::Created => ("created", None, None),
        InstanceState::Running { since } => ("running", Some(since), None),
        InstanceState::Restarting => ("restarting", None, None),
        InstanceState::Paused => ("paused", None, None),
        InstanceState::Exited { code, at, .. } => ("exited", Some(at), Some(code)),
        InstanceState::Dead => ("dead", None, None),
    };
    let (health, detail) = match (&instance.state, &instance.health) {
        (InstanceState::Running { .. }, Health::Ready) => ("ready", String::new()),
        (InstanceState::Running { .. }, Health::Starting) => ("starting", String::new()),
        (InstanceState::Running { .. }, Health::Unhealthy { why }) => ("unhealthy", why.clone()),
        (InstanceState::Exited { oom: true, .. }, _) => ("", "killed for lack of memory".into()),
        _ => ("", String::new()),
    };
    let name = format!("{stack}/{}", instance.id);
    let takes = |u: &mainstay_model::table::Upstream| u.targets.iter().any(|t| t.instance == name);
    let used = usage.get(&instance.id.to_string());
    InstanceView {
        id: instance.id.clone(),
        name: instance.name.clone(),
        handle: instance.handle.clone(),
        state: state.into(),
        health: health.into(),
        detail,
        since,
        restarts: instance.restarts,
        exit_code,
        cpu_percent: used.and_then(|u| u.cpu_percent),
        memory: used.map(|u| u.reading.memory),
        memory_limit: used.and_then(|u| u.reading.memory_limit),
        network: used.and_then(|u| u.reading.network),
        block: used.and_then(|u| u.reading.block),
        pids: used.map(|u| u.reading.pids),
        in_rotation: sight.observed.table.as_ref().is_some_and(|t| t.upstreams.values().any(takes)),
    }
}

/// What running instances use, by instance.
type Usage = BTreeMap<String, Used>;

struct Used {
    cpu_percent: Option<f64>,
    reading: Reading,
}

async fn usage(agent: &Agent, stack: &StackHandle) -> Usage {
    let running: Vec<_> = stack.sight.borrow().observed.all().filter(|i| i.is_running()).cloned().collect();
    let first = futures_util::future::join_all(running.iter().map(|i| read(agent, stack, i))).await;
    tokio::time::sleep(SAMPLE).await;
    let second = futures_util::future::join_all(running.iter().map(|i| read(agent, stack, i))).await;
    let pairs = running.iter().zip(first.into_iter().zip(second));
    let used = pairs.filter_map(|(instance, (first, second))| {
        let (first, second) = (first?, second?);
        let cpu = second.cpu.saturating_sub(first.cpu).as_secs_f64();
        let over = second.at.duration_since(first.at).as_secs_f64();
        let cpu_percent = (over > 0.0).then(|| 100.0 * cpu / over);
        Some((instance.id.to_string(), Used { cpu_percent, reading: second }))
    });
    used.collect()
}

struct Reading {
    at: std::time::Instant,
    cpu: Duration,
    memory: u64,
    memory_limit: Option<u64>,
    network: Option<(u64, u64)>,
    block: Option<(u64, u64)>,
    pids: u64,
}

async fn read(agent: &Agent, stack: &StackHandle, instance: &Instance) -> Option<Reading> {
    let at = std::time::Instant::now;
    Some(match instance.runtime {
        RuntimeKind::Docker => {
            let stats = agent.runtimes.docker().await.ok()?.stats(&instance.handle).await.ok()??;
            Reading {
                at: at(),
                cpu: stats.cpu,
                memory: stats.memory,
                memory_limit: Some(stats.memory_limit),
                network: Some((stats.received, stats.sent)),
                block: Some((stats.block_read, stats.block_written)),
                pids: stats.pids,
            }
        }
        RuntimeKind::Native => {
            let stats = agent.runtimes.native.stats(&stack.name, &instance.id).await.ok()?;
            Reading {
                at: at(),
                cpu: Duration::from_nanos(stats.cpu),
                memory: stats.memory,
                memory_limit: stats.memory_limit,
                network: None,
                block: None,
                pids: stats.processes,
            }
        }
    })
}

/// One line of `ls`.
pub(crate) async fn summary(agent: &Agent, stack: &StackHandle) -> Result<StackSummary, Error> {
    let (status, number) = {
        let sight = stack.sight.borrow();
        let running = sight.observed.all().filter(|i| i.is_running()).count();
        let status = match (&sight.state.wish, &sight.state.deploy, sight.state.current) {
            (Wish::Down { .. }, _, _) => "going down".to_owned(),
            (Wish::Eject, _, _) => "ejected".to_owned(),
            (_, Some(deploy), _) => format!("deploying({})", deploy.to),
            (_, None, None) => "down".to_owned(),
            (_, None, Some(_)) => format!("running({running})"),
        };
        (status, sight.state.current)
    };
    let blueprint = release(agent, stack, number).await?;
    let files = blueprint.map(|b| b.release.stack.files).unwrap_or_default();
    Ok(StackSummary {
        name: stack.name.clone(),
        status,
        files: files.iter().map(|f| f.display().to_string()).collect(),
    })
}

/// Events looked through for why a release failed.
const EVENTS: usize = 10_000;

/// The list of releases, newest first.
pub(crate) async fn releases(agent: &Agent, stack: &StackHandle) -> Result<Vec<ReleaseView>, Error> {
    let deploying = stack.sight.borrow().state.deploy.as_ref().map(|d| d.to);
    let summaries = agent.journal.releases(&stack.name).await?;
    let events = agent.journal.events(&stack.name, Timestamp(0), EVENTS).await?;
    let failure = |number| {
        let failed =
            |e: &&mainstay_model::Event| e.kind == EventKind::DeployFailed && e.release == Some(number);
        events.iter().rev().find(failed).map(|e| e.message.clone())
    };
    let mut views = Vec::new();
    for (index, summary) in summaries.iter().enumerate() {
        let release = agent.journal.release(&stack.name, summary.number).await?;
        let older = match summaries.get(index + 1) {
            Some(older) => Some(Blueprint::new(agent.journal.release(&stack.name, older.number).await?)),
            None => None,
        };
        let status = match summary.status {
            _ if deploying == Some(summary.number) => ReleaseStatus::Deploying,
            Kept::Serving => ReleaseStatus::Serving,
            Kept::Superseded => ReleaseStatus::Superseded,
            Kept::Failed => ReleaseStatus::Failed,
            Kept::NeverServed => ReleaseStatus::Unused,
        };
        let changes = changes(older.as_ref(), &Blueprint::new(release));
        let failure = failure(summary.number).filter(|_| status == ReleaseStatus::Failed);
        views.push(ReleaseView {
            number: summary.number,
            status,
            created: summary.created,
            changes,
            failure,
        });
    }
    Ok(views)
}

fn changes(older: Option<&Blueprint>, newer: &Blueprint) -> Vec<String> {
    let Some(older) = older else { return vec!["first release".into()] };
    let changed = newer.services().filter_map(|s| match (older.hash(&s.name), newer.hash(&s.name)) {
        (None, _) => Some(format!("+{}", s.name)),
        (Some(old), new) if new != Some(old) => Some(s.name.to_string()),
        _ => None,
    });
    let removed =
        older.services().filter(|s| newer.service(&s.name).is_none()).map(|s| format!("-{}", s.name));
    changed.chain(removed).collect()
}
