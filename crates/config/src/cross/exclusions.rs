//! What the Compose Specification excludes for a single resource, whatever the rest of the project says.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node, Value};
use std::net::IpAddr;

/// Reports combinations that the Compose Specification excludes for a single resource.
pub fn exclusions(tree: &Node, sink: &mut Sink) {
    let root = KeyPath::root();
    for (kind, sources) in
        [("configs", ["file", "environment", "content"].as_slice()), ("secrets", &["file", "environment"])]
    {
        for (name, entry) in tree.entries(kind) {
            let path = root.key(kind).key(name);
            let given: Vec<_> = sources.iter().filter(|s| entry.node.get(s).is_some()).collect();
            let all = sources.iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", ");
            if given.len() > 1 {
                let message = format!("only one of {all} can be given");
                sink.push(Diagnostic::error(Code::Conflict, message).at(entry.key_span).path(path));
            } else if given.is_empty()
                && !entry.node.broken
                && entry.node.get("external").is_none()
                && entry.node.get("driver").is_none()
            {
                let message = format!("one of {all} has to be given");
                sink.push(Diagnostic::error(Code::MissingKey, message).at(entry.key_span).path(path));
            }
        }
    }
    services(tree, sink);
    for (name, entry) in tree.entries("jobs") {
        let Some(triggers) = entry.node.get("triggers") else { continue };
        if triggers.get("manual").is_none() && triggers.get("schedule").is_none() {
            let path = root.key("jobs").key(name).key("triggers");
            let finding = Diagnostic::error(Code::MissingKey, "one of `manual`, `schedule` has to be given");
            sink.push(finding.about(triggers).path(path));
        }
    }
    for (name, entry) in tree.entries("volumes").filter(|(_, e)| e.node.get_flag("external")) {
        for (key, value) in entry.node.as_map().into_iter().flatten() {
            if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
                let message = format!("an external volume exists already, so `{key}` says nothing about it");
                let path = root.key("volumes").key(name).key(key);
                sink.push(Diagnostic::error(Code::Conflict, message).at(value.key_span).path(path));
            }
        }
    }
}

/// What excludes each other within one service.
fn services(tree: &Node, sink: &mut Sink) {
    for (name, entry) in tree.entries("services") {
        let path = KeyPath::root().key("services").key(name);
        let reserved = entry.node.at(&["deploy", "resources", "reservations"]).map(|r| r.items("devices"));
        let requests = entry.node.items("gpus").iter().map(|node| (node, "gpus"));
        let reserved =
            reserved.unwrap_or_default().iter().map(|node| (node, "deploy.resources.reservations.devices"));
        for (request, key) in requests.chain(reserved) {
            if request.get("count").is_some() && request.get("device_ids").is_some() {
                let message = "`count` and `device_ids` exclude each other";
                sink.push(Diagnostic::error(Code::Conflict, message).about(request).path(path.key(key)));
            }
        }
        for (index, mount) in entry.node.items("volumes").iter().enumerate() {
            let size = mount.get("tmpfs").and_then(|tmpfs| tmpfs.get("size"));
            if let Some(size) = size.filter(|size| matches!(size.value, Value::Int(..0))) {
                let path = path.key("volumes").index(index).key("tmpfs").key("size");
                let finding = Diagnostic::error(Code::InvalidValue, "a size cannot be negative");
                sink.push(finding.about(size).path(path));
            }
        }
        for (index, port) in entry.node.items("ports").iter().enumerate() {
            let Some(node) = port.get("host_ip") else { continue };
            if node.as_text().is_some_and(|ip| ip.parse::<IpAddr>().is_err()) {
                let path = path.key("ports").index(index).key("host_ip");
                sink.push(
                    Diagnostic::error(Code::BadPort, "this is not an IP address").about(node).path(path),
                );
            }
        }
        let rules = entry.node.get("develop").map(|develop| develop.items("watch")).unwrap_or_default();
        for (index, rule) in rules.iter().enumerate() {
            if let Some(watched) = rule.get("path").filter(|p| p.as_text() == Some("")) {
                let path = path.key("develop").key("watch").index(index).key("path");
                sink.push(
                    Diagnostic::error(Code::InvalidValue, "the path is empty").about(watched).path(path),
                );
            }
        }
    }
}
