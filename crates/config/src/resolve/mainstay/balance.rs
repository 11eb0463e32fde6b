//! `balance:`, `max_in_flight:`, `queue:` and `eject:` of routes.

use super::route::{is_token, weight};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::resources;
use crate::suggest;
use mainstay_model::{Balance, Ejection, HashKey, Keepalive, UpstreamShare};
use std::collections::BTreeMap;
use std::time::Duration;

/// Failures in a row before an instance is left alone: one or two are a bad page, five are a bad instance.
const EJECT_AFTER: u32 = 5;
/// For how long at first: a restart takes about as long.
const EJECT_FOR: Duration = Duration::from_secs(30);

/// Name of the cookie where none is given.
const COOKIE: &str = "mainstay";

/// Reads `balance:`: `least_conn`, `round_robin`, `random`, `sticky`, `sticky NAME`, `hash client`, `hash header NAME` or
/// `hash cookie NAME`.
pub(super) fn balance(node: &Node, path: &KeyPath, sink: &mut Sink) -> Balance {
    let Some(given) = node.get("balance") else { return Balance::default() };
    let text = given.as_text().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["least_conn"] => return Balance::LeastConn,
        ["round_robin"] => return Balance::RoundRobin,
        ["random"] => return Balance::Random,
        ["sticky"] => return Balance::Sticky(COOKIE.to_owned()),
        ["sticky", name] if is_token(name) => return Balance::Sticky((*name).to_owned()),
        ["hash", "client"] => return Balance::Hash(HashKey::Client),
        ["hash", "header", name] if is_token(name) => {
            return Balance::Hash(HashKey::Header(name.to_ascii_lowercase()));
        }
        ["hash", "cookie", name] if is_token(name) => {
            return Balance::Hash(HashKey::Cookie((*name).to_owned()));
        }
        _ => {}
    }
    let message = format!("`{text}` is no way to spread requests");
    let finding = Diagnostic::error(Code::InvalidValue, message).about(given).path(path.key("balance"));
    let known =
        ["least_conn", "round_robin", "random", "sticky", "hash client", "hash header", "hash cookie"];
    sink.push(match suggest::closest(text, known) {
        Some(meant) => finding.help(format!("did you mean `{meant}`?")),
        None => finding.help(
            "write `least_conn`, `round_robin`, `random`, `sticky`, `hash client`, `hash header NAME` or `hash cookie NAME`",
        ),
    });
    Balance::default()
}

/// A number of at least one.
pub(super) fn count(node: &Node, key: &str, path: &KeyPath, sink: &mut Sink) -> Option<u32> {
    let given = node.get(key)?;
    let count = given.as_int().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    if count.is_none() {
        let finding = Diagnostic::error(Code::InvalidValue, "this is a whole number of at least 1");
        sink.push(finding.about(given).path(path.key(key)));
    }
    count
}

/// Reads `queue:`, which needs `max_in_flight`.
pub(super) fn queue(node: &Node, max_in_flight: Option<u32>, path: &KeyPath, sink: &mut Sink) -> u32 {
    let queue = count(node, "queue", path, sink);
    if let (Some(given), None, None) = (node.get("queue"), max_in_flight, node.get("max_in_flight")) {
        let message = "nothing waits in a queue where instances take any number of requests";
        let finding = Diagnostic::error(Code::Conflict, message).about(given).path(path.key("queue"));
        sink.push(finding.help("say with `max_in_flight` how many requests one instance takes at once"));
    }
    queue.unwrap_or(0)
}

/// Reads what is said of some of several upstreams, whose addresses are `to`.
pub(super) fn shares(
    node: &Node,
    to: &[String],
    path: &KeyPath,
    sink: &mut Sink,
) -> BTreeMap<String, UpstreamShare> {
    let items = node.items("to").iter().enumerate();
    let shares: Vec<_> = items.map(|(index, given)| share(given, &path.index(index), sink)).collect();
    let is_backup = |share: &Option<UpstreamShare>| share.is_some_and(|share| share.is_backup);
    if let (false, true, Some(given)) = (shares.is_empty(), shares.iter().all(is_backup), node.get("to")) {
        let finding = Diagnostic::error(Code::Conflict, "all upstreams are backups, and of none");
        sink.push(finding.about(given).path(path));
    }
    // Where they are not as many, something was wrong with an address, and was said.
    to.iter().cloned().zip(shares).filter_map(|(address, share)| Some((address, share?))).collect()
}

fn share(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<UpstreamShare> {
    let is_backup = node.get_flag("backup");
    let weight = weight(node, path, sink);
    if let (Some(0), Some(given)) = (weight, node.get("weight")) {
        let finding = Diagnostic::error(Code::InvalidValue, "an upstream without a share is none");
        sink.push(
            finding.about(given).path(path.key("weight")).help("leave it out, or write `backup: true`"),
        );
    }
    (weight.is_some() || is_backup).then(|| UpstreamShare { weight: weight.unwrap_or(1), is_backup })
}

/// Reads `keepalive:`.
pub(super) fn keepalive(node: &Node, path: &KeyPath, sink: &mut Sink) -> Keepalive {
    let Some(given) = node.get("keepalive") else { return Keepalive::default() };
    let path = path.key("keepalive");
    let connections = given.get("connections").and_then(|node| {
        let connections = node.as_int().and_then(|n| u32::try_from(n).ok());
        if connections.is_none() {
            let finding = Diagnostic::error(Code::InvalidValue, "this is a whole number, 0 for none");
            sink.push(finding.about(node).path(path.key("connections")));
        }
        connections
    });
    let requests = count(given, "requests", &path, sink);
    Keepalive { connections, idle: resources::duration(given, "idle"), requests }
}

/// Reads `slow_start:`. nginx refuses it with `hash`, too: keys would move for as long as it lasts.
pub(super) fn slow_start(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Duration> {
    let given = node.get("slow_start")?;
    if node.get_text("balance").is_some_and(|balance| balance.starts_with("hash")) {
        let message = "with `hash` a share that grows would move keys again and again";
        let finding = Diagnostic::error(Code::Conflict, message).about(given).path(path.key("slow_start"));
        sink.push(finding.help("leave out one of the two"));
    }
    resources::duration(node, "slow_start").filter(|time| !time.is_zero())
}

/// Reads `eject:`.
pub(super) fn eject(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Ejection> {
    let given = node.get("eject").filter(|given| !given.get_flag("off"))?;
    let after = count(given, "after", &path.key("eject"), sink).unwrap_or(EJECT_AFTER);
    Some(Ejection { after, pause: resources::duration(given, "for").unwrap_or(EJECT_FOR) })
}
