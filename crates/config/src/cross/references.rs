//! Names that have to be declared somewhere: services, networks, volumes, secrets and configs.

use super::{cycle, service};
use crate::diagnostic::{Code, Diagnostic, Sink, Span};
use crate::node::{KeyPath, Node};
use crate::suggest;

/// Reports what is referred to and not there. `disabled` are services of inactive profiles.
pub fn references(tree: &Node, disabled: &[String], sink: &mut Sink) {
    let services = KeyPath::root().key("services");
    for (name, entry) in tree.entries("services") {
        let checks = Checks { tree, disabled, name, path: services.key(name) };
        checks.dependencies(&entry.node, sink);
        checks.networks(&entry.node, sink);
        checks.storage(&entry.node, sink);
        service::report(name, entry, &checks.path, sink);
    }
    service::container_names(tree, sink);
    cycle::report(tree, sink);
}

struct Checks<'a> {
    tree: &'a Node,
    disabled: &'a [String],
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
            let is_disabled = self.disabled.contains(other);
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
}
