//! Networks, volumes, secrets and configs.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{Entry, KeyPath, Node};
use crate::print;
use mainstay_model::{AddressPool, FileObject, Network, Secret, Volume};
use std::collections::BTreeMap;

/// Networks in use.
pub fn networks(tree: &Node) -> BTreeMap<String, Network> {
    tree.entries("networks").map(|(key, entry)| (key.clone(), network(&entry.node))).collect()
}

fn network(node: &Node) -> Network {
    let text = |key: &str| node.get_text(key).map(str::to_owned);
    let ipam = node.get("ipam");
    let pools: Vec<_> = ipam.map(|i| i.items("config")).unwrap_or_default().iter().map(pool).collect();
    Network {
        name: text("name").unwrap_or_default(),
        external: node.get_flag("external"),
        driver: text("driver").filter(|d| !d.is_empty()),
        driver_opts: super::dict(node, "driver_opts"),
        internal: node.get_flag("internal"),
        attachable: node.get_flag("attachable"),
        enable_ipv4: node.get("enable_ipv4").map(|_| node.get_flag("enable_ipv4")),
        enable_ipv6: node.get("enable_ipv6").map(|_| node.get_flag("enable_ipv6")),
        ipam_driver: ipam.and_then(|i| i.get_text("driver")).filter(|d| !d.is_empty()).map(str::to_owned),
        ipam_options: ipam.map(|i| super::dict(i, "options")).unwrap_or_default(),
        pools,
        labels: super::dict(node, "labels"),
        config_hash: print::of_network(node),
    }
}

fn pool(node: &Node) -> AddressPool {
    let text = |key: &str| node.get_text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    AddressPool {
        subnet: text("subnet"),
        ip_range: text("ip_range"),
        gateway: text("gateway"),
        aux_addresses: super::dict(node, "aux_addresses"),
    }
}

/// Volumes in use.
pub fn volumes(tree: &Node) -> BTreeMap<String, Volume> {
    let volume = |node: &Node| Volume {
        name: node.get_text("name").unwrap_or_default().to_owned(),
        external: node.get_flag("external"),
        driver: node.get_text("driver").filter(|d| !d.is_empty()).map(str::to_owned),
        driver_opts: super::dict(node, "driver_opts"),
        labels: super::dict(node, "labels"),
        config_hash: print::of_volume(node),
    };
    tree.entries("volumes").map(|(key, entry)| (key.clone(), volume(&entry.node))).collect()
}

/// Secrets or configs in use. Files stay paths; what comes from variables and content is taken now.
pub fn files(
    kind: &str,
    tree: &Node,
    lookup: &dyn Fn(&str) -> Option<String>,
    sink: &mut Sink,
) -> BTreeMap<String, FileObject> {
    tree.entries(kind).map(|(key, entry)| (key.clone(), file(kind, key, entry, lookup, sink))).collect()
}

fn file(
    kind: &str,
    key: &str,
    entry: &Entry,
    lookup: &dyn Fn(&str) -> Option<String>,
    sink: &mut Sink,
) -> FileObject {
    let node = &entry.node;
    let path = KeyPath::root().key(kind).key(key);
    let external = node.get_flag("external");
    if external {
        let message = format!("external {kind} exist in Swarm only");
        let finding = Diagnostic::error(Code::NotSupported, message).at(entry.key_span).path(&path);
        sink.push(finding.help("use `file`, `environment` or `content`"));
    }
    let mut content = node.get_text("content").map(Secret::new);
    if let Some(variable) = node.get("environment") {
        let name = variable.as_text().unwrap_or_default();
        content = lookup(name).map(Secret::new);
        if content.is_none() {
            let message = format!("the variable `{name}` that holds this is not set");
            let finding = Diagnostic::error(Code::RequiredVariable, message).about(variable);
            sink.push(finding.path(path.key("environment")));
        }
    }
    FileObject {
        file: node.get_text("file").map(Into::into),
        content,
        external,
        name: node.get_text("name").map(str::to_owned),
        labels: super::dict(node, "labels"),
    }
}
