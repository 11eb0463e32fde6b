//! The merged tree with every default of the Compose Specification filled in, paths made absolute, and what is
//! implied spelled out: names of networks and volumes, the default network, dependencies.

use crate::diagnostic::Span;
use crate::inherit;
use crate::mounts;
use crate::node::{Entry, Map, Node, Value};
use crate::paths;
use crate::short::fields;
use std::path::Path;

/// What the tree is seen from.
pub struct Place<'a> {
    /// The project directory.
    pub directory: &'a Path,
    /// The user's home directory, for `~`.
    pub home: Option<&'a str>,
    /// Variables, for values that are inherited.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// The kinds of resources that run containers.
const CONTAINERS: [&str; 2] = ["services", "jobs"];

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

impl Place<'_> {
    fn resolve(&self, node: &mut Node) {
        if let Some(path) = node.as_text().filter(|p| !p.is_empty()) {
            let absolute = paths::absolute(self.directory, path, self.home);
            node.value = text(absolute.to_string_lossy());
        }
    }

    fn resolve_key(&self, node: &mut Node, key: &str) {
        if let Some(node) = node.get_mut(key) {
            self.resolve(node);
        }
    }

    /// Makes the paths of a tree absolute. Separate from the rest, because files that are extended or included
    /// have directories of their own.
    pub fn paths(&self, tree: &mut Node) {
        for kind in CONTAINERS {
            for (_, entry) in tree.entries_mut(kind) {
                self.service_paths(&mut entry.node);
            }
        }
        for key in ["configs", "secrets"] {
            for (_, entry) in tree.entries_mut(key) {
                self.resolve_key(&mut entry.node, "file");
            }
        }
        for (_, entry) in tree.entries_mut("volumes") {
            let is_bind = entry.node.get_text("driver") == Some("local")
                && entry.node.at(&["driver_opts", "o"]).and_then(Node::as_text) == Some("bind");
            if is_bind && let Some(options) = entry.node.get_mut("driver_opts") {
                self.resolve_key(options, "device");
            }
        }
    }

    fn service_paths(&self, service: &mut Node) {
        if let Some(build) = service.get_mut("build") {
            for (_, entry) in build.entries_mut("ssh") {
                self.resolve(&mut entry.node);
            }
            for key in ["context", "additional_contexts"] {
                let Some(node) = build.get_mut(key) else { continue };
                match &mut node.value {
                    Value::Text(context) if !paths::is_remote(context) => self.resolve(node),
                    Value::Map(map) => {
                        for entry in map.values_mut() {
                            if entry.node.as_text().is_some_and(|c| !paths::is_remote(c)) {
                                self.resolve(&mut entry.node);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        self.container_paths(service);
        for hook in service.items_mut("pre_start") {
            self.container_paths(hook);
        }
        if let Some(develop) = service.get_mut("develop") {
            for watch in develop.items_mut("watch") {
                self.resolve_key(watch, "path");
            }
        }
        self.resolve_key_of(service, &["extends", "file"]);
    }

    /// Paths of whatever runs a container.
    fn container_paths(&self, container: &mut Node) {
        for file in container.items_mut("env_file") {
            self.resolve_key(file, "path");
        }
        for file in container.items_mut("label_file") {
            self.resolve(file);
        }
        for mount in container.items_mut("volumes") {
            if mount.get_text("type") == Some("bind") {
                self.resolve_key(mount, "source");
            }
        }
    }

    fn resolve_key_of(&self, node: &mut Node, keys: &[&str; 2]) {
        if let Some(node) = node.get_mut(keys[0]) {
            self.resolve_key(node, keys[1]);
        }
    }

    /// Gives variables of services without value that of the environment.
    pub fn environment(&self, tree: &mut Node) {
        for (_, entry) in tree.entries_mut("services") {
            match entry.node.get_mut("environment").map(|node| &mut node.value) {
                Some(Value::Map(map)) => self.inherit(map),
                // As written, where nothing is interpolated.
                Some(Value::List(items)) => {
                    for item in items {
                        let Some(name) = item.as_text().filter(|name| !name.contains('=')) else { continue };
                        if let Some(value) = (self.lookup)(name) {
                            item.value = text(format!("{name}={value}"));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Fills in the defaults of keys that are there.
    pub fn defaults(&self, tree: &mut Node) {
        for kind in CONTAINERS {
            for (_, entry) in tree.entries_mut(kind) {
                defaults(&mut entry.node);
            }
        }
    }

    /// Spells out what is implied.
    pub fn implied(&self, tree: &mut Node, name: &str) {
        default_network(tree);
        for kind in CONTAINERS {
            for (_, entry) in tree.entries_mut(kind) {
                self.service(&mut entry.node);
            }
        }
        for kind in ["networks", "volumes", "configs", "secrets"] {
            for (key, entry) in tree.entries_mut(kind) {
                if entry.node.is_null() {
                    entry.node.value = fields(entry.key_span, []);
                }
                let real =
                    if entry.node.get_flag("external") { key.clone() } else { format!("{name}_{key}") };
                entry.node.put_default("name", text(real));
            }
        }
    }

    fn service(&self, service: &mut Node) {
        if service.get_text("pull_policy") == Some("if_not_present") {
            service.put("pull_policy", text("missing"));
        }
        if let Some(build) = service.get_mut("build") {
            if build.get("dockerfile").is_none() && build.get("dockerfile_inline").is_none() {
                build.put("dockerfile", text("Dockerfile"));
            }
            match build.get_mut("args").map(|node| &mut node.value) {
                Some(Value::Map(args)) => {
                    self.inherit(args);
                    args.retain(|_, entry| !entry.node.is_null());
                }
                Some(Value::List(items)) => {
                    items.retain(|item| item.as_text().is_none_or(|text| text.contains('=')));
                }
                _ => {}
            }
        }
        if let Some(environment) = service.get_mut("environment").and_then(Node::as_map_mut) {
            self.inherit(environment);
        }
        for mount in service.items_mut("volumes") {
            if let Some(target) = mount.get_text("target").map(mounts::clean) {
                mount.put("target", text(target));
            }
        }
        implied_dependencies(service);
        inherit::complete_hooks(service);
    }

    /// Gives keys without value that of the environment.
    fn inherit(&self, map: &mut Map) {
        for (name, entry) in map.iter_mut().filter(|(_, e)| e.node.is_null()) {
            if let Some(value) = (self.lookup)(name) {
                entry.node.value = text(value);
            }
        }
    }
}

/// Defaults of the keys of a service.
fn defaults(service: &mut Node) {
    if let Some(build) = service.get_mut("build") {
        build.put_default("context", text("."));
    }
    for port in service.items_mut("ports") {
        port.put_default("protocol", text("tcp"));
        port.put_default("mode", text("ingress"));
    }
    for secret in service.items_mut("secrets") {
        let target = format!("/run/secrets/{}", secret.get_text("source").unwrap_or_default());
        secret.put_default("target", text(target));
    }
    for mount in service.items_mut("volumes") {
        if let Some(bind) = mount.get_mut("bind") {
            bind.put_default("create_host_path", Value::Bool(true));
        }
    }
    for file in service.items_mut("env_file") {
        file.put_default("required", Value::Bool(true));
    }
    for (_, entry) in service.entries_mut("depends_on") {
        entry.node.put_default("required", Value::Bool(true));
    }
    let scale = service.get_int("scale");
    if let (Some(scale), Some(deploy)) = (scale, service.get_mut("deploy")) {
        deploy.put_default("replicas", Value::Int(scale));
    }
    for request in service.items_mut("gpus") {
        default_count(request);
    }
    let devices = service.get_mut("deploy").and_then(|d| d.get_mut("resources"));
    if let Some(reservations) = devices.and_then(|r| r.get_mut("reservations")) {
        for request in reservations.items_mut("devices") {
            default_count(request);
        }
    }
}

fn default_count(request: &mut Node) {
    if request.get("count").is_none() && request.get("device_ids").is_none() {
        request.put("count", Value::Int(-1));
    }
}

/// What `links`, shared namespaces and `volumes_from` mean for the order of starting.
fn implied_dependencies(service: &mut Node) {
    let mut implied: Vec<(String, bool, Span)> = vec![];
    let first_part = |node: &Node| node.as_text().map(|t| t.split(':').next().unwrap_or_default().to_owned());
    for link in service.items("links") {
        implied.extend(first_part(link).map(|name| (name, true, link.span)));
    }
    for namespace in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.get(namespace) else { continue };
        let other = node.as_text().and_then(|mode| mode.strip_prefix("service:"));
        implied.extend(other.map(|name| (name.to_owned(), true, node.span)));
    }
    for other in service.items("volumes_from") {
        let name = first_part(other).filter(|name| name != "container");
        implied.extend(name.map(|name| (name, false, other.span)));
    }
    if implied.is_empty() {
        return;
    }
    let span = service.span;
    service.put_default("depends_on", fields(span, []));
    let Some(depends_on) = service.get_mut("depends_on").and_then(Node::as_map_mut) else { return };
    for (name, restart, span) in implied {
        let condition = text("service_started");
        let value =
            [("condition", condition), ("required", Value::Bool(true)), ("restart", Value::Bool(restart))];
        depends_on.entry(name).or_insert_with(|| Entry::new(Node::new(fields(span, value), span)));
    }
}

/// Services without networks are on the network `default`, which then exists.
fn default_network(tree: &mut Node) {
    let span = tree.span;
    let mut is_used = false;
    for kind in CONTAINERS {
        for (_, entry) in tree.entries_mut(kind) {
            let service = &mut entry.node;
            if service.get("network_mode").is_some() || service.get("provider").is_some() {
                continue;
            }
            if service.get("networks").and_then(Node::as_map).is_none_or(|networks| networks.is_empty()) {
                service.put("networks", fields(span, [("default", Value::Null)]));
            }
            let networks = service.get("networks").and_then(Node::as_map);
            is_used |= networks.is_some_and(|networks| networks.contains_key("default"));
        }
    }
    if is_used {
        tree.put_default("networks", fields(span, []));
        let networks = tree.get_mut("networks").and_then(Node::as_map_mut);
        if let Some(networks) = networks.filter(|n| !n.contains_key("default")) {
            networks.insert("default".to_owned(), Entry::new(Node::new(Value::Null, span)));
        }
    }
}
