//! `tcp:` of the edge, and `tls: passthrough` of routes: connections that nobody looks into.

use super::{address, transport};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use mainstay_model::{HostPattern, TcpRoute};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Keys of a route that mean something where its connections are passed on as they come.
const OF_PASSTHROUGH: [&str; 6] = ["host", "path", "port", "send_proxy", "tls", "to"];

/// Reads `tcp:`.
pub(super) fn tcp(edge: &Node, path: &KeyPath, sink: &mut Sink) -> Vec<TcpRoute> {
    let path = path.key("tcp");
    let mut all = Vec::new();
    let mut taken: BTreeMap<(SocketAddr, Option<String>), &Node> = BTreeMap::new();
    for (index, node) in edge.items("tcp").iter().enumerate() {
        let path = path.index(index);
        let Some(entry) = entry(node, &path, sink) else { continue };
        let names: Vec<_> = entry.names.iter().map(|name| Some(name.to_string())).collect();
        for name in if names.is_empty() { vec![None] } else { names } {
            let what = name.clone().map_or_else(|| "all else".to_owned(), |name| format!("`{name}`"));
            if let Some(first) = taken.insert((entry.listen, name), node) {
                let message = format!("{what} on {} has two upstreams", entry.listen);
                let finding = Diagnostic::error(Code::PortTwice, message).about(node).path(&path);
                let help = "put both into one `to`, or tell them apart with `sni`";
                sink.push(finding.note("the first one is here", first.span).help(help));
            }
        }
        all.push(entry);
    }
    all
}

fn entry(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<TcpRoute> {
    let listen = address(node.get("listen")?, &path.key("listen"), sink);
    let to_path = path.key("to");
    let to: Vec<_> = node.items("to").iter().filter_map(|to| upstream(to, &to_path, sink)).collect();
    let sni_path = path.key("sni");
    let names: Vec<_> = node.items("sni").iter().filter_map(|name| host(name, &sni_path, sink)).collect();
    let send_proxy = transport::send_proxy(node);
    (!to.is_empty()).then_some(TcpRoute { listen: listen?, names, to, send_proxy })
}

/// `host:port`.
fn upstream(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<String> {
    let text = node.as_text()?;
    let is_upstream = text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
        let is_one = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        is_host && is_one && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_upstream {
        return Some(text.to_owned());
    }
    let message = format!("`{text}` is not an upstream: write service:port or host:port");
    sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
    None
}

fn host(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<HostPattern> {
    match HostPattern::try_from(node.as_text()?.to_owned()) {
        Ok(HostPattern::Any) | Err(_) => {
            let message = "clients ask for `a.example` or, of many, for `*.a.example`";
            let finding = Diagnostic::error(Code::InvalidValue, message).about(node).path(path);
            sink.push(finding.help("leave `sni` out for all connections that no other entry takes"));
            None
        }
        Ok(host) => Some(host),
    }
}

/// Reads `tls:` of a route: whether its connections are passed on as they come. Then nothing of HTTP can be said of them.
pub(super) fn passthrough(node: &Node, host: &HostPattern, path: &KeyPath, sink: &mut Sink) -> bool {
    if node.get("tls").is_none() {
        return false;
    }
    let beside = |(name, _): &(&String, _)| !OF_PASSTHROUGH.contains(&name.as_str());
    for (name, entry) in node.as_map().into_iter().flat_map(|map| map.iter()).filter(beside) {
        let message =
            format!("`{name}` is about requests, and none is seen where TLS is passed on as it comes");
        sink.push(Diagnostic::error(Code::Conflict, message).at(entry.key_span).path(path.key(name)));
    }
    if node.get_text("path").is_some_and(|prefix| prefix != "/") {
        let message = "no path is seen where TLS is passed on as it comes";
        let span = node.get("path").map(|given| given.span);
        sink.push(Diagnostic::error(Code::Conflict, message).at(span).path(path.key("path")));
    }
    if *host == HostPattern::Any {
        let message = "TLS is passed on by the name it asks for: name a `host`";
        let finding = Diagnostic::error(Code::InvalidValue, message).at(node.span).path(path.key("tls"));
        sink.push(finding.help("all connections of an address are passed on by `tcp:` of the edge"));
    }
    true
}
