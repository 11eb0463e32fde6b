//! Short forms into long ones (Compose Specification, "short syntax" of each key).

use crate::check::{invalid, wrong_type};
use crate::diagnostic::{Code, Diagnostic, Sink, Span};
use crate::mounts;
use crate::node::{Entry, KeyPath, Map, Node, Value};
use crate::ports;
use crate::shape::Short;

/// Brings `node` into its long form. `false`: it was neither, and that was reported.
pub fn lengthen(node: &mut Node, form: Short, path: &KeyPath, sink: &mut Sink) -> bool {
    let span = node.span;
    let text = node.as_text().map(str::to_owned);
    node.short = text.is_some();
    match (form, text) {
        (Short::BuildContext, Some(text)) => node.value = fields(span, [("context", Value::Text(text))]),
        (Short::Extends, Some(text)) => node.value = fields(span, [("service", Value::Text(text))]),
        (Short::Grant, Some(text)) => node.value = fields(span, [("source", Value::Text(text))]),
        (Short::Schedule, Some(text)) => node.value = fields(span, [("cron", Value::Text(text))]),
        (Short::EnvFile, Some(text)) => node.value = fields(span, [("path", Value::Text(text))]),
        (Short::Include, None) => return include(node, path, sink),
        (Short::Include, Some(text)) => {
            let path = Value::List(vec![Node::text(text, span)]);
            node.value = fields(span, [("path", path)]);
        }
        (Short::Mount, Some(text)) => match mounts::parse(&text) {
            Ok(mount) => node.value = mount.into_value(span),
            Err(error) => {
                sink.push(Diagnostic::error(Code::BadMount, error.to_string()).at(span).path(path));
                return false;
            }
        },
        (Short::Device, Some(text)) => return device(node, &text, path, sink),
        (Short::Gpus, Some(text)) if text == "all" => {
            let all = fields(span, [("count", Value::Int(-1))]);
            node.value = Value::List(vec![Node::new(all, span)]);
        }
        (Short::Gpus, Some(_)) => return invalid(node, "`gpus` is `all` or a list", path, sink),
        (Short::Tls, Some(text)) if text == "internal" => {
            node.value = fields(span, [("internal", Value::Bool(true))]);
        }
        (Short::Tls, Some(_)) => return invalid(node, "`tls` is `internal` or a mapping", path, sink),
        (Short::External, _) => return external(node, path, sink),
        (Short::Ulimit, Some(text)) => match text.parse() {
            Ok(limit) => node.value = Value::Int(limit),
            Err(_) => return invalid(node, format!("`{text}` is not a whole number"), path, sink),
        },
        (Short::Under(key), Some(text)) => node.value = fields(span, [(key, Value::Text(text))]),
        (Short::Switch, Some(text)) if matches!(text.as_str(), "true" | "false") => {
            node.value = switched(text == "true", span);
        }
        (Short::Switch, None) => {
            if let Value::Bool(on) = node.value {
                node.value = switched(on, span);
            }
        }
        (Short::Names, None) => return names(node, path, sink, || Value::Null),
        (Short::Dependencies, None) => return names(node, path, sink, || default_dependency(span)),
        (Short::Port, Some(_)) | (_, None) => {}
        (_, Some(_)) => return wrong_type(node, "a list or a mapping", path, sink),
    }
    true
}

/// The long form of an item of `include`. Compose ignores keys that it does not know there.
fn include(node: &mut Node, path: &KeyPath, sink: &mut Sink) -> bool {
    let Some(map) = node.as_map_mut() else { return true };
    map.retain(|name, entry| {
        let is_known = matches!(name.as_str(), "path" | "project_directory" | "env_file");
        if !is_known {
            let finding = Diagnostic::warning(Code::UnknownKey, format!("unknown key `{name}` is ignored"));
            let help = "known here: `path`, `project_directory`, `env_file`";
            sink.push(finding.at(entry.key_span).path(path.key(name)).help(help));
        }
        is_known
    });
    true
}

/// A mapping of fields that were not written as such; all stand at `span`.
pub fn fields<const N: usize>(span: Span, fields: [(&str, Value); N]) -> Value {
    let entry = |(name, value): (&str, Value)| (name.to_owned(), Entry::new(Node::new(value, span)));
    Value::Map(fields.into_iter().map(entry).collect())
}

fn switched(on: bool, span: Span) -> Value {
    if on { Value::Map(Map::new()) } else { fields(span, [("off", Value::Bool(true))]) }
}

fn default_dependency(span: Span) -> Value {
    let condition = Value::Text("service_started".to_owned());
    fields(span, [("condition", condition), ("required", Value::Bool(true))])
}

/// A list of names into a mapping.
fn names(node: &mut Node, path: &KeyPath, sink: &mut Sink, value: impl Fn() -> Value) -> bool {
    let Value::List(items) = &node.value else { return true };
    let mut map = Map::new();
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let Some(name) = item.as_text() else {
            wrong_type(item, "text", &path, sink);
            continue;
        };
        if map.contains_key(name) {
            invalid(item, format!("`{name}` stands twice in the list"), &path, sink);
        }
        map.insert(name.to_owned(), Entry::new(Node::new(value(), item.span)));
    }
    node.value = Value::Map(map);
    true
}

/// `source[:target[:permissions]]`.
fn device(node: &mut Node, text: &str, path: &KeyPath, sink: &mut Sink) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return invalid(node, format!("`{text}` has more than three parts: use the long form"), path, sink);
    }
    let source = parts[0];
    let target = parts.get(1).filter(|t| !t.is_empty()).unwrap_or(&source);
    let permissions = parts.get(2).unwrap_or(&"rwm");
    let value = |text: &str| Value::Text(text.to_owned());
    let fields_of =
        [("source", value(source)), ("target", value(target)), ("permissions", value(permissions))];
    node.value = fields(node.span, fields_of);
    true
}

/// `build.ssh` names agent sockets; all but `default` need a path.
pub fn ssh(node: &Node, path: &KeyPath, sink: &mut Sink) -> bool {
    let entries = node.as_map().into_iter().flatten();
    let without = |(name, e): &(&String, &Entry)| {
        name.as_str() != "default" && e.node.as_text().is_some_and(str::is_empty) && e.key_span == e.node.span
    };
    match entries.into_iter().find(without) {
        Some((name, entry)) => {
            invalid(&entry.node, format!("`{name}` needs a path: write `{name}=./path`"), path, sink)
        }
        None => true,
    }
}

/// `external: true`. The old mapping with a name is understood by the caller, which sees the whole resource.
fn external(node: &mut Node, path: &KeyPath, sink: &mut Sink) -> bool {
    let Some(map) = node.as_map() else { return true };
    if let Some((name, entry)) = map.iter().find(|(name, _)| *name != "name" && !name.starts_with("x-")) {
        let finding = Diagnostic::error(Code::UnknownKey, format!("unknown key `{name}`"));
        sink.push(finding.at(entry.key_span).path(path.key(name)));
        return false;
    }
    let message = "`external: { name: … }` is an obsolete form";
    let finding = Diagnostic::warning(Code::Obsolete, message).at(node.span).path(path);
    sink.push(finding.help("write `external: true` and `name: …`"));
    node.value = Value::Bool(true);
    true
}

/// One short port into as many long ones as it stands for.
pub fn ports(node: &Node, path: &KeyPath, sink: &mut Sink) -> Vec<Node> {
    let text = node.scalar_text().unwrap_or_default();
    match ports::parse(&text) {
        Ok(ports) => ports.iter().map(|port| Node::new(port.to_value(node.span), node.span)).collect(),
        Err(error) => {
            let finding = Diagnostic::error(Code::BadPort, error.to_string()).at(node.span).path(path);
            sink.push(finding.help("the form is [HOST_ADDRESS:][HOST_PORT:]PORT[/PROTOCOL]"));
            vec![]
        }
    }
}

/// `extra_hosts` into a mapping from names to lists of addresses. Brackets around addresses are taken off.
pub fn hosts(node: &mut Node, path: &KeyPath, sink: &mut Sink) -> bool {
    let mut out = Map::new();
    match &node.value {
        Value::Map(map) => {
            for (name, entry) in map {
                let path = path.key(name);
                let addresses = match &entry.node.value {
                    Value::Text(address) => vec![(address.clone(), entry.node.span)],
                    Value::List(items) => {
                        items.iter().filter_map(|i| Some((i.scalar_text()?, i.span))).collect()
                    }
                    _ => {
                        wrong_type(&entry.node, "an address or a list of addresses", &path, sink);
                        continue;
                    }
                };
                add_host(&mut out, name, addresses, &entry.node, &path, sink);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = path.index(index);
                let Some(text) = item.as_text() else {
                    wrong_type(item, "text", &path, sink);
                    continue;
                };
                let Some((name, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                    invalid(item, format!("`{text}` has no address: write `host=address`"), &path, sink);
                    continue;
                };
                let addresses = addresses.split(',').map(|a| (a.to_owned(), item.span)).collect();
                add_host(&mut out, name, addresses, item, &path, sink);
            }
        }
        _ => {
            return crate::merge::is_stray(node)
                || wrong_type(node, "a mapping or a list of `host=address`", path, sink);
        }
    }
    node.value = Value::Map(out);
    true
}

fn add_host(
    out: &mut Map,
    name: &str,
    addresses: Vec<(String, Span)>,
    node: &Node,
    path: &KeyPath,
    sink: &mut Sink,
) {
    if name.is_empty() || name.contains([':', '=']) {
        invalid(node, format!("`{name}` is not a host name"), path, sink);
        return;
    }
    let bare = |text: String| match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(inner) if !inner.is_empty() => inner.to_owned(),
        _ => text,
    };
    let items = addresses.into_iter().map(|(text, span)| Node::text(bare(text), span));
    let entry =
        out.entry(name.to_owned()).or_insert_with(|| Entry::new(Node::new(Value::List(vec![]), node.span)));
    if let Value::List(list) = &mut entry.node.value {
        list.extend(items);
    }
}
