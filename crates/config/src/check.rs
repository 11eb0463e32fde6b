//! One file's tree against the table of keys: types are checked, text is turned into the numbers and flags it
//! stands for, short forms become long ones. What is wrong is reported and left out.
//!
//! Runs after interpolation and before merging; knows nothing about other files. Keys that must be there are
//! looked for after merging (`complete`).

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{Entry, KeyPath, Map, MergeTag, Node, Value};
use crate::shape::{Identity, Kind, Names, Object, Short, Unvalued};
use crate::{merge, short, suggest, units, words};

/// Checks `node` and brings it into its long form. `false`: it is of no use, and that was reported.
pub fn check(node: &mut Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> bool {
    if node.tag == Some(MergeTag::Reset) || node.is_null() {
        return true;
    }
    match kind {
        Kind::Any => true,
        Kind::Map(item, names) => map(node, item, *names, path, sink),
        Kind::Object(shape) | Kind::Embedded(shape) | Kind::Capital(shape) | Kind::Variant(_, shape) => {
            object(node, shape, path, sink)
        }
        Kind::List(item, identity) => list(node, item, *identity, path, sink),
        Kind::OneOrList(item, identity) => {
            if matches!(node.value, Value::Text(_))
                || (matches!(item, Kind::Scalar) && node.scalar_text().is_some())
            {
                let item = Node::new(std::mem::replace(&mut node.value, Value::Null), node.span);
                node.value = Value::List(vec![item]);
            }
            list(node, item, *identity, path, sink)
        }
        Kind::Short(form, long) => {
            short::lengthen(node, *form, path, sink)
                && (matches!((form, &node.value), (Short::Ulimit, Value::Int(_)))
                    || check(node, long, path, sink))
        }
        Kind::Command | Kind::Test => command(node, matches!(kind, Kind::Test), path, sink),
        Kind::Dict(unvalued) => dict(node, *unvalued, path, sink),
        Kind::Ssh => dict(node, Unvalued::Empty, path, sink),
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
    map.retain(|name, entry| {
        if shape.extensible && name.starts_with("x-") {
            return true;
        }
        let path = path.key(name);
        match shape.key(name) {
            Some(key) => check(&mut entry.node, &key.kind, &path, sink),
            None => {
                unknown_key(name, entry, shape, &path, sink);
                false
            }
        }
    });
    true
}

fn unknown_key(name: &str, entry: &Entry, shape: &Object, path: &KeyPath, sink: &mut Sink) {
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
        check(&mut entry.node, item, &path, sink)
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
            return wrong_type(node, "a mapping or a list of `key=value`", path, sink);
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

fn scalar(node: &mut Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> bool {
    if matches!(node.value, Value::List(_) | Value::Map(_)) {
        return wrong_type(node, expected(kind), path, sink);
    }
    let value = match (kind, &node.value) {
        (Kind::Text, Value::Text(_)) => return true,
        (Kind::Scalar, _) => Value::Text(node.scalar_text().unwrap_or_default()),
        (Kind::Loose, Value::Text(_) | Value::Int(_) | Value::Float(_)) => {
            Value::Text(node.scalar_text().unwrap_or_default())
        }
        (Kind::Word(words), Value::Text(text)) => return word(node, text, words, path, sink),
        (Kind::Duration, Value::Text(text)) => match units::duration(text) {
            Ok(_) => return true,
            Err(error) => return invalid(node, error.to_string(), path, sink),
        },
        (Kind::Flag | Kind::Choice | Kind::OptOut, Value::Bool(_)) => return true,
        (Kind::Flag | Kind::Choice | Kind::OptOut, Value::Text(text)) => match flag(node, text, path, sink) {
            Some(value) => value,
            None => return false,
        },
        (Kind::Whole | Kind::Count, Value::Int(_)) | (Kind::Bytes | Kind::Mode, Value::Int(_)) => {
            return true;
        }
        #[allow(clippy::cast_possible_truncation)] // Whole and far below 2^53.
        (Kind::Whole | Kind::Count, Value::Float(number)) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Value::Int(*number as i64)
        }
        (Kind::Whole | Kind::Count, Value::Text(text)) if text.parse::<i64>().is_ok() => {
            text.parse().map_or(Value::Null, Value::Int)
        }
        (Kind::Devices, Value::Int(_)) => return true,
        (Kind::Devices, Value::Text(text)) if text == "all" => Value::Int(-1),
        (Kind::Devices, Value::Text(text)) if text.parse::<i64>().is_ok() => {
            text.parse().map_or(Value::Null, Value::Int)
        }
        (Kind::Real, Value::Int(_) | Value::Float(_)) => return true,
        (Kind::Real, Value::Text(text)) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            text.parse().map_or(Value::Null, Value::Float)
        }
        (Kind::Size | Kind::Bytes, Value::Text(text)) => match units::bytes(text) {
            Ok(size) => Value::Int(size),
            Err(error) => return invalid(node, error.to_string(), path, sink),
        },
        (Kind::Mode, Value::Text(text)) => match i64::from_str_radix(text, 8) {
            Ok(mode) => Value::Int(mode),
            Err(_) => return invalid(node, format!("`{text}` is not octal permission bits"), path, sink),
        },
        (_, Value::Text(text)) => {
            return invalid(node, format!("`{text}` is not {}", expected(kind)), path, sink);
        }
        _ => return wrong_type(node, expected(kind), path, sink),
    };
    node.value = value;
    true
}

fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Flag | Kind::Choice | Kind::OptOut => "`true` or `false`",
        Kind::Whole | Kind::Count => "a whole number",
        Kind::Real => "a number",
        Kind::Loose => "text or a number",
        Kind::Devices => "a number or `all`",
        Kind::Bytes => "a size in bytes, such as 512m",
        Kind::Mode => "octal permission bits, such as 0440",
        Kind::Duration => "a duration, such as 30s",
        Kind::Size => "a size in bytes with its unit, such as 512m",
        _ => "text",
    }
}

fn word(node: &Node, text: &str, words: &[&str], path: &KeyPath, sink: &mut Sink) -> bool {
    if words.contains(&text) {
        return true;
    }
    let finding = Diagnostic::error(Code::InvalidValue, format!("`{text}` is not possible here"));
    let help = match suggest::closest(text, words.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            format!("possible are {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
        }
    };
    sink.push(finding.at(node.span).path(path).help(help));
    false
}

fn flag(node: &Node, text: &str, path: &KeyPath, sink: &mut Sink) -> Option<Value> {
    let lower = text.to_ascii_lowercase();
    let value = match lower.as_str() {
        "true" | "y" | "yes" | "on" => true,
        "false" | "n" | "no" | "off" => false,
        _ => {
            invalid(node, format!("`{text}` is not `true` or `false`"), path, sink);
            return None;
        }
    };
    if lower != "true" && lower != "false" {
        let message = format!("`{text}` is not a boolean of YAML 1.2");
        let finding = Diagnostic::warning(Code::Obsolete, message).at(node.span).path(path);
        sink.push(finding.help(format!("write `{value}`")));
    }
    Some(Value::Bool(value))
}
