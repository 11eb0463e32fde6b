//! Ports and routes of a stack that get in each other's way.

use crate::diagnostic::{Code, Diagnostic, Sink, Span};
use crate::node::{KeyPath, Node};
use crate::suggest;
use mainstay_model::{Conditions, HostPattern, Protocol, PublishedPort, Route, RoutePolicy, Service, Stack};
use std::collections::BTreeMap;

/// Reports conflicts; `tree` knows the places.
pub fn conflicts(stack: &Stack, tree: &Node, sink: &mut Sink) {
    ports(stack, tree, sink);
    routes(stack, tree, sink);
}

/// Who publishes a port, how, and where the file says so.
type Holder<'a> = (&'a Service, &'a PublishedPort, Option<Span>);

fn ports(stack: &Stack, tree: &Node, sink: &mut Sink) {
    let mut seen: BTreeMap<(u16, Protocol), Vec<Holder<'_>>> = BTreeMap::new();
    for service in stack.services.values() {
        for (index, port) in service.ports.iter().enumerate() {
            let Some(published) = port.published else { continue };
            if published.start != published.end || published.start == 0 {
                continue;
            }
            let node = tree.at(&["services", service.name.as_str()]);
            let span = item(node, "ports", index, service.ports.len());
            let holders = seen.entry((published.start, port.protocol)).or_default();
            let clash = holders.iter().find(|(_, other, _)| is_same(other, port));
            if let Some((other, _, first)) = clash {
                let path =
                    KeyPath::root().key("services").key(service.name.as_str()).key("ports").index(index);
                let whom = if other.name == service.name {
                    "twice".to_owned()
                } else {
                    format!("by `{}` too", other.name)
                };
                let message = format!("port {} of the host is published {whom}", published.start);
                let finding = Diagnostic::error(Code::PortTwice, message).at(span).path(path);
                sink.push(
                    finding.note("the first one is here", *first).help("publish another port, or use routes"),
                );
            } else {
                holders.push((service, port, span));
            }
        }
    }
}

/// Whether two mappings of one port and protocol meet on an address.
fn is_same(a: &PublishedPort, b: &PublishedPort) -> bool {
    let everywhere = |p: &PublishedPort| p.host_ip.is_none_or(|ip| ip.is_unspecified());
    a.host_ip == b.host_ip || everywhere(a) || everywhere(b)
}

/// What must differ between two routes.
type Claim = (String, String, bool, Conditions);

/// Who has which requests.
#[derive(Default)]
struct Claims {
    /// The first to have them, where, and whether it shares them by weight.
    held: BTreeMap<Claim, (String, Option<Span>, bool)>,
}

impl Claims {
    fn claim(
        &mut self,
        (host, path, policy): (&HostPattern, &str, &RoutePolicy),
        who: String,
        span: Option<Span>,
        at: KeyPath,
        sink: &mut Sink,
    ) {
        let shares = policy.weight.is_some();
        let key = (host.to_string(), path.to_owned(), policy.exact, policy.when.clone());
        match self.held.get(&key) {
            Some((.., true)) if shares => {}
            Some((other, first, _)) => {
                let message = format!("the route {host}{path} is claimed by {other} and by {who}");
                let finding = Diagnostic::error(Code::RouteTwice, message).at(span).path(at);
                sink.push(finding.note("the first one is here", *first));
            }
            None => {
                self.held.insert(key, (who, span, shares));
            }
        }
    }
}

/// Whether two routes speak to one port in different ways. Bytes that are passed on as they come say themselves how.
fn differs(one: &Route, other: &Route) -> bool {
    let proxies_differ = one.transport.send_proxy != other.transport.send_proxy;
    proxies_differ || (!one.passthrough && !other.passthrough && one.transport != other.transport)
}

fn routes(stack: &Stack, tree: &Node, sink: &mut Sink) {
    let mut claims = Claims::default();
    // As written: one that cannot be used has been reported where it stands.
    let edge = tree.at(&["x-mainstay", "edge"]);
    let declared: Vec<&str> =
        edge.into_iter().flat_map(|edge| edge.entries("limits")).map(|(name, _)| name.as_str()).collect();
    for service in stack.services.values() {
        let name = service.name.as_str();
        let ours = tree.at(&["services", name, "x-mainstay"]);
        let mut spoken: BTreeMap<Option<u16>, (&Route, Option<Span>)> = BTreeMap::new();
        for (index, route) in service.routes.iter().enumerate() {
            let span = item(ours, "routes", index, service.routes.len());
            let at = KeyPath::root().key("services").key(name).key("x-mainstay").key("routes").index(index);
            let answers_itself = route.policy.redirect.is_some();
            if route.port.is_none()
                && service.main_port().is_none()
                && !is_given_port(service)
                && !answers_itself
            {
                let message = format!("service `{name}` has a route and no port");
                let finding = Diagnostic::error(Code::RouteWithoutPort, message).at(span).path(&at);
                sink.push(finding.help("write `port:` in the route, or `expose:` the port"));
            }
            limits(&declared, &route.policy, span, &at, sink);
            let port = route.port.or(service.main_port());
            match spoken.get(&port) {
                Some((other, first)) if differs(other, route) && !answers_itself => {
                    let message = format!("two routes of `{name}` speak to one port in different ways");
                    let finding = Diagnostic::error(Code::Conflict, message).at(span).path(&at);
                    sink.push(finding.note("the first one is here", *first));
                }
                None if !answers_itself => drop(spoken.insert(port, (route, span))),
                _ => {}
            }
            claims.claim((&route.host, &route.path, &route.policy), format!("`{name}`"), span, at, sink);
        }
    }
    tcp(stack, tree, sink);
    for (index, route) in stack.edge.routes.iter().enumerate() {
        let span = item(tree.at(&["x-mainstay", "edge"]), "routes", index, stack.edge.routes.len());
        let at = KeyPath::root().key("x-mainstay").key("edge").key("routes").index(index);
        limits(&declared, &route.policy, span, &at, sink);
        claims.claim((&route.host, &route.path, &route.policy), "the edge".to_owned(), span, at, sink);
    }
}

/// Reports limits that a route names and nobody declares, and more of them than can be counted.
fn limits(declared: &[&str], policy: &RoutePolicy, span: Option<Span>, at: &KeyPath, sink: &mut Sink) {
    /// The edge keeps room for so many keys of a request.
    const MOST: usize = 4;
    let path = at.key("limit");
    if policy.limits.len() > MOST {
        let message = format!("a route has {MOST} limits at most");
        sink.push(Diagnostic::error(Code::InvalidValue, message).at(span).path(&path));
    }
    for name in &policy.limits {
        if declared.contains(&name.as_str()) {
            continue;
        }
        let finding = Diagnostic::error(Code::UnknownLimit, format!("there is no limit `{name}`"));
        let help = match suggest::closest(name, declared.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "declare it in `x-mainstay: edge: limits:`, or write `limit: none`".to_owned(),
        };
        sink.push(finding.at(span).path(&path).help(help));
    }
}

/// The place of one of `count` items below `key`. Where some of what was written could not be used, items cannot be
/// told apart by number; then the whole list is meant.
fn item(node: Option<&Node>, key: &str, index: usize, count: usize) -> Option<Span> {
    let list = node?.get(key)?;
    let items = list.as_list()?;
    if items.len() == count { items.get(index).map(|item| item.span) } else { Some(list.span) }
}

/// A native service gets its port from Mainstay.
fn is_given_port(service: &Service) -> bool {
    service.runtime() == mainstay_model::RuntimeKind::Native
}

/// What `tcp:` of the edge says about services.
fn tcp(stack: &Stack, tree: &Node, sink: &mut Sink) {
    for (index, entry) in stack.edge.tcp.iter().enumerate() {
        let span = item(tree.at(&["x-mainstay", "edge"]), "tcp", index, stack.edge.tcp.len());
        let at = KeyPath::root().key("x-mainstay").key("edge").key("tcp").index(index);
        let names =
            |to: &String| stack.services.keys().find(|name| to.split(':').next() == Some(name.as_str()));
        if let (2.., Some(name)) = (entry.to.len(), entry.to.iter().find_map(names)) {
            let message = format!("`{name}` is a service with its own instances: it stands alone in `to`");
            sink.push(Diagnostic::error(Code::Conflict, message).at(span).path(&at));
        }
        let Some((host, port)) = entry.host_and_port() else { continue };
        let Some(service) = stack.services.values().find(|service| service.name.as_str() == host) else {
            continue;
        };
        let leads_there = |route: &&Route| route.port.or(service.main_port()) == Some(port);
        let differs = |route: &Route| route.transport.send_proxy != entry.send_proxy;
        if service.routes.iter().filter(leads_there).any(differs) {
            let message = format!("`send_proxy` of this and of a route to {host}:{port} are not the same");
            sink.push(Diagnostic::error(Code::Conflict, message).at(span).path(&at));
        }
    }
}
