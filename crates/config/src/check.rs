//! One file's tree against the table of keys: types are checked, text is turned into the numbers and flags it
//! stands for, short forms become long ones. What is wrong is reported and left out.
//!
//! Runs after interpolation and before merging; knows nothing about other files. Keys that must be there are
//! looked for after merging (`complete`).

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{Entry, KeyPath, Map, MergeTag, Node, Value};
use crate::scalars::scalar;
use crate::shape::{Identity, Kind, Names, Object, Short, Unvalued};
use crate::{merge, short, suggest, words};

/// What a value of [`Kind::Dict`] or [`Kind::Hosts`] is.
pub const PAIRS: &str = "a mapping or a list of `key=value`";

/// Checks `node` and brings it into its long form. `false`: it is of no use, and that was reported.
pub fn check(node: &mut Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> bool {
    if node.tag == Some(MergeTag::Reset) || node.is_null() {
        return true;
    }
    if node.broken {
        return false;
    }
    match kind {
        Kind::Any => true,
        Kind::Map(item, names) => map(node, item, *names, path, sink),
        Kind::Object(shape) | Kind::Embedded(shape) | Kind::Capital(shape) | Kind::Variant(_, shape) => {
            object(node, shape, path, sink)
        }
        Kind::List(item, identity) => list(node, item, *identity, path, sink),
        Kind::OneOrList(item, identity) => {
            // Of ours, one item may stand in its long form too; Compose wants a list for that.
            let is_long = matches!((item, &node.value), (Kind::Short(Short::Under(_), _), Value::Map(_)));
            if matches!(node.value, Value::Text(_))
                || is_long
                || (matches!(item, Kind::Scalar) && node.scalar_text().is_some())
            {
                let item = Node::new(std::mem::replace(&mut node.value, Value::Null), node.span);
                node.value = Value::List(vec![item]);
            }
            // What an earlier file says may make it meaningless.
            (merge::is_stray(node) && node.as_text().is_none()) || list(node, item, *identity, path, sink)
        }
        Kind::Short(form, long) => {
            short::lengthen(node, *form, path, sink)
                && (matches!((form, &node.value), (Short::Ulimit, Value::Int(_)))
                    || check(node, long, path, sink))
        }
        Kind::Command | Kind::Test => command(node, matches!(kind, Kind::Test), path, sink),
        Kind::Dict(unvalued) => dict(node, *unvalued, path, sink),
        Kind::Ssh => dict(node, Unvalued::Empty, path, sink) && short::ssh(node, path, sink),
        Kind::TextOrList if node.as_text().is_some() => true,
        Kind::TextOrList => list(node, &Kind::Text, Identity::Distinct, path, sink),
        Kind::Hosts => short::hosts(node, path, sink),
        _ => scalar(node, kind, path, sink),
    }
}

/// Reports a value of the wrong type.
pub fn wrong_type(node: &Node, expected: &str, path: &KeyPath, sink: &mut Sink) -> bool {
    let text = path.to_string();
    let name = text.rsplit('.').next().unwrap_or_default();
    let message = format!("`{name}` must be {expected}, and this is {}", node.kind_name());
    let mut finding = Diagnostic::error(Code::WrongType, message).at(node.span).path(path);
    if expected == "text"
        && let Some(text) = node.scalar_text()
    {
        finding = finding.help(format!("write it in quotes: \"{text}\""));
    }
    sink.push(finding);
    false
}

/// Reports a value that cannot be.
pub fn invalid(node: &Node, message: impl Into<String>, path: &KeyPath, sink: &mut Sink) -> bool {
    sink.push(Diagnostic::error(Code::InvalidValue, message).at(node.span).path(path));
    false
}

fn object(node: &mut Node, shape: &Object, path: &KeyPath, sink: &mut Sink) -> bool {
    if node.as_map().is_none() {
        return wrong_type(node, "a mapping", path, sink);
    }
    let Some(map) = node.as_map_mut() else { return false };
    let before = map.len();
    map.retain(|name, entry| {
        if shape.extensible && name.starts_with("x-") {
            return true;
        }
        let path = path.key(name);
        match shape.key(name) {
            Some(key) => check(&mut entry.node, &key.kind, &path, sink),
            // What is taken back does not have to be known.
            None if entry.node.tag == Some(MergeTag::Reset) => false,
            None => {
                unknown_key(name, entry, shape, &path, sink);
                false
            }
        }
    });
    let is_broken = map.len() < before;
    node.broken |= is_broken;
    true
}

/// Reports a key that `shape` does not have.
pub fn unknown_key(name: &str, entry: &Entry, shape: &Object, path: &KeyPath, sink: &mut Sink) {
    let mut finding =
        Diagnostic::error(Code::UnknownKey, format!("unknown key `{name}`")).at(entry.key_span).path(path);
    let known = shape.keys().map(|k| k.name);
    if let Some(meant) = suggest::closest(name, known.clone()) {
        finding = finding.help(format!("did you mean `{meant}`?"));
    } else if known.clone().count() <= 12 {
        let known: Vec<_> = known.map(|k| format!("`{k}`")).collect();
        finding = finding.help(format!("known here: {}", known.join(", ")));
    } else if shape.extensible {
        finding = finding.help("keys of your own begin with `x-`");
    }
    sink.push(finding);
}

fn map(node: &mut Node, item: &Kind, names: Names, path: &KeyPath, sink: &mut Sink) -> bool {
    if node.as_map().is_none() {
        return wrong_type(node, "a mapping", path, sink);
    }
    let Some(map) = node.as_map_mut() else { return false };
    let is_well = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    map.retain(|name, entry| {
        let path = path.key(name);
        if names == Names::Resource && !is_well(name) {
            let message = format!("`{name}` is not a name: use letters, digits, `.`, `_` and `-`");
            sink.push(Diagnostic::error(Code::InvalidValue, message).at(entry.key_span).path(path));
            return false;
        }
        if check(&mut entry.node, item, &path, sink) {
            return true;
        }
        // Its name stays declared, whatever it is.
        let has_keys = item.object().is_some();
        if has_keys {
            entry.node.value = Value::Map(Map::new());
            entry.node.broken = true;
        }
        has_keys
    });
    true
}

fn list(node: &mut Node, item: &Kind, identity: Identity, path: &KeyPath, sink: &mut Sink) -> bool {
    let Value::List(items) = &mut node.value else {
        return wrong_type(node, "a list", path, sink);
    };
    let mut kept = Vec::with_capacity(items.len());
    for (index, mut node) in std::mem::take(items).into_iter().enumerate() {
        let path = path.index(index);
        if node.tag == Some(MergeTag::Reset) {
            continue;
        }
        if node.is_null() && !item.nullable() {
            wrong_type(&node, "a value", &path, sink);
            continue;
        }
        match (item, &node.value) {
            (Kind::Short(Short::Port, _), Value::Text(_) | Value::Int(_)) => {
                kept.extend(short::ports(&node, &path, sink));
            }
            _ => {
                if check(&mut node, item, &path, sink) {
                    kept.push(node);
                }
            }
        }
    }
    if identity == Identity::Distinct {
        distinct(&kept, path, sink);
    }
    merge::unite(&mut kept, identity);
    node.value = Value::List(kept);
    true
}

fn distinct(items: &[Node], path: &KeyPath, sink: &mut Sink) {
    for (index, item) in items.iter().enumerate() {
        if let Some(first) = items[..index].iter().find(|other| other.is_same_as(item)) {
            let finding = Diagnostic::error(Code::InvalidValue, "this item stands twice in the list")
                .at(item.span)
                .path(path.index(index))
                .note("it stands here first", first.span);
            sink.push(finding);
        }
    }
}

fn command(node: &mut Node, is_test: bool, path: &KeyPath, sink: &mut Sink) -> bool {
    match &node.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if item.as_text().is_none() {
                    return wrong_type(item, "text", &path.index(index), sink);
                }
            }
            true
        }
        Value::Text(text) if is_test => {
            let shell = Node::text("CMD-SHELL", node.span);
            let line = Node::text(text.clone(), node.span);
            node.value = Value::List(vec![shell, line]);
            true
        }
        Value::Text(text) => match words::split(text) {
            Ok(split) => {
                if let Some(stop) = split.stopped_at {
                    let message =
                        format!("what follows `{stop}` is not part of the command: no shell reads it");
                    let finding = Diagnostic::warning(Code::BadCommand, message).at(node.span).path(path);
                    sink.push(finding.help("write [\"sh\", \"-c\", \"…\"] to have a shell read it"));
                }
                let words = split.words.into_iter().map(|word| Node::text(word, node.span)).collect();
                node.value = Value::List(words);
                true
            }
            Err(error) => {
                sink.push(Diagnostic::error(Code::BadCommand, error.to_string()).at(node.span).path(path));
                false
            }
        },
        _ => wrong_type(node, "text or a list", path, sink),
    }
}

/// A `list_or_dict` into a mapping of texts (and nulls, where those mean something).
fn dict(node: &mut Node, unvalued: Unvalued, path: &KeyPath, sink: &mut Sink) -> bool {
    let mut out = Map::new();
    match std::mem::replace(&mut node.value, Value::Null) {
        Value::Map(map) => {
            for (name, mut entry) in map {
                let path = path.key(&name);
                match entry.node.scalar_text() {
                    Some(text) => entry.node.value = Value::Text(text),
                    None if entry.node.is_null() => without_value(&mut entry.node, unvalued),
                    None => {
                        wrong_type(&entry.node, "a single value", &path, sink);
                        continue;
                    }
                }
                out.insert(name, entry);
            }
        }
        Value::List(items) => {
            for (index, mut item) in items.into_iter().enumerate() {
                let path = path.index(index);
                let Some(text) = item.as_text().map(str::to_owned) else {
                    wrong_type(&item, "text", &path, sink);
                    continue;
                };
                let (name, value) = match text.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (text.as_str(), None),
                };
                if unvalued == Unvalued::Inherited && name.ends_with(char::is_whitespace) {
                    invalid(&item, format!("the name `{name}` ends with a space"), &path, sink);
                    continue;
                }
                match value {
                    Some(value) => item.value = Value::Text(value),
                    None if unvalued == Unvalued::Refused => {
                        invalid(&item, "this needs the form `key=value`", &path, sink);
                        continue;
                    }
                    None => {
                        item.value = Value::Null;
                        without_value(&mut item, unvalued);
                    }
                }
                out.insert(name.to_owned(), Entry::new(item));
            }
        }
        other => {
            node.value = other;
            return merge::is_stray(node) || wrong_type(node, PAIRS, path, sink);
        }
    }
    node.value = Value::Map(out);
    true
}

fn without_value(node: &mut Node, unvalued: Unvalued) {
    if unvalued == Unvalued::Empty {
        node.value = Value::Text(String::new());
    }
}
