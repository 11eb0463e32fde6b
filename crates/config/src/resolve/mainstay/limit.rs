//! `limits:` of the edge.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use mainstay_model::{Limit, LimitKey, LimitKind, Rate};
use std::collections::BTreeMap;

/// Keys that a limit remembers: some 10 MiB when full, and about what nginx's usual `10m` holds.
const KEYS: u32 = 100_000;

/// Reads `limits:`, by name.
pub(super) fn limits(edge: &Node, path: &KeyPath, sink: &mut Sink) -> BTreeMap<String, Limit> {
    let one = |(name, entry): (&String, &crate::node::Entry)| {
        Some((name.clone(), limit(&entry.node, &path.key(name), sink)?))
    };
    edge.entries("limits").filter_map(one).collect()
}

fn limit(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Limit> {
    let kind = match (node.get("rate"), node.get("connections")) {
        (Some(given), None) => LimitKind::Rate(rate(node, given, path, sink)?),
        (None, Some(given)) => LimitKind::Connections(count(given, 1, &path.key("connections"), sink)?),
        _ => {
            let message = "a limit has either a `rate` or a number of `connections`";
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
            return None;
        }
    };
    let keys = match node.get("keys") {
        Some(given) => count(given, 1, &path.key("keys"), sink)?,
        None => KEYS,
    };
    Some(Limit { kind, key: key(node, path, sink)?, keys })
}

fn rate(node: &Node, given: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Rate> {
    let Some(millis) = given.as_text().and_then(thousandths) else {
        let message = format!("`{}` is not a rate", given.scalar_text().unwrap_or_default());
        let help = "write requests per second or per minute, such as 10r/s or 5r/m";
        sink.push(
            Diagnostic::error(Code::InvalidValue, message).about(given).path(path.key("rate")).help(help),
        );
        return None;
    };
    let burst = match node.get("burst") {
        Some(burst) => count(burst, 0, &path.key("burst"), sink)?,
        None => 0,
    };
    let undelayed = match (node.get_flag("nodelay"), node.get("delay")) {
        (true, None) => burst,
        (false, Some(delay)) => count(delay, 0, &path.key("delay"), sink)?,
        (false, None) => 0,
        (true, Some(delay)) => {
            let message = "`delay` and `nodelay` exclude each other";
            sink.push(Diagnostic::error(Code::Conflict, message).about(delay).path(path.key("delay")));
            return None;
        }
    };
    Some(Rate { millis, burst, undelayed })
}

/// `10r/s` in thousandths of a request per second, rounded down as nginx does.
fn thousandths(text: &str) -> Option<u32> {
    let (number, seconds) = match text.strip_suffix("r/s") {
        Some(number) => (number, 1),
        None => (text.strip_suffix("r/m")?, 60),
    };
    let number = number.trim().parse::<u32>().ok()?;
    number.checked_mul(1000).map(|n| n / seconds).filter(|millis| *millis > 0)
}

/// `client`, `route` or `header NAME`.
fn key(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<LimitKey> {
    let Some(given) = node.get("key") else { return Some(LimitKey::default()) };
    let text = given.as_text()?.trim();
    match text.split_once(char::is_whitespace) {
        None if text == "client" => return Some(LimitKey::Client),
        None if text == "route" => return Some(LimitKey::Route),
        Some(("header", name)) if super::route::is_token(name.trim()) => {
            return Some(LimitKey::Header(name.trim().to_ascii_lowercase()));
        }
        _ => {}
    }
    let message = format!("`{text}` is nothing requests can be counted by");
    let finding = Diagnostic::error(Code::InvalidValue, message).about(given).path(path.key("key"));
    sink.push(finding.help("write `client`, `route` or `header NAME`"));
    None
}

fn count(given: &Node, least: u32, path: &KeyPath, sink: &mut Sink) -> Option<u32> {
    /// Thousand times this fits where nginx keeps its excess.
    const MOST: u32 = 4_000_000;
    let number = given.as_int().and_then(|n| u32::try_from(n).ok());
    let found = number.filter(|n| (least..=MOST).contains(n));
    if found.is_none() {
        let message = format!("this is a whole number from {least} to {MOST}");
        sink.push(Diagnostic::error(Code::InvalidValue, message).about(given).path(path));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_as_nginx_rounds_them() {
        assert_eq!(thousandths("10r/s"), Some(10_000));
        assert_eq!(thousandths("5r/m"), Some(83));
        assert_eq!(thousandths("1r/m"), Some(16));
        for bad in ["10", "r/s", "0r/s", "-1r/s", "1.5r/s", "10r/h", "9999999r/s"] {
            assert_eq!(thousandths(bad), None, "{bad}");
        }
    }
}
