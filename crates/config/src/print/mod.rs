//! A project as Compose prints it: what is zero or empty is mostly left out, sizes are text, durations are Go's, and
//! keys stand in Compose's order.
//!
//! Says what is printed; `text` says how it is written, `hash` what of it is hashed.

mod hash;
mod text;
mod yaml;

pub use hash::{of_network, of_service, of_volume};
pub use text::{go_json, value};
pub use yaml::to_yaml;

use crate::node::{Entry, Map, Node, Value};
use crate::shape::{JOB, Kind, NETWORK, Object, SERVICE, Short, TOP, Unvalued, VOLUME};
use crate::units;

/// What it is printed for: the two leave out different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON, and what is hashed.
    Json,
    /// YAML.
    Yaml,
}

/// A value to be written, its keys in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Printed {
    /// `null`.
    Null,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A number of single precision, which is what Compose keeps for CPUs.
    Single(f32),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Printed>),
    /// A mapping.
    Object(Vec<(String, Printed)>),
}

/// The tree of a project called `name`. Extensions come last in YAML, and in their place in JSON, where everything is
/// sorted.
pub fn project(name: &str, tree: &Node, form: Form) -> Printed {
    let mut out = vec![("name".to_owned(), Printed::Text(name.to_owned()))];
    let services = tree.entries("services").map(|(name, entry)| (name.clone(), service(&entry.node, form)));
    out.push(("services".to_owned(), Printed::Object(services.collect())));
    // Compose leaves models out of its JSON.
    let models = if form == Form::Yaml { "models" } else { "" };
    for kind in ["jobs", "networks", "volumes", "secrets", "configs", models] {
        let shape = TOP.key(kind).map(|key| &key.kind);
        let Some(Kind::Map(Kind::Object(shape), _)) = shape else { continue };
        let print = |(name, entry): (&String, &Entry)| {
            let mut fields = resource(&entry.node, kind, shape, form);
            // Compose prints the name of a job twice in YAML.
            if form == Form::Yaml && kind == "jobs" {
                fields.insert(0, ("name".to_owned(), Printed::Text(name.clone())));
            }
            (name.clone(), Printed::Object(fields))
        };
        let resources: Vec<_> = tree.entries(kind).map(print).collect();
        if !resources.is_empty() {
            out.push((kind.to_owned(), Printed::Object(resources)));
        }
    }
    for (name, entry) in tree.as_map().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        out.push((name.clone(), anything(&entry.node)));
    }
    if form == Form::Json {
        out.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    Printed::Object(out)
}

/// A service. Its `env_file` is part of its `environment` by now; where it still has `extends`, the service that it
/// extends is empty.
pub fn service(node: &Node, form: Form) -> Printed {
    Printed::Object(object(node, &SERVICE, form))
}

/// A network.
pub fn network(node: &Node, form: Form) -> Printed {
    Printed::Object(object(node, &NETWORK, form))
}

/// A volume.
pub fn volume(node: &Node, form: Form) -> Printed {
    Printed::Object(object(node, &VOLUME, form))
}

fn resource(node: &Node, kind: &str, shape: &Object, form: Form) -> Vec<(String, Printed)> {
    let mut fields = object(node, if kind == "jobs" { &JOB } else { shape }, form);
    if kind == "configs" && fields.iter().any(|(name, _)| name == "environment") {
        fields.retain(|(name, _)| name != "content");
    }
    fields
}

fn object(node: &Node, shape: &Object, form: Form) -> Vec<(String, Printed)> {
    let mut out = vec![];
    for key in shape.keys() {
        let printed = match (&key.kind, node.get(key.name)) {
            (Kind::Command | Kind::Embedded(_), None) if form == Form::Yaml => None,
            (Kind::Command, None) => Some(Printed::Null),
            (Kind::Embedded(shape), None) => {
                Some(Printed::Object(object(&Node::new(Value::Map(Map::new()), node.span), shape, form)))
            }
            // Where it means the opposite of what is printed by default, its default has been filled in.
            (Kind::OptOut, None) => Some(Printed::Bool(false)),
            (_, None) => None,
            (kind, Some(value)) => print(value, kind, form),
        };
        if let Some(printed) = printed {
            out.push((key.name.to_owned(), printed));
        }
    }
    if form == Form::Yaml && shape.extensible {
        let entries = node.as_map().into_iter().flatten();
        let own = entries.filter(|(name, _)| name.starts_with("x-"));
        out.extend(own.map(|(name, entry)| (name.clone(), anything(&entry.node))));
    }
    out
}

/// `None`: what an absent key means, so it is left out.
#[allow(clippy::too_many_lines)] // One arm a kind.
fn print(node: &Node, kind: &Kind, form: Form) -> Option<Printed> {
    let printed = match (kind, &node.value) {
        (
            Kind::Text | Kind::Word(_) | Kind::Loose | Kind::LooseOrNull | Kind::TextOrFlag,
            Value::Text(text),
        ) if text.is_empty() => {
            return None;
        }
        (Kind::OptOut, Value::Bool(true)) => return None,
        (Kind::Flag | Kind::Switch, Value::Bool(false))
        | (
            Kind::Whole
            | Kind::WholeOrFraction
            | Kind::Between(..)
            | Kind::Number
            | Kind::Integer
            | Kind::Size
            | Kind::Bytes
            | Kind::BytesOrFraction,
            Value::Int(0),
        ) => return None,
        (Kind::Size | Kind::Bytes | Kind::BytesOrFraction, Value::Int(size)) => {
            Printed::Text(size.to_string())
        }
        (Kind::TextOrList, Value::Text(_)) => Printed::List(vec![anything(node)]),
        (Kind::TextOrList, Value::List(items)) if items.is_empty() => return None,
        (Kind::Mode, Value::Int(mode)) => Printed::Text(format!("0{mode:o}")),
        (Kind::Real, Value::Int(0)) => return None,
        (Kind::Short(Short::Ulimit, _), Value::Int(0) | Value::Map(_)) if form == Form::Yaml => {
            both_limits(node)
        }
        (Kind::Short(Short::Ulimit, _), Value::Int(0)) => Printed::Object(vec![]),
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // That is the point.
        (Kind::Real, Value::Int(number)) => Printed::Single(*number as f32),
        (Kind::Real, Value::Float(number)) => return single(*number),
        (Kind::Duration | Kind::Pause, Value::Text(text)) => match units::duration(text) {
            Ok(duration) if duration.is_zero() && matches!(kind, Kind::Pause) => return None,
            Ok(duration) => Printed::Text(units::duration_text(duration)),
            Err(_) => Printed::Text(text.clone()),
        },
        (Kind::Embedded(shape), Value::Map(_)) if form == Form::Yaml => {
            let fields = object(node, shape, form);
            return if fields.is_empty() { None } else { Some(Printed::Object(fields)) };
        }
        (Kind::Object(shape) | Kind::Embedded(shape) | Kind::Variant(_, shape), Value::Map(_)) => {
            Printed::Object(object(node, shape, form))
        }
        (Kind::Capital(shape), Value::Map(_)) if form == Form::Json => capital(object(node, shape, form)),
        (Kind::Capital(shape), Value::Map(_)) => Printed::Object(object(node, shape, form)),
        (Kind::Ssh, Value::Map(map)) => return ssh(map, form),
        (Kind::Short(Short::External, kind), _) => return print(node, kind, form),
        (Kind::Short(_, kind), Value::Map(_) | Value::List(_)) => return print(node, kind, form),
        (Kind::Map(item, _), Value::Map(map)) => return map_of(map, item, form),
        (Kind::Dict(unvalued), Value::Map(map)) => return dict(map, *unvalued),
        (Kind::Hosts, Value::Map(map)) => return hosts(map),
        (Kind::Command, Value::List(items)) => Printed::List(items.iter().map(anything).collect()),
        (Kind::Test | Kind::List(..) | Kind::OneOrList(..), Value::List(items)) if items.is_empty() => {
            return None;
        }
        (Kind::List(item, _) | Kind::OneOrList(item, _), Value::List(items)) => {
            Printed::List(items.iter().map(|i| print(i, item, form).unwrap_or_else(|| empty_of(i))).collect())
        }
        _ => anything(node),
    };
    Some(printed)
}

/// In YAML, Compose prints both limits, zeros included.
fn both_limits(node: &Node) -> Printed {
    let limit = |key: &str| (key.to_owned(), Printed::Int(node.get_int(key).unwrap_or_default()));
    let own = node.as_map().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    let own = own.map(|(name, entry)| (name.clone(), anything(&entry.node)));
    Printed::Object([limit("soft"), limit("hard")].into_iter().chain(own).collect())
}

/// An item of a list is printed even when it is empty.
fn empty_of(node: &Node) -> Printed {
    match &node.value {
        Value::List(_) => Printed::List(vec![]),
        Value::Map(_) => Printed::Object(vec![]),
        _ => anything(node),
    }
}

fn map_of(map: &Map, item: &Kind, form: Form) -> Option<Printed> {
    if map.is_empty() {
        return None;
    }
    let printed = map.iter().map(|(name, entry)| {
        let value = match (&entry.node, item) {
            // Options without a value are empty text.
            (node, Kind::Loose | Kind::LooseOrNull) if node.is_null() => Printed::Text(String::new()),
            (node, _) if node.is_null() => Printed::Null,
            (node, item) => print(node, item, form).unwrap_or_else(|| empty_of(node)),
        };
        (name.clone(), value)
    });
    Some(Printed::Object(printed.collect()))
}

fn dict(map: &Map, unvalued: Unvalued) -> Option<Printed> {
    if map.is_empty() {
        return None;
    }
    let printed = map.iter().map(|(name, entry)| match entry.node.is_null() {
        true if unvalued == Unvalued::Inherited => (name.clone(), Printed::Null),
        _ => (name.clone(), Printed::Text(entry.node.as_text().unwrap_or_default().to_owned())),
    });
    Some(Printed::Object(printed.collect()))
}

/// Keys with a capital letter.
fn capital(fields: Vec<(String, Printed)>) -> Printed {
    let name = |name: String| name[..1].to_ascii_uppercase() + &name[1..];
    Printed::Object(fields.into_iter().map(|(key, value)| (name(key), value)).collect())
}

/// Names of agent sockets, with the paths of those that have one.
fn ssh(map: &Map, form: Form) -> Option<Printed> {
    let printed = map.iter().map(|(name, entry)| match entry.node.as_text().unwrap_or_default() {
        "" => Printed::Text(name.clone()),
        path if form == Form::Yaml => Printed::Text(format!("{name}: {path}")),
        path => Printed::Text(format!("{name}={path}")),
    });
    if map.is_empty() { None } else { Some(Printed::List(printed.collect())) }
}

fn hosts(map: &Map) -> Option<Printed> {
    let mut lines: Vec<String> = vec![];
    for (name, entry) in map {
        let addresses = entry.node.as_list().unwrap_or_default().iter().filter_map(Node::as_text);
        lines.extend(addresses.map(|address| format!("{name}={address}")));
    }
    lines.sort();
    if lines.is_empty() { None } else { Some(Printed::List(lines.into_iter().map(Printed::Text).collect())) }
}

fn single(number: f64) -> Option<Printed> {
    #[allow(clippy::cast_possible_truncation)] // That is the point.
    let single = number as f32;
    if single == 0.0 { None } else { Some(Printed::Single(single)) }
}

/// Any value as it is.
pub fn anything(node: &Node) -> Printed {
    match &node.value {
        Value::Null => Printed::Null,
        Value::Bool(flag) => Printed::Bool(*flag),
        Value::Int(number) => Printed::Int(*number),
        Value::Float(number) => Printed::Float(*number),
        Value::Text(text) => Printed::Text(text.clone()),
        Value::Date(date) => Printed::Text(date.json.clone()),
        Value::List(items) => Printed::List(items.iter().map(anything).collect()),
        Value::Map(map) => {
            Printed::Object(map.iter().map(|(name, entry)| (name.clone(), anything(&entry.node))).collect())
        }
    }
}
