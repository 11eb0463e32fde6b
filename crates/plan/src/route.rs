//! The stack's part of the edge's table: who gets requests, who finishes, who is waited for.

use crate::draft::Draft;
use crate::strategy::edge_holds_ports;
use crate::view::View;
use crate::{Blueprint, eject};
use crate::{tcp, tls};
use mainstay_model::table::{
    Draining, Listener, ListenerKind, Passthrough, RouteTable, TableRoute, Target, Upstream,
};
use mainstay_model::{
    Access, Asked, Choice, HostPattern, Instance, Probe, Protocol, Readiness, Redirect, Route, RoutePolicy,
    RuntimeKind, Service, ServiceName, Site, Stack, StackName, Step, Timestamp, Transport, Wish,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How long requests wait for a service that is being swapped, beyond the time the old one may take to stop.
const HOLD: Duration = Duration::from_secs(60);

/// Gives the edge this stack's part when it has another.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft<'_>) {
    let table = table(view, draft);
    if view.input.observed.table.as_ref() != Some(&table) {
        draft.step(Step::Route { table }, "who is ready, or who leaves, has changed");
    }
}

/// Whether the edge already does what this stack wants.
pub(crate) fn in_force(view: &View<'_>, draft: &mut Draft<'_>) -> bool {
    view.input.observed.table.as_ref() == Some(&table(view, draft))
}

/// Key of the upstream that is `port` of `service`.
pub fn upstream_key(stack: &StackName, service: &ServiceName, port: u16) -> String {
    match port {
        ASSIGNED => format!("{stack}/{service}"),
        port => format!("{stack}/{service}:{port}"),
    }
}

/// Stands for the port that a native instance is told to listen on, when the file names none.
const ASSIGNED: u16 = 0;

/// The port meant where none is named.
fn main_port(service: &Service) -> Option<u16> {
    service.main_port().or((service.runtime() == RuntimeKind::Native).then_some(ASSIGNED))
}

/// How long a leaving instance of `service` may finish what it has.
pub fn drain_grace(service: &Service) -> Duration {
    service.stop_grace_period
}

/// When what is left open on a leaving instance is closed.
pub(crate) fn drain_until(view: &View<'_>, instance: &Instance) -> Timestamp {
    let since = view.state().leaving.get(&instance.id).or_else(|| view.state().replace.get(&instance.id));
    let definition = view.releases().find_map(|b| b.service(&instance.id.service));
    since.copied().unwrap_or(Timestamp(0)) + definition.map_or(Duration::ZERO, drain_grace)
}

/// Keys of the upstreams that the edge has for `service`.
pub(crate) fn upstream_keys(view: &View<'_>, blueprint: &Blueprint, service: &Service) -> Vec<String> {
    let key = |port| upstream_key(view.input.stack, &service.name, port);
    ports(blueprint, service).into_iter().map(key).collect()
}

/// Ports inside an instance of `service` that the edge or a probe connects to.
pub fn reached_ports(blueprint: &Blueprint, service: &Service) -> BTreeSet<u16> {
    let probed = match &service.readiness {
        Readiness::Probe { probe: Probe::Http { port, .. } | Probe::Tcp { port } } => {
            port.or(service.main_port())
        }
        _ => None,
    };
    ports(blueprint, service).into_iter().chain(probed).filter(|port| *port != ASSIGNED).collect()
}

/// Whether the edge sends anything to `service`, now or in a release just left.
pub(crate) fn is_routed(view: &View<'_>, service: &ServiceName) -> bool {
    view.releases().any(|b| b.service(service).is_some_and(|s| !ports(b, s).is_empty()))
}

/// Ports inside the instance that the edge sends to.
fn ports(blueprint: &Blueprint, service: &Service) -> BTreeSet<u16> {
    let main = main_port(service);
    let passing = service.routes.iter().filter(|r| r.policy.redirect.is_none());
    let routed = passing.filter_map(move |r| r.port.or(main));
    let asked = asked(&blueprint.release.stack).filter(|(name, _)| *name == service.name.as_str());
    let asked = asked.map(|(_, port)| port);
    let passed = tcp::services(&blueprint.release.stack).filter(|(name, _)| **name == service.name);
    routed
        .chain(held_ports(blueprint, service).map(|(_, target)| target))
        .chain(asked)
        .chain(passed.map(|(_, port)| port))
        .collect()
}

/// Hosts and ports that the edge itself asks who may use a route. Some of the hosts may be services.
fn asked(stack: &Stack) -> impl Iterator<Item = (&str, u16)> {
    let of_services = stack.services.values().flat_map(|service| &service.routes).map(|route| &route.policy);
    let policies = of_services.chain(stack.edge.routes.iter().map(|route| &route.policy));
    let own = policies.filter_map(|policy| match &policy.access {
        Some(Choice::On(access)) => Some(access),
        Some(Choice::Off) | None => None,
    });
    own.chain(&stack.edge.site.access).flat_map(Access::asked).filter_map(Asked::service_and_port)
}

/// Rules that name upstreams where they ask services of the stack.
fn with_upstreams(stack: &Stack, access: &Access) -> Access {
    let mut access = access.clone();
    for asked in access.asked_mut() {
        let named =
            asked.service_and_port().filter(|(host, _)| stack.services.keys().any(|s| s.as_str() == *host));
        let named = named.and_then(|(host, port)| Some((ServiceName::new(host.to_owned()).ok()?, port)));
        asked.upstream = named.map(|(service, port)| upstream_key(&stack.name, &service, port));
    }
    access
}

/// Published TCP ports that the edge listens on: where, and the port inside.
pub(crate) fn held_ports<'b>(
    blueprint: &'b Blueprint,
    service: &'b Service,
) -> impl Iterator<Item = (SocketAddr, u16)> + use<'b> {
    let ours = edge_holds_ports(&blueprint.release.stack, service);
    service.ports.iter().filter(move |p| ours && p.protocol == Protocol::Tcp).flat_map(|port| {
        let host = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let published = port.published.map(|range| range.start..=range.end);
        published
            .into_iter()
            .flatten()
            .zip(port.target.start..=port.target.end)
            .map(move |(outer, inner)| (SocketAddr::new(host, outer), inner))
    })
}

fn table(view: &View<'_>, draft: &mut Draft<'_>) -> RouteTable {
    let mut table = RouteTable::default();
    for blueprint in view.releases() {
        for service in blueprint.services() {
            for port in ports(blueprint, service) {
                let draining = draining(view, service, port);
                if !draining.is_empty() {
                    let key = upstream_key(view.input.stack, &service.name, port);
                    table.upstreams.insert(key, Upstream { draining, ..Upstream::default() });
                }
            }
        }
    }
    let given_away = view.state().wish == Wish::Eject && eject::is_done(view);
    let Some(serving) = view.serving().filter(|_| !given_away) else { return table };
    for service in serving.services() {
        add_service(view, draft, &mut table, serving, service);
    }
    add_external(view, &mut table, serving);
    tcp::add(view, &mut table, serving);
    add_settings(view, &mut table, serving);
    if !table.routes.is_empty() {
        let address = serving.release.stack.edge.http.unwrap_or(view.input.http);
        let proxied = serving.release.stack.edge.proxied;
        table.listeners.push(Listener { address, kind: ListenerKind::Http, proxied });
    }
    tls::add(view, &mut table, serving);
    table
}

fn add_service(
    view: &View<'_>,
    draft: &mut Draft<'_>,
    table: &mut RouteTable,
    serving: &Blueprint,
    service: &Service,
) {
    let stack = view.input.stack;
    for port in ports(serving, service) {
        let upstream = table.upstreams.entry(upstream_key(stack, &service.name, port)).or_default();
        upstream.targets = targets(view, serving, service, port);
        upstream.transport = transport(service, port);
        upstream.draining.retain(|d| !upstream.targets.contains(&d.target));
        if upstream.targets.is_empty() {
            upstream.hold_until = hold_until(view, service);
            upstream.hold_until.into_iter().for_each(|at| draft.wake(at));
        }
    }
    for route in &service.routes {
        let upstream = match (&route.policy.redirect, route.port.or(main_port(service))) {
            (Some(_), _) => None,
            (None, Some(port)) => Some(upstream_key(stack, &service.name, port)),
            (None, None) => continue,
        };
        if let (true, Some(upstream)) = (route.passthrough, &upstream) {
            table.passthrough.push(passthrough(&route.host, upstream));
            continue;
        }
        table.routes.extend(www(stack, route));
        table.routes.push(TableRoute {
            host: route.host.clone(),
            path: route.path.clone(),
            upstream,
            site: stack.to_string(),
            https: None,
            policy: in_table(&serving.release.stack, &route.policy),
        });
    }
    // Until a container that Compose made has gone, its ports are the Engine's.
    let taken =
        |i: &&Instance| i.compose.as_ref().is_some_and(|made| made.holds_ports) && !crate::leave::ended(i);
    let given_up = view.state().wish == Wish::Eject && eject::gives_up_ports(view, service);
    if given_up || view.instances(&service.name).iter().any(taken) {
        return;
    }
    for (address, inner) in held_ports(serving, service) {
        let upstream = upstream_key(stack, &service.name, inner);
        table.listeners.push(Listener { address, kind: ListenerKind::Tcp { upstream }, proxied: false });
    }
}

/// A host whose TLS is passed on wherever TLS comes in.
fn passthrough(host: &HostPattern, upstream: &str) -> Passthrough {
    Passthrough { on: None, host: host.clone(), upstream: upstream.to_owned() }
}

/// How `port` of an instance is spoken to. All its routes say the same, but for those whose bytes say it themselves.
fn transport(service: &Service, port: u16) -> Transport {
    let leads_there = |route: &&Route| route.port.or(main_port(service)) == Some(port);
    let passing = service.routes.iter().filter(|route| route.policy.redirect.is_none());
    let spoken = passing.filter(leads_there).min_by_key(|route| route.passthrough);
    let mut transport = spoken.map(|route| route.transport.clone()).unwrap_or_default();
    if transport.scheme.is_secure() && transport.tls.server_name.is_none() {
        // Its address says nothing that a certificate could be for.
        transport.tls.server_name = Some(service.name.to_string());
    }
    transport
}

fn add_external(view: &View<'_>, table: &mut RouteTable, serving: &Blueprint) {
    for (index, route) in serving.release.stack.edge.routes.iter().enumerate() {
        let key = format!("{}/external-{index}", view.input.stack);
        let is_answered_here = route.policy.is_answered_here();
        if !is_answered_here {
            let target = |to: &String| {
                let share = route.shares.get(to);
                let (weight, is_backup) = (share.map(|s| s.weight), share.is_some_and(|s| s.is_backup));
                Target { instance: to.clone(), address: to.clone(), weight, is_backup }
            };
            let targets = route.to.iter().map(target).collect();
            let (health, transport) = (route.health.clone(), route.transport.clone());
            table
                .upstreams
                .insert(key.clone(), Upstream { targets, health, transport, ..Upstream::default() });
        }
        if route.passthrough {
            table.passthrough.push(passthrough(&route.host, &key));
            continue;
        }
        table.routes.push(TableRoute {
            host: route.host.clone(),
            path: route.path.clone(),
            upstream: (!is_answered_here).then_some(key),
            site: view.input.stack.to_string(),
            https: None,
            policy: in_table(&serving.release.stack, &route.policy),
        });
    }
}

/// What counts for all routes, and the limits they name.
fn add_settings(view: &View<'_>, table: &mut RouteTable, serving: &Blueprint) {
    let edge = &serving.release.stack.edge;
    if edge.site != Site::default() {
        let access = edge.site.access.as_ref().map(|access| with_upstreams(&serving.release.stack, access));
        table.sites.insert(view.input.stack.to_string(), Site { access, ..edge.site.clone() });
    }
    *table.clients = edge.clients.clone();
    let named = |name: &String| limit_key(view.input.stack, name);
    table.limits = edge.limits.iter().map(|(name, limit)| (named(name), limit.clone())).collect();
}

fn limit_key(stack: &StackName, name: &str) -> String {
    format!("{stack}/{name}")
}

/// A policy with its names as the table has them, where other stacks' names are too.
fn in_table(stack: &Stack, policy: &RoutePolicy) -> RoutePolicy {
    let limits = policy.limits.iter().map(|name| limit_key(&stack.name, name)).collect();
    let access = policy.access.as_ref().map(|access| match access {
        Choice::On(access) => Choice::On(with_upstreams(stack, access)),
        Choice::Off => Choice::Off,
    });
    RoutePolicy { limits, access, ..policy.clone() }
}

/// `www: redirect`: the route that sends the other of the two names here.
fn www(stack: &StackName, route: &Route) -> Option<TableRoute> {
    let HostPattern::Exact(host) = route.host.clone() else { return None };
    if !route.www {
        return None;
    }
    let other = host.strip_prefix("www.").map_or_else(|| format!("www.{host}"), str::to_owned);
    let redirect = Redirect { to: format!("{{scheme}}://{host}{{uri}}"), status: 308 };
    Some(TableRoute {
        host: HostPattern::Exact(other),
        path: route.path.clone(),
        upstream: None,
        site: stack.to_string(),
        https: None,
        policy: RoutePolicy { redirect: Some(redirect), access: Some(Choice::Off), ..RoutePolicy::default() },
    })
}

fn target(view: &View<'_>, instance: &Instance, port: u16) -> Option<Target> {
    let address = instance.reach(port)?.to_string();
    let name = format!("{}/{}", view.input.stack, instance.id);
    Some(Target { instance: name, address, weight: None, is_backup: false })
}

fn targets(view: &View<'_>, serving: &Blueprint, service: &Service, port: u16) -> Vec<Target> {
    // A step about an instance under way is its stop: undoing a deploy must not send it requests again.
    let takes = |i: &&Instance| {
        view.is_ready(i) && !view.is_busy(&i.id) && !swaps_in_place(view, serving, service, i)
    };
    let staying = view.staying(serving, &service.name).into_iter();
    let mut targets: Vec<_> = staying.filter(takes).filter_map(|i| target(view, i, port)).collect();
    if targets.is_empty() {
        targets = still_taking(view, service, port);
    }
    targets.sort();
    targets
}

/// Instances that should leave but still take requests, when nothing that stays could take them: the new ones failed
/// between their proof and the switch. Better the old than nobody. Not where leaving is the point: a swap, a stop, an eject.
fn still_taking(view: &View<'_>, service: &Service, port: u16) -> Vec<Target> {
    let swapping = view.state().deploy.as_ref().is_some_and(|d| d.swapping.contains_key(&service.name))
        || view.state().wish == Wish::Eject;
    let Some(table) =
        view.input.observed.table.as_ref().filter(|_| !swapping && !view.is_stopped(&service.name))
    else {
        return Vec::new();
    };
    let taking = |t: &Target| table.upstreams.values().any(|u| u.targets.contains(t));
    let leaving = view.instances(&service.name).iter().filter(|i| view.is_leaving(&i.id) && view.is_ready(i));
    leaving.filter(|i| !view.is_busy(&i.id)).filter_map(|i| target(view, i, port)).filter(taking).collect()
}

/// An instance that is restarted in place takes nothing new from the moment that is decided.
fn swaps_in_place(view: &View<'_>, serving: &Blueprint, service: &Service, instance: &Instance) -> bool {
    view.is_replaced(&instance.id) && crate::steady::replaces_in_place(view, serving, service)
}

fn draining(view: &View<'_>, service: &Service, port: u16) -> Vec<Draining> {
    let in_place =
        |i: &Instance| view.serving().is_some_and(|serving| swaps_in_place(view, serving, service, i));
    let goes = |i: &&&Instance| (view.is_leaving(&i.id) || in_place(i)) && !crate::leave::ended(i);
    let one = |i: &&Instance| Some(Draining { target: target(view, i, port)?, until: drain_until(view, i) });
    view.instances(&service.name).iter().filter(goes).filter_map(one).collect()
}

/// Until when requests wait for a service without targets: while it is swapped, replaced in place or just started.
fn hold_until(view: &View<'_>, service: &Service) -> Option<Timestamp> {
    let state = view.state();
    let swap = state.deploy.as_ref().and_then(|d| d.swapping.get(&service.name));
    let replaced = state.replace.iter().filter(|(id, _)| id.service == service.name).map(|(_, at)| at);
    let began = swap.into_iter().chain(replaced).chain(state.started.get(&service.name)).max()?;
    let until = *began + drain_grace(service) + service.stop_grace_period + HOLD;
    (until > view.now() && !view.is_stopped(&service.name)).then_some(until)
}
