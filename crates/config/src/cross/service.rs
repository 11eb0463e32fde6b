//! Settings of one service that exclude each other.

use crate::diagnostic::{Code, Diagnostic, Sink, Span};
use crate::node::{Entry, KeyPath, Node, Value};
use crate::{suggest, units};
use std::collections::BTreeMap;

/// Reports what cannot be said of one service at once.
pub fn report(name: &str, entry: &Entry, path: &KeyPath, sink: &mut Sink) {
    let service = &entry.node;
    nothing_to_run(name, entry, path, sink);
    if let Some(build) = service.get("build")
        && let (Some(_), Some(inline)) = (build.get("dockerfile"), build.get("dockerfile_inline"))
    {
        let message = "`dockerfile` and `dockerfile_inline` exclude each other";
        sink.push(Diagnostic::error(Code::Conflict, message).about(inline).path(path.key("build")));
    }
    if let Some(test) = service.at(&["healthcheck", "test"]) {
        let first = test.as_list().and_then(<[Node]>::first);
        let word = first.and_then(Node::as_text);
        if first.is_some() && !matches!(word, Some("CMD" | "CMD-SHELL" | "NONE")) {
            let message = "a healthcheck's list begins with `CMD`, `CMD-SHELL` or `NONE`";
            let path = path.key("healthcheck").key("test");
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(test).path(path));
        }
    }
    addresses(service, path, sink);
    platforms(service, path, sink);
    watch(service, path, sink);
    pull_policy(service, path, sink);
    limits_agree(service, path, sink);
    copies(service, path, sink);
    mounts_differ(service, path, sink);
}

/// Without image and build a service is native, and then it needs a command. Compose refuses it either way.
fn nothing_to_run(name: &str, entry: &Entry, path: &KeyPath, sink: &mut Sink) {
    let service = &entry.node;
    let has = |key: &str| service.get(key).is_some();
    let words = |key: &str| !service.items(key).is_empty();
    if service.is_null()
        || service.broken
        || has("image")
        || has("build")
        || has("provider")
        || words("command")
        || words("entrypoint")
    {
        return;
    }
    if service.get("x-mainstay").is_some_and(|ours| ours.get("static").is_some()) {
        return;
    }
    let message = format!("service `{name}` has nothing to run: no `image`, no `build`, no `command`");
    let help = "a service with only a `command` runs as a process of this host";
    sink.push(Diagnostic::error(Code::NothingToRun, message).at(entry.key_span).path(path).help(help));
}

/// Compose refuses these wherever they stand, also in services it does not start.
fn addresses(service: &Node, path: &KeyPath, sink: &mut Sink) {
    for (index, mount) in service.items("volumes").iter().enumerate() {
        if mount.get_text("type") == Some("bind") && mount.get("source").is_none() {
            let path = path.key("volumes").index(index);
            sink.push(
                Diagnostic::error(Code::BadMount, "a bind mount needs a `source`").about(mount).path(path),
            );
        }
    }
}

/// What a service runs on must be among what it is built for.
fn platforms(service: &Node, path: &KeyPath, sink: &mut Sink) {
    let platforms = service.get("build").map(|build| build.items("platforms")).unwrap_or_default();
    let Some(platform) = service.get("platform").filter(|_| !platforms.is_empty()) else { return };
    if platform.as_text() != Some("") && !platforms.iter().any(|built| built.is_same_as(platform)) {
        let message = "the platform of the service is not one that its image is built for";
        let finding = Diagnostic::error(Code::Conflict, message).about(platform).path(path.key("platform"));
        sink.push(finding.note("the platforms it is built for are here", platforms[0].span));
    }
}

/// What is copied needs a place in the container.
fn watch(service: &Node, path: &KeyPath, sink: &mut Sink) {
    let rules = service.get("develop").map(|develop| develop.items("watch")).unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        let has_target = rule.get_text("target").is_some_and(|target| !target.is_empty());
        if !has_target && !rule.broken && !matches!(rule.get_text("action"), Some("rebuild" | "restart")) {
            let path = path.key("develop").key("watch").index(index);
            let message = "this action copies files, and there is no `target` to copy them to";
            sink.push(Diagnostic::error(Code::MissingKey, message).about(rule).path(path));
        }
    }
}

/// `always`, `missing` and so on, or `every_` and a duration.
fn pull_policy(service: &Node, path: &KeyPath, sink: &mut Sink) {
    let Some(node) = service.get("pull_policy") else { return };
    let text = node.as_text().unwrap_or_default();
    let words = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    if words.contains(&text)
        || text.strip_prefix("every_").is_some_and(|every| units::duration(every).is_ok())
    {
        return;
    }
    let finding = Diagnostic::error(Code::InvalidValue, format!("`{text}` is not a pull policy"));
    let help = match suggest::closest(text, words) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "use always, missing, never or build".to_owned(),
    };
    sink.push(finding.about(node).path(path.key("pull_policy")).help(help));
}

/// Old and new ways to set one limit must say the same.
fn limits_agree(service: &Node, path: &KeyPath, sink: &mut Sink) {
    let pairs = [
        ("cpus", ["limits", "cpus"]),
        ("mem_limit", ["limits", "memory"]),
        ("mem_reservation", ["reservations", "memory"]),
        ("pids_limit", ["limits", "pids"]),
    ];
    for (old, [section, new]) in pairs {
        let Some(old_value) = service.get(old).filter(|n| !is_zero(n)) else { continue };
        let Some(limits) = service.at(&["deploy", "resources", section]) else { continue };
        let new_value = limits.get(new);
        if new_value.is_some_and(|n| number(n) == number(old_value)) {
            continue;
        }
        let message = format!("`{old}` and `deploy.resources.{section}.{new}` must say the same");
        let finding = Diagnostic::error(Code::Conflict, message).about(old_value).path(path.key(old));
        sink.push(finding.note("the other one is here", new_value.unwrap_or(limits).span));
    }
}

fn is_zero(node: &Node) -> bool {
    number(node) == Some(0.0)
}

#[allow(clippy::cast_precision_loss)] // Compared for equality only.
fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

fn copies(service: &Node, path: &KeyPath, sink: &mut Sink) {
    let scale = service.get("scale");
    let replicas = service.at(&["deploy", "replicas"]);
    let given = [(scale, "scale"), (replicas, "deploy.replicas")];
    for (node, key) in given.into_iter().filter_map(|(node, key)| Some((node?, key))) {
        if matches!(node.value, Value::Int(n) if !(0..=10_000).contains(&n)) {
            let message = "the number of copies must be between 0 and 10000";
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path.key(key)));
        }
    }
    if let (Some(scale), Some(replicas)) = (scale, replicas)
        && scale.value != replicas.value
    {
        let message = "`scale` and `deploy.replicas` must say the same";
        let finding = Diagnostic::error(Code::Conflict, message).about(scale).path(path.key("scale"));
        sink.push(finding.note("the other one is here", replicas.span));
    }
    let count = scale.or(replicas);
    if let (Some(Node { value: Value::Int(2..), span, .. }), Some(name)) =
        (count, service.get("container_name"))
    {
        let message = "several copies cannot share one `container_name`";
        let finding =
            Diagnostic::error(Code::ContainerName, message).about(name).path(path.key("container_name"));
        sink.push(finding.note("the number of copies is here", *span).help("remove `container_name`"));
    }
}

fn mounts_differ(service: &Node, path: &KeyPath, sink: &mut Sink) {
    let mut targets: BTreeMap<String, Span> = BTreeMap::new();
    let tmpfs = service.items("tmpfs").iter().enumerate().filter_map(|(index, node)| {
        let target = node.as_text()?.split(':').next()?;
        Some((target.to_owned(), node.span, path.key("tmpfs").index(index)))
    });
    let volumes = service.items("volumes").iter().enumerate().filter_map(|(index, node)| {
        Some((node.get_text("target")?.to_owned(), node.span, path.key("volumes").index(index)))
    });
    for (target, span, path) in tmpfs.chain(volumes) {
        if let Some(first) = targets.get(&target) {
            let message = format!("two mounts have the target {target}");
            let finding = Diagnostic::error(Code::MountTwice, message).at(span).path(path);
            sink.push(finding.note("the first one is here", *first));
        } else {
            targets.insert(target, span);
        }
    }
}

/// Container names are unique on a host.
pub fn container_names(tree: &Node, sink: &mut Sink) {
    let mut names: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
    for (service, entry) in tree.entries("services") {
        let Some(node) = entry.node.get("container_name") else { continue };
        let Some(name) = node.as_text() else { continue };
        let path = KeyPath::root().key("services").key(service).key("container_name");
        let is_well = name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !is_well {
            let message = format!(
                "`{name}` is not a container name: use two or more letters, digits, `_`, `.` and `-`"
            );
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(&path));
        }
        if let Some((other, span)) = names.insert(name, (service, node.span)) {
            let message = format!("the services `{other}` and `{service}` have one container name, `{name}`");
            let finding = Diagnostic::error(Code::ContainerName, message).about(node).path(path);
            sink.push(finding.note("the first one is here", span));
        }
    }
}
