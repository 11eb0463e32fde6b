//! `static:` of a service: its routes become routes of the edge, which serves the files itself.

use super::{KEY, checked, route};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::Reader;
use crate::shape::MAINSTAY_SERVICE;
use mainstay_model::{ExternalRoute, Files, Route, ServiceName, Transport};
use std::collections::BTreeMap;
use std::path::Path;

/// Whether a service is nothing but files.
pub fn is_static(service: &Node) -> bool {
    service.at(&[KEY, "static"]).is_some()
}

/// The routes of all services that are files.
pub(in crate::resolve) fn statics(
    tree: &Node,
    reader: Reader<'_>,
    lookup: &dyn Fn(&str) -> Option<String>,
    sink: &mut Sink,
) -> Vec<ExternalRoute> {
    let mut all = Vec::new();
    for (name, entry) in tree.entries("services").filter(|(_, entry)| is_static(&entry.node)) {
        let path = KeyPath::root().key("services").key(name).key(KEY);
        let Some(node) = checked(&entry.node, &MAINSTAY_SERVICE, &path, sink) else { continue };
        for key in ["image", "build", "command", "entrypoint"] {
            if let Some(given) = entry.node.get(key) {
                let message = format!("`static` needs no `{key}`: the edge serves the files itself");
                sink.push(Diagnostic::error(Code::Conflict, message).at(given.span).path(path.key("static")));
            }
        }
        let Some(given) = node.get("static") else { continue };
        let Some(files) = files(given, reader.directory, lookup, &path.key("static"), sink) else { continue };
        let files = Files { service: ServiceName::new(name.clone()).ok(), ..files };
        if node.items("routes").is_empty() {
            let finding =
                Diagnostic::error(Code::MissingKey, "`routes` is missing here: nobody would see the files");
            sink.push(finding.at(given.span).path(&path));
        }
        for (index, item) in node.items("routes").iter().enumerate() {
            let read = route::of_service(item, reader, &path.key("routes").index(index), sink);
            let Some(Route { host, path, policy, .. }) = read else { continue };
            let policy = mainstay_model::RoutePolicy { files: Some(files.clone()), ..policy };
            let transport = Transport::default();
            let passthrough = false;
            all.push(ExternalRoute {
                host,
                path,
                to: Vec::new(),
                shares: BTreeMap::new(),
                transport,
                passthrough,
                health: None,
                policy,
            });
        }
    }
    all
}

fn files(
    given: &Node,
    directory: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
    path: &KeyPath,
    sink: &mut Sink,
) -> Option<Files> {
    let root = directory.join(given.get_text("root")?);
    let mut env = BTreeMap::new();
    for (index, item) in given.items("env").iter().enumerate() {
        let Some(name) = item.as_text() else { continue };
        match lookup(name) {
            Some(value) => {
                env.insert(name.to_owned(), value);
            }
            None => {
                let message =
                    format!("the variable `{name}` is not set: pages keep what stands in its place");
                let finding = Diagnostic::warning(Code::UnsetVariable, message).about(item);
                sink.push(finding.path(path.key("env").index(index)));
            }
        }
    }
    // Without `./`, so that it reads as it is.
    let root = root.components().collect();
    let keep = keep(given, path, sink);
    Some(Files { service: None, root, keep, snapshot: None, spa: given.get_flag("spa"), env })
}

fn keep(given: &Node, path: &KeyPath, sink: &mut Sink) -> u32 {
    /// Whoever has a page open for longer than two deploys has most likely gone.
    const KEEP: u32 = 3;
    /// Each costs a directory to look into for what is missing.
    const MOST: u32 = 50;
    let Some(node) = given.get("keep") else { return KEEP };
    let keep = node.as_int().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= MOST);
    if keep.is_none() {
        let message = format!("this is a whole number from 0 to {MOST}");
        sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path.key("keep")));
    }
    keep.unwrap_or(KEEP)
}
