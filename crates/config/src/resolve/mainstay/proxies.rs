//! `trusted_proxies:` and `origin_lock:` of the edge.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::Reader;
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

/// Reads `cloudflare_ranges:`: a file of networks, one a line, in the place of those known when this was built.
pub(super) fn cloudflare(edge: &Node, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> Vec<IpNet> {
    let Some(given) = edge.get("cloudflare_ranges") else { return Vec::new() };
    let path = path.key("cloudflare_ranges");
    let Some(text) = reader.text(given, &path, sink) else { return Vec::new() };
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read: Result<Vec<IpNet>, usize> = lines.map(|(place, line)| network(line).ok_or(place + 1)).collect();
    let message = match read {
        Ok(networks) if !networks.is_empty() => return networks,
        Ok(_) => "there is no network in this file".to_owned(),
        Err(line) => format!("line {line} of this file is no network"),
    };
    let finding = Diagnostic::error(Code::InvalidValue, message).about(given).path(path);
    sink.push(finding.help("one network a line, as in https://www.cloudflare.com/ips-v4 and ips-v6"));
    Vec::new()
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
