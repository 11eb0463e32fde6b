//! `maintenance:`, `error_pages:`, `intercept_errors:` and `clients:` of the edge.

use super::balance::count;
use super::proxies::network;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::{Reader, resources};
use mainstay_model::{ClientRules, ErrorPages, Maintenance, PageFor};
use std::time::Duration;

/// When clients come back, unless said: search engines take some minutes for work that passes.
const RETRY_AFTER: Duration = Duration::from_secs(300);

/// Reads `maintenance:`.
pub(super) fn maintenance(
    edge: &Node,
    reader: Reader<'_>,
    path: &KeyPath,
    sink: &mut Sink,
) -> Option<Maintenance> {
    let given = edge.get("maintenance").filter(|given| !given.get_flag("off"))?;
    let path = path.key("maintenance");
    let mut allow = Vec::new();
    for (index, item) in given.items("allow").iter().enumerate() {
        let text = item.as_text().unwrap_or_default();
        match network(text) {
            Some(network) => allow.push(network),
            None => {
                let finding = Diagnostic::error(Code::InvalidValue, format!("`{text}` is no network"));
                let finding = finding.about(item).path(path.key("allow").index(index));
                sink.push(finding.help("write addresses, or networks such as 10.0.0.0/8"));
            }
        }
    }
    Some(Maintenance {
        page: given.get("page").and_then(|page| reader.text(page, &path.key("page"), sink)),
        allow,
        retry_after: resources::duration(given, "retry_after").unwrap_or(RETRY_AFTER),
    })
}

/// Reads `error_pages:` and `intercept_errors:`.
pub(super) fn errors(edge: &Node, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> ErrorPages {
    let mut errors = ErrorPages { intercept: edge.get_flag("intercept_errors"), ..ErrorPages::default() };
    let path = &path.key("error_pages");
    for (name, entry) in edge.entries("error_pages") {
        let page = PageFor::try_from(name.clone());
        match (page, reader.text(&entry.node, &path.key(name), sink)) {
            (Ok(page), Some(text)) => drop(errors.pages.insert(page, text)),
            (Ok(_), None) => {}
            (Err(message), _) => {
                let finding = Diagnostic::error(Code::InvalidValue, message).at(entry.key_span);
                sink.push(finding.path(path.key(name)));
            }
        }
    }
    errors
}

/// Reads `clients:`.
pub(super) fn clients(edge: &Node, path: &KeyPath, sink: &mut Sink) -> ClientRules {
    let Some(given) = edge.get("clients") else { return ClientRules::default() };
    let path = &path.key("clients");
    let mut bounded = |key: &str, least: u32, most: u32| {
        let number = count(given, key, path, sink)?;
        if (least..=most).contains(&number) {
            return Some(number);
        }
        let message = format!("this is a whole number from {least} to {most}");
        let finding = Diagnostic::error(Code::InvalidValue, message).path(path.key(key));
        sink.push(match given.get(key) {
            Some(node) => finding.about(node),
            None => finding,
        });
        None
    };
    ClientRules {
        connections: bounded("connections", 1, u32::MAX),
        per_client: bounded("per_client", 1, u32::MAX),
        head: resources::duration(given, "head"),
        idle: resources::duration(given, "idle"),
        // Buffers are made for so much; a browser's request has a few hundred bytes and some twenty fields.
        head_size: bounded("head_size", 512, 16 * 1024),
        head_line: bounded("head_line", 512, 16 * 1024),
        head_fields: bounded("head_fields", 10, 100),
        body_rate: bounded("body_rate", 1, u32::MAX),
    }
}
