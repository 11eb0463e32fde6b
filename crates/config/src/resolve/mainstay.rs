//! `x-mainstay` of a service and of the document.

use super::{Cx, resources};
use crate::check::check;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::shape::{Kind, MAINSTAY_SERVICE, MAINSTAY_TOP, Object};
use crate::{standing, words};
use mainstay_model::{EdgeSettings, ExternalRoute, HostPattern, Probe, Readiness, Route, RouteTimeouts};
use std::net::SocketAddr;

const KEY: &str = "x-mainstay";

/// What `x-mainstay` says of a service.
#[derive(Default)]
pub struct OfService {
    /// `routes:`.
    pub routes: Vec<Route>,
    /// `release:`.
    pub release: Option<Vec<String>>,
    /// `ready:`, where it names a probe that is in force.
    pub readiness: Option<Readiness>,
}

/// Reads `x-mainstay` of a service.
pub fn service(cx: &mut Cx<'_>) -> OfService {
    let path = cx.path.key(KEY);
    let Some(node) = checked(cx.node, &MAINSTAY_SERVICE, &path, cx.sink) else { return OfService::default() };
    let release = node.get("release").map(|r| super::texts(r.as_list().unwrap_or_default()));
    let items = node.items("routes").iter().enumerate();
    OfService {
        routes: items.filter_map(|(i, node)| route(node, &path.key("routes").index(i), cx.sink)).collect(),
        release: release.filter(|argv| !argv.is_empty()),
        readiness: node.get("ready").and_then(|ready| readiness(ready, &path.key("ready"), cx.sink)),
    }
}

/// Reads `x-mainstay: edge:`.
pub fn edge(tree: &Node, sink: &mut Sink) -> EdgeSettings {
    let path = KeyPath::root().key(KEY);
    let Some(node) = checked(tree, &MAINSTAY_TOP, &path, sink) else { return EdgeSettings::default() };
    let Some(edge) = node.get("edge") else { return EdgeSettings::default() };
    let path = path.key("edge");
    let listen = edge.at(&["listen", "http"]);
    let items = edge.items("routes").iter().enumerate();
    EdgeSettings {
        http: listen.and_then(|node| address(node, &path.key("listen").key("http"), sink)),
        routes: items.filter_map(|(i, node)| external(node, &path.key("routes").index(i), sink)).collect(),
    }
}

/// The value of `x-mainstay` in its long form.
fn checked(node: &Node, shape: &'static Object, path: &KeyPath, sink: &mut Sink) -> Option<Node> {
    let entry = node.as_map()?.get(KEY)?;
    let mut node = entry.node.clone();
    let kind = Kind::Object(shape);
    if !check(&mut node, &kind, path, sink) {
        return None;
    }
    crate::complete::complete(
        &crate::node::Entry { key_span: entry.key_span, node: node.clone() },
        &kind,
        path,
        sink,
    );
    standing::below(&kind, &node, path, sink);
    Some(node)
}

fn route(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Route> {
    let (host, prefix) = host_and_path(node, path, sink)?;
    let port = match node.get("port").map(|p| (p, node.get_int("port").and_then(|n| u16::try_from(n).ok()))) {
        None => None,
        Some((_, Some(port))) if port > 0 => Some(port),
        Some((given, _)) => {
            let finding = Diagnostic::error(Code::BadPort, "a port is between 1 and 65535");
            sink.push(finding.about(given).path(path.key("port")));
            None
        }
    };
    Some(Route {
        host,
        path: prefix,
        port,
        strip_prefix: node.get_flag("strip_prefix"),
        timeouts: timeouts(node),
    })
}

/// Host (any by default) and path prefix (`/` by default) of a route.
fn host_and_path(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<(HostPattern, String)> {
    let host = match HostPattern::try_from(node.get_text("host").unwrap_or("*").to_owned()) {
        Ok(host) => host,
        Err(message) => {
            let span = node.get("host").map(|n| n.span);
            sink.push(Diagnostic::error(Code::InvalidValue, message).at(span).path(path.key("host")));
            return None;
        }
    };
    let prefix = node.get_text("path").unwrap_or("/");
    if !prefix.starts_with('/') {
        let span = node.get("path").map(|n| n.span);
        let finding = Diagnostic::error(Code::InvalidValue, "the path of a route begins with `/`");
        sink.push(finding.at(span).path(path.key("path")));
        return None;
    }
    Some((host, prefix.to_owned()))
}

fn timeouts(node: &Node) -> RouteTimeouts {
    let default = RouteTimeouts::default();
    let Some(node) = node.get("timeouts") else { return default };
    RouteTimeouts {
        connect: resources::duration(node, "connect").unwrap_or(default.connect),
        read: resources::duration(node, "read").unwrap_or(default.read),
        write: resources::duration(node, "write").unwrap_or(default.write),
    }
}

fn external(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<ExternalRoute> {
    let (host, prefix) = host_and_path(node, path, sink)?;
    let path = path.key("to");
    let to: Vec<String> = node.items("to").iter().filter_map(|to| upstream(to, &path, sink)).collect();
    if to.is_empty() {
        return None;
    }
    Some(ExternalRoute {
        host,
        path: prefix,
        strip_prefix: node.get_flag("strip_prefix"),
        timeouts: timeouts(node),
        to,
    })
}

/// `http://host[:port]` as `host:port`.
fn upstream(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<String> {
    let text = node.as_text()?;
    let host = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let Some(host) = host.filter(|h| !h.is_empty() && !h.contains(['/', '?', '#', '@', ' '])) else {
        let message = format!("`{text}` is not an upstream: write http://host:port");
        sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
        return None;
    };
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
    });
    Some(if has_port { host.to_owned() } else { format!("{host}:80") })
}

/// `:80`, `80` or `127.0.0.1:80`.
fn address(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<SocketAddr> {
    let text = node.as_text()?;
    let full = match text.strip_prefix(':').unwrap_or(text) {
        port if port.parse::<u16>().is_ok() => format!("0.0.0.0:{port}"),
        _ => text.to_owned(),
    };
    if let Ok(address) = full.parse() {
        return Some(address);
    }
    let message = format!("`{text}` is not an address to listen on: write :80 or 127.0.0.1:8080");
    sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
    None
}

/// `http [:PORT]/PATH`, `tcp [PORT]`, `exec COMMAND`.
fn readiness(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Readiness> {
    let text = node.as_text()?.trim();
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let probe = match kind {
        "http" => http(rest),
        "tcp" if rest.is_empty() => Some(Probe::Tcp { port: None }),
        "tcp" => rest.trim_start_matches(':').parse().ok().map(|port| Probe::Tcp { port: Some(port) }),
        "exec" => words::split(rest)
            .ok()
            .filter(|split| !split.words.is_empty() && split.stopped_at.is_none())
            .map(|split| Probe::Exec { command: split.words }),
        "postgres" | "redis" | "celery" => {
            let message = format!("`ready: {kind}` is not in force yet: the Compose healthcheck decides");
            sink.push(Diagnostic::warning(Code::NotYet, message).about(node).path(path));
            return None;
        }
        _ => None,
    };
    if probe.is_none() {
        let message = format!("`{text}` is not a way to be ready");
        let help = "write `http /path`, `http :8000/path`, `tcp`, `tcp 8000` or `exec COMMAND`";
        sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path).help(help));
    }
    probe.map(|probe| Readiness::Probe { probe })
}

fn http(rest: &str) -> Option<Probe> {
    let (port, path) = match rest.find('/') {
        Some(at) => (rest[..at].trim().trim_start_matches(':'), &rest[at..]),
        None => (rest.trim_start_matches(':'), "/"),
    };
    let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
    Some(Probe::Http { path: path.to_owned(), port })
}
