//! Names that have to be declared somewhere: services, jobs, networks, volumes, secrets, configs and models.

use super::{cycle, service};
use crate::diagnostic::{Code, Diagnostic, Sink, Span};
use crate::node::{KeyPath, Map, Node};
use crate::suggest;
use std::collections::BTreeSet;

/// Reports what is referred to and not there. `disabled` are services of inactive profiles, `all_jobs` the names of
/// jobs whatever their profiles.
pub fn references(tree: &Node, disabled: &Map, all_jobs: &BTreeSet<String>, sink: &mut Sink) {
    let services = KeyPath::root().key("services");
    for (name, entry) in tree.entries("services") {
        let checks = Checks { tree, disabled, name, path: services.key(name) };
        checks.dependencies(&entry.node, sink);
        checks.networks(&entry.node, sink);
        checks.storage(&entry.node, sink);
        checks.models(&entry.node, sink);
        checks.contexts(&entry.node, sink);
        service::report(name, entry, &checks.path, sink);
    }
    service::container_names(tree, sink);
    jobs(tree, disabled, all_jobs, sink);
    secrets(tree, sink);
    cycle::report(tree, sink);
}

struct Checks<'a> {
    tree: &'a Node,
    disabled: &'a Map,
    name: &'a str,
    path: KeyPath,
}

/// What is referred to and not there.
struct Missing<'a> {
    code: Code,
    /// Its kind in the singular.
    what: &'a str,
    /// The top-level key it would stand under.
    kind: &'a str,
    name: &'a str,
}

impl Checks<'_> {
    /// Names under a top-level key.
    fn declared(&self, kind: &str) -> Vec<&str> {
        self.tree.entries(kind).map(|(name, _)| name.as_str()).collect()
    }

    fn undeclared(&self, missing: &Missing<'_>, span: Span, path: KeyPath, sink: &mut Sink) {
        let Missing { code, what, kind, name } = *missing;
        let message = format!("service `{}` uses the {what} `{name}`, which is not declared", self.name);
        let help = match suggest::closest(name, self.declared(kind)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("declare it under top-level `{kind}:`"),
        };
        sink.push(Diagnostic::error(code, message).at(span).path(path).help(help));
    }

    fn dependencies(&self, service: &Node, sink: &mut Sink) {
        let services = self.tree.get("services").and_then(Node::as_map);
        for (other, entry) in service.entries("depends_on") {
            if services.is_some_and(|all| all.contains_key(other)) {
                continue;
            }
            let path = self.path.key("depends_on").key(other);
            let is_disabled = self.disabled.contains_key(other);
            if is_disabled && !entry.node.get_flag("required") {
                continue;
            }
            let message = format!("service `{}` depends on `{other}`, which is not a service", self.name);
            let finding = if is_disabled {
                let message =
                    format!("service `{}` depends on `{other}`, whose profile is not active", self.name);
                let help = "activate the profile with --profile, or write `required: false`";
                Diagnostic::error(Code::UnknownDependency, message).help(help)
            } else {
                let meant = suggest::closest(other, self.declared("services"));
                let help = meant.map(|m| format!("did you mean `{m}`?"));
                Diagnostic { help, ..Diagnostic::error(Code::UnknownDependency, message) }
            };
            sink.push(finding.at(entry.key_span).path(path));
        }
    }

    fn networks(&self, service: &Node, sink: &mut Sink) {
        let networks = self.tree.get("networks").and_then(Node::as_map);
        for (network, entry) in service.entries("networks") {
            if !networks.is_some_and(|all| all.contains_key(network)) {
                let path = self.path.key("networks").key(network);
                let missing =
                    Missing { code: Code::UnknownNetwork, what: "network", kind: "networks", name: network };
                self.undeclared(&missing, entry.key_span, path, sink);
            }
        }
        let mode = service.get("network_mode");
        if let (Some(mode), Some(networks)) = (mode, service.get("networks")) {
            let message = "`network_mode` and `networks` exclude each other";
            let finding =
                Diagnostic::error(Code::Conflict, message).about(mode).path(self.path.key("network_mode"));
            sink.push(finding.note("the networks are here", networks.span));
        }
    }

    fn storage(&self, service: &Node, sink: &mut Sink) {
        for (index, mount) in service.items("volumes").iter().enumerate() {
            let source = mount.get_text("source").filter(|s| !s.is_empty());
            let Some(source) = source.filter(|_| mount.get_text("type") == Some("volume")) else { continue };
            if !self.declared("volumes").contains(&source) {
                let path = self.path.key("volumes").index(index);
                let missing =
                    Missing { code: Code::UnknownVolume, what: "volume", kind: "volumes", name: source };
                self.undeclared(&missing, mount.span, path, sink);
            }
        }
        for (key, what) in [("secrets", "secret"), ("configs", "config")] {
            for (index, grant) in service.items(key).iter().enumerate() {
                let source = grant.get_text("source").unwrap_or_default();
                if !self.declared(key).contains(&source) {
                    let path = self.path.key(key).index(index);
                    let missing = Missing { code: Code::UnknownFile, what, kind: key, name: source };
                    self.undeclared(&missing, grant.span, path, sink);
                }
            }
        }
        for grant in service.get("build").map(|b| b.items("secrets")).unwrap_or_default() {
            let source = grant.get_text("source").unwrap_or_default();
            if !self.declared("secrets").contains(&source) {
                let path = self.path.key("build").key("secrets");
                let missing =
                    Missing { code: Code::UnknownFile, what: "secret", kind: "secrets", name: source };
                self.undeclared(&missing, grant.span, path, sink);
            }
        }
    }

    fn models(&self, service: &Node, sink: &mut Sink) {
        for (model, entry) in service.entries("models") {
            if !self.declared("models").contains(&model.as_str()) {
                let path = self.path.key("models").key(model);
                let missing =
                    Missing { code: Code::UnknownModel, what: "model", kind: "models", name: model };
                self.undeclared(&missing, entry.key_span, path, sink);
            }
        }
    }

    /// Services that a build takes files of must be there, and be built.
    fn contexts(&self, service: &Node, sink: &mut Sink) {
        let Some(build) = service.get("build") else { return };
        for (context, entry) in build.entries("additional_contexts") {
            let Some(other) = entry.node.as_text().and_then(|text| text.strip_prefix("service:")) else {
                continue;
            };
            let path = self.path.key("build").key("additional_contexts").key(context);
            let found = self.tree.at(&["services", other]).or(self.disabled.get(other).map(|e| &e.node));
            let finding = match found {
                Some(found) if found.get("build").is_some() => continue,
                Some(_) => {
                    let message =
                        format!("the service `{other}` is not built, so there is nothing to copy from");
                    Diagnostic::error(Code::Conflict, message)
                        .help("use `docker-image://` and the image's name")
                }
                None => {
                    let message = format!(
                        "service `{}` builds with files of `{other}`, which is not a service",
                        self.name
                    );
                    let meant = suggest::closest(other, self.declared("services"));
                    let help = meant.map(|m| format!("did you mean `service:{m}`?"));
                    Diagnostic { help, ..Diagnostic::error(Code::UnknownDependency, message) }
                }
            };
            sink.push(finding.about(&entry.node).path(path));
        }
    }
}

/// Jobs and services share their names and what they wait for.
fn jobs(tree: &Node, disabled: &Map, all_jobs: &BTreeSet<String>, sink: &mut Sink) {
    let is_service = |name: &str| tree.at(&["services", name]).is_some() || disabled.contains_key(name);
    for job in all_jobs.iter().filter(|job| is_service(job)) {
        let path = KeyPath::root().key("jobs").key(job);
        let message = format!("`{job}` is a job and a service: names must differ");
        let span = tree.get("jobs").map(|jobs| jobs.span);
        sink.push(Diagnostic::error(Code::Conflict, message).at(span).path(path));
    }
    for (job, entry) in tree.entries("jobs") {
        for (other, dependency) in entry.node.entries("depends_on") {
            let is_there = tree.at(&["jobs", other]).is_some() || tree.at(&["services", other]).is_some();
            let is_optional = disabled.contains_key(other) && !dependency.node.get_flag("required");
            if !is_there && !is_optional {
                let message = format!("job `{job}` depends on `{other}`, which is no active service or job");
                let path = KeyPath::root().key("jobs").key(job).key("depends_on").key(other);
                let finding = Diagnostic::error(Code::UnknownDependency, message);
                sink.push(finding.at(dependency.key_span).path(path));
            }
        }
    }
}

/// A driver does not stand in for a source outside Swarm.
fn secrets(tree: &Node, sink: &mut Sink) {
    for (name, entry) in
        tree.entries("secrets").filter(|(_, e)| !e.node.get_flag("external") && !e.node.broken)
    {
        let given = |key: &str| entry.node.get_text(key).is_some_and(|text| !text.is_empty());
        if !given("file") && !given("environment") {
            let message = "one of `file`, `environment` has to be given";
            let path = KeyPath::root().key("secrets").key(name);
            sink.push(Diagnostic::error(Code::MissingKey, message).at(entry.key_span).path(path));
        }
    }
}
