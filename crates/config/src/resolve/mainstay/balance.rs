//! `balance:`, `max_in_flight:`, `queue:` and `eject:` of routes.

use super::route::is_token;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::resources;
use crate::suggest;
use mainstay_model::{Balance, Ejection, HashKey};
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

/// Reads `eject:`.
pub(super) fn eject(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Ejection> {
    let given = node.get("eject").filter(|given| !given.get_flag("off"))?;
    let after = count(given, "after", &path.key("eject"), sink).unwrap_or(EJECT_AFTER);
    Some(Ejection { after, pause: resources::duration(given, "for").unwrap_or(EJECT_FOR) })
}
