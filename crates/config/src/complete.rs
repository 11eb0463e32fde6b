//! The merged tree: keys that have to be there, and keys left without a value.

use crate::check::{PAIRS, wrong_type};
use crate::diagnostic::{Code, Diagnostic, Sink, Span};
use crate::merge::is_stray;
use crate::node::{KeyPath, Node, Value};
use crate::shape::Kind;

/// Reports what is missing in `node`, whose key stands at `key`.
pub fn complete(node: &Node, key: Span, kind: &Kind, path: &KeyPath, sink: &mut Sink) {
    if node.is_null() {
        if !kind.nullable() {
            let text = path.to_string();
            let name = text.rsplit('.').next().unwrap_or_default().to_owned();
            let message = format!("`{name}` has no value");
            let finding = Diagnostic::error(Code::WrongType, message).at(key).path(path);
            sink.push(finding.help("give it one, or remove it"));
        }
        return;
    }
    match (kind, &node.value) {
        // Nothing that it could have been added to.
        (Kind::Dict(_) | Kind::Ssh | Kind::Hosts, _) if is_stray(node) => {
            wrong_type(node, PAIRS, path, sink);
        }
        (Kind::OneOrList(..), _) if is_stray(node) && node.as_text().is_none() => {
            wrong_type(node, "a list", path, sink);
        }
        (Kind::Short(_, kind), _) => complete(node, key, kind, path, sink),
        (Kind::Map(item, _), Value::Map(map)) => {
            for (name, entry) in map {
                complete(&entry.node, entry.key_span, item, &path.key(name), sink);
            }
        }
        (Kind::List(item, _) | Kind::OneOrList(item, _), Value::List(items)) => {
            for (index, node) in items.iter().enumerate() {
                complete(node, node.span, item, &path.index(index), sink);
            }
        }
        (
            Kind::Object(shape) | Kind::Embedded(shape) | Kind::Capital(shape) | Kind::Variant(_, shape),
            Value::Map(map),
        ) => {
            required(node, key, shape.required, path, sink);
            for (name, entry) in map {
                if let Some(known) = shape.key(name) {
                    complete(&entry.node, entry.key_span, &known.kind, &path.key(name), sink);
                }
            }
        }
        _ => {}
    }
}

fn required(node: &Node, at: Span, keys: &[&str], path: &KeyPath, sink: &mut Sink) {
    for key in keys {
        if node.get(key).is_none() && !node.broken {
            let message = format!("`{key}` is missing here");
            sink.push(Diagnostic::error(Code::MissingKey, message).at(at).path(path));
        }
    }
}
