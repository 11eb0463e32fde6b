//! A project as `docker compose config --format json` prints it.
//!
//! Compose prints its own structures: what is zero or empty is mostly left out, sizes are text, durations are
//! Go's, and every dollar sign is doubled so that the output can be read again.

use crate::node::{Map, Node, Value};
use crate::shape::{Kind, Object, SERVICE, Short, TOP, Unvalued};
use crate::units;
use serde_json::{Map as JsonMap, Number, Value as Json, json};

/// Prints the tree of a project called `name`.
pub fn to_compose_json(name: &str, tree: &Node) -> Json {
    let mut out = JsonMap::new();
    out.insert("name".to_owned(), json!(name));
    let mut services = JsonMap::new();
    for (name, entry) in tree.entries("services") {
        services.insert(dollars(name), service(&entry.node));
    }
    out.insert("services".to_owned(), Json::Object(services));
    for kind in ["networks", "volumes", "secrets", "configs"] {
        let shape = TOP.key(kind).map(|key| &key.kind);
        let Some(Kind::Map(Kind::Object(shape), _)) = shape else { continue };
        let mut resources = JsonMap::new();
        for (name, entry) in tree.entries(kind) {
            resources.insert(dollars(name), resource(&entry.node, kind, shape));
        }
        if !resources.is_empty() {
            out.insert(kind.to_owned(), Json::Object(resources));
        }
    }
    for (name, entry) in tree.as_map().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        out.insert(name.clone(), anything(&entry.node));
    }
    Json::Object(out)
}

fn service(node: &Node) -> Json {
    let mut json = object(node, &SERVICE);
    if let Some(fields) = json.as_object_mut() {
        fields.remove("env_file");
        fields.remove("extends");
    }
    json
}

fn resource(node: &Node, kind: &str, shape: &Object) -> Json {
    let mut json = object(node, shape);
    let Some(fields) = json.as_object_mut() else { return json };
    if kind == "configs" && fields.contains_key("environment") {
        fields.remove("content");
    }
    json
}

fn object(node: &Node, shape: &Object) -> Json {
    let mut out = JsonMap::new();
    for key in shape.keys {
        let value = node.get(key.name);
        let printed = match (&key.kind, value) {
            (Kind::Command, None) => Some(Json::Null),
            (Kind::Embedded(shape), None) => {
                Some(object(&Node::new(Value::Map(Map::new()), node.span), shape))
            }
            (_, None) => None,
            (kind, Some(value)) => print(value, kind),
        };
        if let Some(printed) = printed {
            out.insert(key.name.to_owned(), printed);
        }
    }
    Json::Object(out)
}

/// `None`: what an absent key means, so it is left out.
fn print(node: &Node, kind: &Kind) -> Option<Json> {
    let printed = match (kind, &node.value) {
        (Kind::Text | Kind::Word(_) | Kind::Loose, Value::Text(text)) if text.is_empty() => return None,
        (Kind::OptOut, Value::Bool(true)) => return None,
        (Kind::Flag, Value::Bool(false)) | (Kind::Whole | Kind::Size | Kind::Bytes, Value::Int(0)) => {
            return None;
        }
        (Kind::Size | Kind::Bytes, Value::Int(size)) => json!(size.to_string()),
        (Kind::Mode, Value::Int(mode)) => json!(format!("0{mode:o}")),
        (Kind::Real, Value::Int(0)) => return None,
        (Kind::Short(Short::Ulimit, _), Value::Int(0)) => json!({}),
        (Kind::Real, Value::Float(number)) => return single(*number),
        (Kind::Duration, Value::Text(text)) => match units::duration(text) {
            Ok(duration) => json!(units::duration_text(duration)),
            Err(_) => json!(text),
        },
        (Kind::Object(shape) | Kind::Embedded(shape) | Kind::Variant(_, shape), Value::Map(_)) => {
            object(node, shape)
        }
        (Kind::Capital(shape), Value::Map(_)) => capital(object(node, shape)),
        (Kind::Ssh, Value::Map(map)) => return ssh(map),
        (Kind::Short(_, kind), Value::Map(_) | Value::List(_)) => return print(node, kind),
        (Kind::Map(item, _), Value::Map(map)) => return map_of(map, item),
        (Kind::Dict(unvalued), Value::Map(map)) => return dict(map, *unvalued),
        (Kind::Hosts, Value::Map(map)) => return hosts(map),
        (Kind::Command, Value::List(items)) => json!(items.iter().map(anything).collect::<Vec<_>>()),
        (Kind::Test, Value::List(items)) | (Kind::List(..) | Kind::OneOrList(..), Value::List(items))
            if items.is_empty() =>
        {
            return None;
        }
        (Kind::List(item, _) | Kind::OneOrList(item, _), Value::List(items)) => {
            let items = items.iter().map(|i| print(i, item).unwrap_or_else(|| empty_of(i)));
            Json::Array(items.collect())
        }
        _ => anything(node),
    };
    Some(printed)
}

/// An item of a list is printed even when it is empty.
fn empty_of(node: &Node) -> Json {
    match &node.value {
        Value::List(_) => json!([]),
        Value::Map(_) => json!({}),
        _ => anything(node),
    }
}

fn map_of(map: &Map, item: &Kind) -> Option<Json> {
    if map.is_empty() {
        return None;
    }
    let printed = map.iter().map(|(name, entry)| {
        let value = if entry.node.is_null() {
            Json::Null
        } else {
            print(&entry.node, item).unwrap_or_else(|| empty_of(&entry.node))
        };
        (dollars(name), value)
    });
    Some(Json::Object(printed.collect()))
}

fn dict(map: &Map, unvalued: Unvalued) -> Option<Json> {
    if map.is_empty() {
        return None;
    }
    let printed = map.iter().map(|(name, entry)| match entry.node.is_null() {
        true if unvalued == Unvalued::Inherited => (dollars(name), Json::Null),
        _ => (dollars(name), json!(dollars(entry.node.as_text().unwrap_or_default()))),
    });
    Some(Json::Object(printed.collect()))
}

/// Keys with a capital letter.
fn capital(json: Json) -> Json {
    let Json::Object(fields) = json else { return json };
    let name = |name: String| name[..1].to_ascii_uppercase() + &name[1..];
    Json::Object(fields.into_iter().map(|(key, value)| (name(key), value)).collect())
}

/// Names of agent sockets, with the paths of those that have one.
fn ssh(map: &Map) -> Option<Json> {
    let printed = map.iter().map(|(name, entry)| match entry.node.as_text().unwrap_or_default() {
        "" => dollars(name),
        path => dollars(&format!("{name}={path}")),
    });
    if map.is_empty() { None } else { Some(json!(printed.collect::<Vec<_>>())) }
}

fn hosts(map: &Map) -> Option<Json> {
    let mut lines: Vec<String> = map
        .iter()
        .flat_map(|(name, entry)| {
            entry
                .node
                .as_list()
                .unwrap_or_default()
                .iter()
                .filter_map(move |address| Some(dollars(&format!("{name}={}", address.as_text()?))))
        })
        .collect();
    lines.sort();
    if lines.is_empty() { None } else { Some(json!(lines)) }
}

/// A number of single precision, which is what Compose keeps for CPUs.
fn single(number: f64) -> Option<Json> {
    #[allow(clippy::cast_possible_truncation)] // That is the point.
    let single = number as f32;
    if single == 0.0 {
        return None;
    }
    let shortest: f64 = single.to_string().parse().unwrap_or(number);
    Some(float(shortest))
}

fn float(number: f64) -> Json {
    #[allow(clippy::cast_possible_truncation)] // Whole and below 2^53.
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return json!(number as i64);
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

/// Any value as it is.
fn anything(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Float(number) => float(*number),
        Value::Text(text) => json!(dollars(text)),
        Value::List(items) => Json::Array(items.iter().map(anything).collect()),
        Value::Map(map) => {
            Json::Object(map.iter().map(|(name, entry)| (dollars(name), anything(&entry.node))).collect())
        }
    }
}

fn dollars(text: &str) -> String {
    text.replace('$', "$$")
}
