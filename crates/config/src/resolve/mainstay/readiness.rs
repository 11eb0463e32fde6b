//! `ready:` of a service.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::words;
use mainstay_model::{Probe, Readiness};

/// `http [:PORT]/PATH`, `tcp [PORT]`, `exec COMMAND`.
pub(super) fn readiness(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Readiness> {
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
