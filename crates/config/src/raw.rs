//! A project before its variables are replaced, as `docker compose config --no-interpolate` shows it: files merged and
//! brought into long forms, values as they are written.
//!
//! Values are not judged here: what a variable will make of them is not known.

use crate::diagnostic::{Diagnostic, Sink, Texts};
use crate::load::Loader;
use crate::node::{Entry, KeyPath, Map, MergeTag, Node, Value};
use crate::print;
use crate::request::{Request, Skip};
use crate::shape::{Identity, Kind, Object, Short};
use crate::source::Source;
use crate::template::{self, Variable};
use crate::{merge, short};
use std::collections::BTreeMap;

/// What a load without interpolation found.
pub struct Raw {
    /// The tree, when the files can be read.
    pub tree: Option<Node>,
    /// Everything found.
    pub diagnostics: Vec<Diagnostic>,
    /// Texts of the files that were read.
    pub texts: Texts,
}

/// Loads a project without replacing its variables. Profiles do not matter, nothing is left out.
pub fn raw(request: &Request, source: &dyn Source) -> Raw {
    let request =
        Request { skip: Skip { interpolation: true, env_files: true, ..request.skip }, ..request.clone() };
    let mut loader = Loader::new(&request, source);
    let tree = loader.merged(&request).map(|(mut tree, name, place)| {
        loader.normalise(&mut tree, &name, &place.directory);
        if !request.skip.normalization {
            tree.put("name", Value::Text(name));
        }
        tree
    });
    let (diagnostics, texts) = loader.finish();
    let tree = tree.filter(|_| !diagnostics.iter().any(|d| d.severity == crate::Severity::Error));
    Raw { tree, diagnostics, texts }
}

impl Raw {
    /// What `docker compose config --no-interpolate --format json` prints.
    pub fn to_text(&self) -> Option<String> {
        self.tree.as_ref().map(|tree| print::go_json(&print::anything(tree), true))
    }

    /// What `docker compose config --no-interpolate` prints.
    pub fn to_yaml(&self) -> Option<String> {
        self.tree.as_ref().map(|tree| print::to_yaml(&print::anything(tree)))
    }

    /// Every variable that a value names, with what stands in for it.
    pub fn variables(&self) -> BTreeMap<String, Variable> {
        let mut found = BTreeMap::new();
        if let Some(tree) = &self.tree {
            collect(tree, &mut found);
        }
        found
    }
}

fn collect(node: &Node, found: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Text(text) => template::variables(text, found),
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Map(map) => map.values().for_each(|entry| collect(&entry.node, found)),
        _ => {}
    }
}

/// Texts that Compose makes lists of even here.
const LISTS: [&str; 5] = ["dns", "env_file", "ignore", "include", "label_file"];

/// Brings `node` into its long form, as far as it can be told without its variables.
pub fn lengthen(node: &mut Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) {
    if node.is_null() || node.tag == Some(MergeTag::Reset) {
        node.short = matches!(kind, Kind::Dict(_) | Kind::Hosts);
        return;
    }
    match kind {
        Kind::Map(item, _) => {
            for (name, entry) in node.as_map_mut().into_iter().flatten() {
                lengthen(&mut entry.node, item, &path.key(name), sink);
            }
        }
        Kind::Object(shape) | Kind::Embedded(shape) | Kind::Capital(shape) | Kind::Variant(_, shape) => {
            object(node, shape, path, sink);
        }
        Kind::List(item, identity) | Kind::OneOrList(item, identity) => {
            list(node, item, *identity, path, sink)
        }
        Kind::Short(Short::Include, _) => {
            crate::check::check(node, kind, path, sink);
        }
        Kind::Short(form, long) => {
            form_of(node, *form, path, sink);
            lengthen(node, long, path, sink);
        }
        Kind::TextOrFlag => node.value = node.scalar_text().map_or(Value::Null, Value::Text),
        Kind::Ssh => pairs(node, |_| Value::Null),
        Kind::Dict(crate::shape::Unvalued::Refused) => pairs(node, |_| Value::Null),
        // Merged as they are written.
        Kind::Dict(_) => {
            node.short = true;
            if let Value::List(items) = &mut node.value {
                merge::unite(items, Identity::BeforeEquals);
            }
        }
        Kind::Hosts => node.short = true,
        _ => {}
    }
}

fn object(node: &mut Node, shape: &Object, path: &KeyPath, sink: &mut Sink) {
    let Some(map) = node.as_map_mut() else { return };
    for (name, entry) in map.iter_mut() {
        let Some(key) = shape.key(name) else {
            if !(shape.extensible && name.starts_with("x-")) && entry.node.tag != Some(MergeTag::Reset) {
                crate::check::unknown_key(name, entry, shape, &path.key(name), sink);
            }
            continue;
        };
        if LISTS.contains(&name.as_str()) && entry.node.as_text().is_some() {
            let item = std::mem::replace(&mut entry.node.value, Value::Null);
            entry.node.value = Value::List(vec![Node::new(item, entry.node.span)]);
        }
        lengthen(&mut entry.node, &key.kind, &path.key(name), sink);
    }
}

fn list(node: &mut Node, item: &Kind, identity: Identity, path: &KeyPath, sink: &mut Sink) {
    let Value::List(items) = &mut node.value else { return };
    let mut kept = vec![];
    for (index, mut node) in std::mem::take(items).into_iter().enumerate() {
        let path = path.index(index);
        match (item, &node.value) {
            (Kind::Short(Short::Port, _), Value::Text(text)) if has_variable(text) => kept.push(node),
            (Kind::Short(Short::Port, _), Value::Text(_) | Value::Int(_)) => {
                kept.extend(short::ports(&node, &path, sink));
            }
            _ => {
                lengthen(&mut node, item, &path, sink);
                kept.push(node);
            }
        }
    }
    merge::unite(&mut kept, identity);
    *items = kept;
}

fn form_of(node: &mut Node, form: Short, path: &KeyPath, sink: &mut Sink) {
    let text = node.as_text();
    let is_known = match form {
        Short::Gpus if text.is_some() => {
            let all = short::fields(node.span, [("count", Value::Text("all".to_owned()))]);
            node.value = Value::List(vec![Node::new(all, node.span)]);
            node.short = true;
            return;
        }
        Short::External | Short::Ulimit => node.as_map().is_some() && form == Short::External,
        Short::Mount | Short::Device => text.is_some_and(|text| !has_variable(text)),
        _ => true,
    };
    if is_known {
        short::lengthen(node, form, path, sink);
    }
}

fn has_variable(text: &str) -> bool {
    text.contains('$')
}

/// A list of `key=value` into a mapping.
fn pairs(node: &mut Node, unvalued: impl Fn(&str) -> Value) {
    let Some(items) = node.as_list() else { return };
    let mut map = Map::new();
    for item in items {
        let Some(text) = item.as_text() else { return };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Value::Text(value.to_owned())),
            None => (text, unvalued(text)),
        };
        map.insert(name.to_owned(), Entry::new(Node::new(value, item.span)));
    }
    node.value = Value::Map(map);
}
