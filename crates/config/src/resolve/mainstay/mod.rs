//! `x-mainstay` of a service and of the document.

mod access;
mod balance;
mod files;
mod limit;
mod pages;
mod proxies;
mod readiness;
mod response;
mod route;
mod tcp;
mod tls;
mod transport;

use super::{Cx, Reader};
use crate::check::check;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::shape::{Kind, MAINSTAY_SERVICE, MAINSTAY_TOP, Object};
use crate::standing;
use mainstay_model::{AccessLog, Choice, EdgeSettings, LogFormat, Readiness, Route, Site};
use readiness::readiness;
use std::net::SocketAddr;

const KEY: &str = "x-mainstay";

pub use files::is_static;
pub(super) use files::statics;

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
        routes: items
            .filter_map(|(i, node)| route::of_service(node, cx.reader, &path.key("routes").index(i), cx.sink))
            .collect(),
        release: release.filter(|argv| !argv.is_empty()),
        readiness: node.get("ready").and_then(|ready| readiness(ready, &path.key("ready"), cx.sink)),
    }
}

/// Reads `x-mainstay: edge:`.
pub(super) fn edge(tree: &Node, reader: Reader<'_>, sink: &mut Sink) -> EdgeSettings {
    let path = KeyPath::root().key(KEY);
    let Some(node) = checked(tree, &MAINSTAY_TOP, &path, sink) else { return EdgeSettings::default() };
    let Some(edge) = node.get("edge") else { return EdgeSettings::default() };
    let path = path.key("edge");
    let items = edge.items("routes").iter().enumerate();
    let trusted_proxies = proxies::proxies(edge, &path, sink);
    let origin_lock = proxies::origin_lock(edge, &trusted_proxies, &path, sink);
    EdgeSettings {
        http: listen(edge, "http", &path, sink),
        https: listen(edge, "https", &path, sink),
        proxied: edge.get("listen").is_some_and(|listen| listen.get_flag("proxy_protocol")),
        http3: edge.get("listen").is_some_and(|listen| listen.get_flag("http3")),
        tls: tls::tls(edge, reader.directory, &path, sink),
        routes: items
            .filter_map(|(i, node)| route::external(node, reader, &path.key("routes").index(i), sink))
            .collect(),
        tcp: tcp::tcp(edge, &path, sink),
        limits: limit::limits(edge, &path.key("limits"), sink),
        clients: pages::clients(edge, &path, sink),
        site: Site {
            trusted_proxies,
            origin_lock,
            access_log: access_log(edge, &path, sink),
            headers: response::headers(edge, &path, sink).unwrap_or_default(),
            compress: match response::compress(edge, &path, sink) {
                Some(Choice::On(settings)) => Some(settings),
                Some(Choice::Off) | None => None,
            },
            maintenance: pages::maintenance(edge, reader, &path, sink),
            errors: pages::errors(edge, reader, &path, sink),
            client_ca: tls::client_ca(edge, reader, &path, sink),
            cloudflare: proxies::cloudflare(edge, reader, &path, sink),
            access: match access::access(edge, reader, &path, sink) {
                Some(Choice::On(rules)) => Some(rules),
                Some(Choice::Off) | None => None,
            },
        },
    }
}

/// Reads `access_log:`.
fn access_log(edge: &Node, path: &KeyPath, sink: &mut Sink) -> Option<AccessLog> {
    let given = edge.get("access_log")?;
    let format = match given.get_text("format") {
        Some("combined") => LogFormat::Combined,
        _ => LogFormat::Json,
    };
    let one_in = match given.get("one_in") {
        None => 1,
        Some(node) => match node.as_int().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0) {
            Some(one_in) => one_in,
            None => {
                let message = "one request of at least one is written";
                let finding = Diagnostic::error(Code::InvalidValue, message).about(node);
                sink.push(finding.path(path.key("access_log").key("one_in")));
                1
            }
        },
    };
    let names = given.items("redact").iter().filter_map(Node::as_text);
    Some(AccessLog { format, one_in, redact: names.map(str::to_ascii_lowercase).collect() })
}

/// The value of `x-mainstay` in its long form.
fn checked(node: &Node, shape: &'static Object, path: &KeyPath, sink: &mut Sink) -> Option<Node> {
    let entry = node.as_map()?.get(KEY)?;
    let mut node = entry.node.clone();
    let kind = Kind::Object(shape);
    if !check(&mut node, &kind, path, sink) {
        return None;
    }
    crate::complete::complete(&node, entry.key_span, &kind, path, sink);
    standing::below(&kind, &node, path, sink);
    Some(node)
}

fn listen(edge: &Node, what: &str, path: &KeyPath, sink: &mut Sink) -> Option<SocketAddr> {
    let node = edge.at(&["listen", what])?;
    address(node, &path.key("listen").key(what), sink)
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
