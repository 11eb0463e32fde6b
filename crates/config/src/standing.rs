//! Names every key whose effect is not there: refused ones as errors, idle ones as warnings.
//!
//! Separate from checking, because a file that uses such a key is still a valid stack file.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{Entry, KeyPath, Node, Value};
use crate::project::Project;
use crate::shape::{Key, Kind, Native, SERVICE, Standing, TOP};

/// Reports what the active services and the resources in use ask for in vain.
pub fn report(project: &Project, sink: &mut Sink) {
    let root = KeyPath::root();
    for (name, entry) in project.tree.entries("services") {
        let path = root.key("services").key(name);
        let service = &entry.node;
        let is_native = service.get("image").is_none() && service.get("build").is_none();
        for (key, entry) in service.as_map().into_iter().flatten() {
            let Some(known) = SERVICE.key(key) else { continue };
            let path = path.key(key);
            if is_native && known.native != Native::Same {
                native(known, entry, &path, sink);
                continue;
            }
            key_of(known, entry, &path, sink);
        }
    }
    for (key, entry) in project.tree.as_map().into_iter().flatten() {
        if key != "services"
            && let Some(known) = TOP.key(key)
        {
            key_of(known, entry, &root.key(key), sink);
        }
    }
}

/// Keys that normalisation adds are no one's mistake.
fn is_implied(key: &Key, entry: &Entry) -> bool {
    let networks = entry.node.as_map().filter(|_| key.name == "networks");
    networks.is_some_and(|map| map.len() == 1 && map.get("default").is_some_and(|e| e.node.is_null()))
}

fn native(key: &Key, entry: &Entry, path: &KeyPath, sink: &mut Sink) {
    if is_implied(key, entry) {
        return;
    }
    let name = key.name;
    let finding = match key.native {
        Native::Refused => {
            let message = format!(
                "`{name}` is for containers, and this service is native: it has no `image` and no `build`"
            );
            Diagnostic::error(Code::ContainerOnly, message)
        }
        _ => Diagnostic::warning(Code::ContainerOnly, format!("`{name}` has no effect on a native service")),
    };
    sink.push(finding.at(entry.key_span).path(path).help("give the service an image, or remove the key"));
}

fn key_of(key: &Key, entry: &Entry, path: &KeyPath, sink: &mut Sink) {
    if entry.node.is_null() || is_off(&entry.node) {
        return;
    }
    let name = key.name;
    let finding = match key.standing {
        Standing::Works => {
            below(&key.kind, &entry.node, path, sink);
            return;
        }
        Standing::Inert(why) => {
            Diagnostic::warning(Code::NoEffect, format!("`{name}` has no effect here")).help(why)
        }
        Standing::Refused(instead) => {
            Diagnostic::error(Code::NotSupported, format!("`{name}` is not supported")).help(instead)
        }
        Standing::Later => {
            let message =
                format!("`{name}` is not in force yet: this version checks it and does nothing with it");
            Diagnostic::warning(Code::NotYet, message)
        }
    };
    sink.push(finding.at(entry.key_span).path(path));
}

/// A value that asks for nothing.
fn is_off(node: &Node) -> bool {
    match &node.value {
        Value::Bool(flag) => !flag,
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}

/// Reports the keys below a value.
pub fn below(kind: &Kind, node: &Node, path: &KeyPath, sink: &mut Sink) {
    match (kind, &node.value) {
        (Kind::Short(_, kind), _) => below(kind, node, path, sink),
        (
            Kind::Object(shape) | Kind::Embedded(shape) | Kind::Capital(shape) | Kind::Variant(_, shape),
            Value::Map(map),
        ) => {
            for (name, entry) in map {
                if let Some(key) = shape.key(name) {
                    key_of(key, entry, &path.key(name), sink);
                }
            }
        }
        (Kind::Map(item, _), Value::Map(map)) => {
            for (name, entry) in map {
                below(item, &entry.node, &path.key(name), sink);
            }
        }
        (Kind::List(item, _) | Kind::OneOrList(item, _), Value::List(items)) => {
            for (index, node) in items.iter().enumerate() {
                below(item, node, &path.index(index), sink);
            }
        }
        _ => {}
    }
}
