//! The tree of a project into the words of the model.
//!
//! Reads a tree that has been checked and normalised, so types hold; what is left to report here is what only the
//! meaning of a value shows.

mod build;
mod health;
mod hooks;
mod mainstay;
mod mounts;
mod networks;
mod outside;
mod ports;
mod resources;
mod service;
mod top;

use crate::diagnostic::{Code, Diagnostic, Sink, Span};
use crate::node::{KeyPath, Node};
use crate::paths;
use crate::project::Project;
use crate::source::Source;
use mainstay_model::{ServiceName, Stack, StackName};
use std::collections::BTreeMap;
use std::path::Path;

/// Resolves a stack. `None` when not even its name or a service's can be used; other mistakes are only reported.
pub fn stack(
    project: &Project,
    lookup: &dyn Fn(&str) -> Option<String>,
    source: &dyn Source,
    sink: &mut Sink,
) -> Option<Stack> {
    let reader = Reader { directory: &project.directory, source };
    let name = match StackName::new(project.name.clone()) {
        Ok(name) => name,
        Err(error) => {
            sink.push(Diagnostic::error(Code::StackName, error.to_string()));
            return None;
        }
    };
    let (mut services, mut providers) = (BTreeMap::new(), BTreeMap::new());
    for (name, entry) in project.tree.entries("services") {
        let path = KeyPath::root().key("services").key(name);
        if let (Some(provider), Ok(name)) = (outside::provider(&entry.node), ServiceName::new(name.clone())) {
            providers.insert(name, provider);
            continue;
        }
        let mut cx = Cx { node: &entry.node, path, key_span: entry.key_span, project, reader, sink };
        if let Some(service) = service::service(name, &mut cx) {
            services.insert(service.name.clone(), service);
        }
    }
    let mut jobs = BTreeMap::new();
    for (name, entry) in project.tree.entries("jobs") {
        let Ok(name) = ServiceName::new(name.clone()) else { continue };
        let path = KeyPath::root().key("jobs").key(name.as_str());
        let mut cx = Cx { node: &entry.node, path, key_span: entry.key_span, project, reader, sink };
        jobs.insert(name.clone(), service::container(name, &mut cx));
    }
    let tree = &project.tree;
    let mut edge = mainstay::edge(tree, reader, sink);
    edge.routes.extend(mainstay::statics(tree, reader, lookup, sink));
    let names: Vec<_> = services.keys().cloned().collect();
    for service in services.values_mut() {
        for (name, provider) in &mut providers {
            if service.depends_on.contains_key(name) {
                provider.dependants.insert(service.name.clone());
            }
        }
        service.depends_on.retain(|name, _| names.contains(name));
    }
    // Compose gives every service a network; native ones take none of the Engine's.
    let mut networks = top::networks(tree);
    let containers = || services.values().chain(jobs.values());
    networks.retain(|key, _| containers().any(|service| service.networks.contains_key(key)));
    Some(Stack {
        name,
        directory: project.directory.clone(),
        files: project.files.clone(),
        services,
        jobs,
        providers,
        models: outside::models(tree),
        networks,
        volumes: top::volumes(tree),
        secrets: top::files("secrets", tree, lookup, sink),
        configs: top::files("configs", tree, lookup, sink),
        edge,
    })
}

/// A value being resolved, with what is needed to report about it.
struct Cx<'a> {
    node: &'a Node,
    path: KeyPath,
    key_span: Span,
    project: &'a Project,
    reader: Reader<'a>,
    sink: &'a mut Sink,
}

/// Files that hold values which a stack file only names.
#[derive(Clone, Copy)]
struct Reader<'a> {
    directory: &'a Path,
    source: &'a dyn Source,
}

impl Reader<'_> {
    /// The text of the file that `node` names; reports when it cannot be read.
    fn text(&self, node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<String> {
        let file = paths::absolute(self.directory, node.as_text()?, None);
        let read = self.source.read(&file).map_err(|error| error.to_string());
        let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not text".to_owned()));
        let fail = |error| {
            let message = format!("{} cannot be read: {error}", file.display());
            sink.push(Diagnostic::error(Code::Unreadable, message).about(node).path(path));
        };
        text.map_err(fail).ok()
    }
}

impl<'a> Cx<'a> {
    fn text(&self, key: &str) -> Option<String> {
        self.node.get_text(key).map(str::to_owned)
    }

    fn flag(&self, key: &str) -> bool {
        self.node.get_flag(key)
    }

    fn texts(&self, key: &str) -> Vec<String> {
        texts(self.node.items(key))
    }

    /// A list of texts where an absent key means something else than an empty list.
    fn argv(&self, key: &str) -> Option<Vec<String>> {
        self.node.get(key).and_then(Node::as_list).map(texts)
    }

    fn dict(&self, key: &str) -> BTreeMap<String, String> {
        dict(self.node, key)
    }

    fn error(&mut self, code: Code, message: impl Into<String>, node: &Node, key: &str) {
        let path = self.path.key(key);
        self.sink.push(Diagnostic::error(code, message).about(node).path(path));
    }

    fn warn(&mut self, code: Code, message: impl Into<String>, node: &Node, key: &str) {
        let path = self.path.key(key);
        self.sink.push(Diagnostic::warning(code, message).about(node).path(path));
    }

    fn child(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key)
    }
}

fn texts(items: &[Node]) -> Vec<String> {
    items.iter().filter_map(Node::scalar_text).collect()
}

/// `extra_hosts`: addresses by host.
fn hosts(node: &Node) -> BTreeMap<String, Vec<String>> {
    let hosts = node.entries("extra_hosts");
    hosts.map(|(name, e)| (name.clone(), texts(e.node.as_list().unwrap_or_default()))).collect()
}

fn dict(node: &Node, key: &str) -> BTreeMap<String, String> {
    node.entries(key).filter_map(|(name, entry)| Some((name.clone(), entry.node.scalar_text()?))).collect()
}
