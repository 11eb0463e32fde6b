//! Lifecycle hooks and rules of `develop` (Compose Specification, "pre_start", "post_start", "pre_stop", "Develop").

use super::{Cx, service, texts};
use crate::node::Node;
use mainstay_model::{Hook, Secret, Service, ServiceName, WatchAction, WatchRule};
use std::collections::BTreeMap;

/// Variables of a service or hook. Those without a value anywhere are absent.
pub fn variables(node: &Node) -> BTreeMap<String, Secret> {
    super::dict(node, "environment").into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
}

/// Hooks that run inside the container.
pub fn hooks(items: &[Node]) -> Vec<Hook> {
    items.iter().map(hook).collect()
}

fn hook(node: &Node) -> Hook {
    let text = |key: &str| node.get_text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    Hook {
        command: texts(node.items("command")),
        user: text("user"),
        privileged: node.get_flag("privileged"),
        working_dir: text("working_dir"),
        environment: variables(node),
    }
}

/// Hooks that are containers of their own.
pub fn pre_start(cx: &mut Cx<'_>, name: &ServiceName) -> Vec<Service> {
    let mut containers = vec![];
    for (index, node) in cx.node.items("pre_start").iter().enumerate() {
        let path = cx.path.key("pre_start").index(index);
        let (key_span, project, reader) = (cx.key_span, cx.project, cx.reader);
        let mut own = Cx { node, path, key_span, project, reader, sink: cx.sink };
        containers.push(Service { config_hash: None, ..service::container(name.clone(), &mut own) });
    }
    containers
}

/// Rules of `develop: watch:`.
pub fn watch(service: &Node) -> Vec<WatchRule> {
    let rules = service.get("develop").map(|develop| develop.items("watch")).unwrap_or_default();
    rules.iter().filter_map(rule).collect()
}

fn rule(node: &Node) -> Option<WatchRule> {
    let action = match node.get_text("action")? {
        "rebuild" => WatchAction::Rebuild,
        "sync" => WatchAction::Sync,
        "restart" => WatchAction::Restart,
        "sync+restart" => WatchAction::SyncRestart,
        "sync+exec" => WatchAction::SyncExec,
        _ => return None,
    };
    Some(WatchRule {
        path: node.get_text("path")?.to_owned(),
        action,
        target: node.get_text("target").filter(|target| !target.is_empty()).map(str::to_owned),
        include: texts(node.items("include")),
        ignore: texts(node.items("ignore")),
        initial_sync: node.get_flag("initial_sync"),
        exec: node.get("exec").map(hook),
    })
}
