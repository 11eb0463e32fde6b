//! `routes:` of a service and of the edge.

use super::{access, balance, response, tcp, transport};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::{Reader, resources};
use mainstay_model::{
    Conditions, ExternalRoute, HostPattern, Redirect, Route, RoutePolicy, RouteTimeouts, UpstreamHealth,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Reads a route of a service.
pub(super) fn of_service(node: &Node, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> Option<Route> {
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
    let www = node.get("www").is_some();
    if www && !matches!(host, HostPattern::Exact(_)) {
        let message = "`www` needs a whole host name";
        let span = node.get("www").map(|n| n.span);
        sink.push(Diagnostic::error(Code::InvalidValue, message).at(span).path(path.key("www")));
    }
    let transport = transport::of_service(node, reader, path, sink);
    let passthrough = tcp::passthrough(node, &host, path, sink);
    let policy = policy(node, reader, path, sink);
    Some(Route { host, path: prefix, port, www, transport, passthrough, policy })
}

/// Reads a route of the edge.
pub(super) fn external(
    node: &Node,
    reader: Reader<'_>,
    path: &KeyPath,
    sink: &mut Sink,
) -> Option<ExternalRoute> {
    let (host, prefix) = host_and_path(node, path, sink)?;
    let policy = policy(node, reader, path, sink);
    let (to, transport) = transport::of_external(node, reader, path, sink);
    let shares = balance::shares(node, &to, &path.key("to"), sink);
    if node.get("to").is_none() && policy.redirect.is_none() {
        let finding = Diagnostic::error(Code::MissingKey, "`to` is missing here").at(node.span).path(path);
        sink.push(finding);
        return None;
    }
    if to.is_empty() && policy.redirect.is_none() {
        return None;
    }
    let passthrough = tcp::passthrough(node, &host, path, sink);
    let health = node.get("health").and_then(|given| health(given, &path.key("health"), sink));
    Some(ExternalRoute { host, path: prefix, to, shares, transport, passthrough, health, policy })
}

/// Reads `health:`.
fn health(given: &Node, path: &KeyPath, sink: &mut Sink) -> Option<UpstreamHealth> {
    /// As often as Compose asks unless told otherwise would be a minute of errors; load balancers ask so often.
    const INTERVAL: Duration = Duration::from_secs(10);
    /// More often is load, not care.
    const SHORTEST: Duration = Duration::from_secs(1);
    /// Whoever takes longer for this is not well.
    const TIMEOUT: Duration = Duration::from_secs(5);
    let asked = new_path(given, "path", path, sink)?;
    let interval = resources::duration(given, "interval").unwrap_or(INTERVAL);
    if let (true, Some(node)) = (interval < SHORTEST, given.get("interval")) {
        let finding = Diagnostic::error(Code::InvalidValue, "an interval is a second at least");
        sink.push(finding.about(node).path(path.key("interval")));
    }
    let timeout = resources::duration(given, "timeout").unwrap_or(TIMEOUT);
    Some(UpstreamHealth { path: asked, interval, timeout })
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

fn policy(node: &Node, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> RoutePolicy {
    let rewrite = new_path(node, "rewrite", path, sink);
    let add_prefix = new_path(node, "add_prefix", path, sink);
    let strip_prefix = node.get_flag("strip_prefix");
    if strip_prefix && let (Some(_), Some(given)) = (&rewrite, node.get("rewrite")) {
        let message = "`rewrite` already takes the prefix off: `strip_prefix` says the same";
        sink.push(Diagnostic::error(Code::Conflict, message).about(given).path(path.key("rewrite")));
    }
    let max_in_flight = balance::count(node, "max_in_flight", path, sink);
    let queue = balance::queue(node, max_in_flight, path, sink);
    RoutePolicy {
        exact: node.get_flag("exact"),
        when: conditions(node, path, sink),
        weight: weight(node, path, sink),
        strip_prefix,
        rewrite,
        add_prefix,
        redirect: redirect(node, path, sink),
        files: None,
        limits: limits(node),
        max_body: node.get_int("max_body").and_then(|n| u64::try_from(n).ok()),
        timeouts: timeouts(node),
        headers: response::headers(node, path, sink),
        request_headers: response::request_headers(node, path, sink),
        cors: response::cors(node, path, sink),
        compress: response::compress(node, path, sink),
        harden_cookies: node.get("cookies").is_some(),
        access: access::access(node, reader, path, sink),
        balance: balance::balance(node, path, sink),
        max_in_flight,
        queue,
        keepalive: balance::keepalive(node, path, sink),
        slow_start: balance::slow_start(node, path, sink),
        eject: balance::eject(node, path, sink),
    }
}

/// Names under `limit:`; `none` says that nothing counts.
fn limits(node: &Node) -> Vec<String> {
    let names = node.items("limit").iter().filter_map(Node::as_text);
    names.filter(|name| *name != "none").map(str::to_owned).collect()
}

fn new_path(node: &Node, key: &str, path: &KeyPath, sink: &mut Sink) -> Option<String> {
    let given = node.get(key)?;
    let text = given.as_text()?;
    // What is put into a request line must be a path and nothing else.
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\');
    if text.starts_with('/') && text.bytes().all(plain) {
        return Some(text.to_owned());
    }
    let message = format!("`{text}` is not a path that begins with `/`");
    sink.push(Diagnostic::error(Code::InvalidValue, message).about(given).path(path.key(key)));
    None
}

pub(super) fn weight(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<u32> {
    /// Finer shares than a thousandth of a percent have no use, and sums stay far from overflowing.
    const MOST: u32 = 100_000;
    let given = node.get("weight")?;
    let weight = given.as_int().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= MOST);
    if weight.is_none() {
        let message = format!("a weight is a whole number from 0 to {MOST}");
        sink.push(Diagnostic::error(Code::InvalidValue, message).about(given).path(path.key("weight")));
    }
    weight
}

fn conditions(node: &Node, path: &KeyPath, sink: &mut Sink) -> Conditions {
    let Some(when) = node.get("when") else { return Conditions::default() };
    let path = path.key("when");
    let mut methods = Vec::new();
    for (index, given) in when.items("methods").iter().enumerate() {
        let text = given.as_text().unwrap_or_default();
        if is_token(text) && !text.bytes().any(|b| b.is_ascii_lowercase()) {
            methods.push(text.to_owned());
        } else {
            let message = format!("`{text}` is not a method: they are written in capitals");
            let finding = Diagnostic::error(Code::InvalidValue, message).about(given);
            sink.push(finding.path(path.key("methods").index(index)));
        }
    }
    let mut headers = BTreeMap::new();
    for (name, entry) in when.entries("headers") {
        if is_token(name) {
            let value = entry.node.as_text().filter(|value| *value != "*").map(str::to_owned);
            headers.insert(name.to_ascii_lowercase(), value);
        } else {
            let message = format!("`{name}` is not the name of a header");
            let finding = Diagnostic::error(Code::InvalidValue, message).at(entry.key_span);
            sink.push(finding.path(path.key("headers").key(name)));
        }
    }
    Conditions { methods, headers }
}

/// A token of HTTP (RFC 9110, 5.6.2): a method or the name of a field.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `URL`, or a status and a URL as in nginx's `return`.
fn redirect(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Redirect> {
    /// Keeps the method, and is kept by caches.
    const PERMANENT: u16 = 308;
    let given = node.get("redirect")?;
    let text = given.as_text()?;
    let (status, to) = match text.split_once(' ') {
        Some((status, to)) => (status.parse().ok(), to.trim()),
        None => (Some(PERMANENT), text),
    };
    let status = status.filter(|s| matches!(s, 301 | 302 | 303 | 307 | 308));
    let is_target = to.starts_with('/') || to.starts_with("https://") || to.starts_with("http://");
    if let (Some(status), true, true) = (status, is_target, to.bytes().all(|b| b.is_ascii_graphic())) {
        return Some(Redirect { to: to.to_owned(), status });
    }
    let message = format!("`{text}` is not where a request can be sent");
    let finding = Diagnostic::error(Code::InvalidValue, message).about(given).path(path.key("redirect"));
    sink.push(finding.help("write a URL or a path, or `301 https://other.example{uri}`"));
    None
}

fn timeouts(node: &Node) -> RouteTimeouts {
    let default = RouteTimeouts::default();
    let Some(node) = node.get("timeouts") else { return default };
    let time = |key| resources::duration(node, key);
    RouteTimeouts {
        connect: time("connect").unwrap_or(default.connect),
        read: time("read").unwrap_or(default.read),
        write: time("write").unwrap_or(default.write),
        body: time("body").unwrap_or(default.body),
        first_byte: time("first_byte"),
        request: time("request"),
        queue: time("queue"),
    }
}
