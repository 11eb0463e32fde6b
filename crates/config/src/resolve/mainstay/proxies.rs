//! `trusted_proxies:` and `origin_lock:` of the edge.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::suggest;
use ipnet::IpNet;
use mainstay_model::TrustedProxy;
use std::net::IpAddr;

/// Reads `trusted_proxies:`: `cloudflare`, addresses and networks.
pub(super) fn proxies(edge: &Node, path: &KeyPath, sink: &mut Sink) -> Vec<TrustedProxy> {
    let path = path.key("trusted_proxies");
    let items = edge.items("trusted_proxies").iter().enumerate();
    items.filter_map(|(index, node)| proxy(node, &path.index(index), sink)).collect()
}

fn proxy(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<TrustedProxy> {
    let text = node.as_text()?;
    if text == "cloudflare" {
        return Some(TrustedProxy::Cloudflare);
    }
    if let Some(net) = network(text) {
        return Some(TrustedProxy::Net(net));
    }
    let message = format!("`{text}` is no network");
    let mut finding = Diagnostic::error(Code::InvalidValue, message).about(node).path(path);
    finding = match suggest::closest(text, ["cloudflare"]) {
        Some(meant) => finding.help(format!("did you mean `{meant}`?")),
        None => finding.help("write `cloudflare`, or networks such as 10.0.0.0/8"),
    };
    sink.push(finding);
    None
}

/// A network, or an address for the network of that address alone.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Reads `origin_lock:`.
pub(super) fn origin_lock(edge: &Node, proxies: &[TrustedProxy], path: &KeyPath, sink: &mut Sink) -> bool {
    let locked = edge.get_flag("origin_lock");
    if locked && proxies.is_empty() {
        let message = "`origin_lock` without `trusted_proxies` would let nobody in";
        let node = edge.get("origin_lock").map(|n| n.span);
        let finding = Diagnostic::error(Code::Conflict, message).at(node).path(path.key("origin_lock"));
        sink.push(finding.help("name the proxies in `trusted_proxies`, such as `cloudflare`"));
        return false;
    }
    locked
}
