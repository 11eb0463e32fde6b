//! Two trees into one (Compose Specification, "Merge"): mappings by key, sequences appended, some sequences by
//! the identity of their items, command lines replaced; `!reset` removes, `!override` replaces.
//!
//! Both trees are in their long form (`check`). Knows nothing about files or services.

use crate::check::check;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{Entry, KeyPath, Map, MergeTag, Node, Value};
use crate::pools::merge_pools;
use crate::shape::{Identity, Kind, Short};
use std::collections::HashMap;

/// Merges `over` into `base`.
pub fn merge(base: Node, over: Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> Node {
    match over.tag {
        Some(MergeTag::Reset) => return Node { value: Value::Null, ..over },
        Some(MergeTag::Override) => return settle(over),
        None => {}
    }
    if over.is_null() && !matches!(kind, Kind::Command) && !over.short {
        return base;
    }
    let is_many = match kind {
        // As they are written, these are put together below.
        Kind::Dict(_) | Kind::Hosts => !over.short,
        Kind::OneOrList(..) => over.as_text().is_none() && base.as_text().is_none(),
        _ => false,
    };
    if is_many && !base.is_null() {
        match (is_stray(&base), is_stray(&over)) {
            (true, _) => return base,
            (false, true) => return with_stray(base, over, kind, path, sink),
            (false, false) => {}
        }
    }
    match kind {
        Kind::Command | Kind::Test | Kind::Short(Short::Ulimit, _) => replaced(&base, over),
        // `all` is a word as long as its own file is read, and a list of one after that.
        Kind::Short(Short::Gpus, _) if base.short => replaced(&base, over),
        Kind::Short(Short::Gpus, _) if over.short && !base.is_null() => cannot(base, &over, path, sink),
        Kind::Short(_, kind) => merge(base, over, kind, path, sink),
        // As they are written, before anything is interpolated.
        Kind::Dict(_) | Kind::Hosts if over.short => key_values(base, over, matches!(kind, Kind::Hosts)),
        Kind::OneOrList(..) if base.as_text().is_some() || over.as_text().is_some() => {
            by_shape(listed(base), listed(over), kind, path, sink)
        }
        Kind::Variant(key, _) if is_other_variant(&base, &over, key) => replaced(&base, over),
        _ => by_shape(base, over, kind, path, sink),
    }
}

/// `node` without the tags of merges, for what has nothing to merge with.
pub fn settle(mut node: Node) -> Node {
    node.tag = None;
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, entry| entry.node.tag != Some(MergeTag::Reset));
            for entry in map.values_mut() {
                let placeholder = Node::new(Value::Null, entry.node.span);
                entry.node = settle(std::mem::replace(&mut entry.node, placeholder));
            }
        }
        Value::List(items) => {
            let settled = std::mem::take(items).into_iter();
            *items = settled.filter(|i| i.tag != Some(MergeTag::Reset)).map(settle).collect();
        }
        _ => {}
    }
    node
}

/// Leaves one of several items that are the same by `identity`: the last, in the place of the first.
pub fn unite(items: &mut Vec<Node>, identity: Identity) {
    if matches!(identity, Identity::None | Identity::Distinct) {
        return;
    }
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in std::mem::take(items) {
        let Some(name) = identity_of(&item, identity) else {
            kept.push(item);
            continue;
        };
        match places.get(&name) {
            Some(place) => {
                let replaced = kept[*place].span;
                kept[*place] = Node { replaced: Some(replaced), ..item };
            }
            None => {
                places.insert(name, kept.len());
                kept.push(item);
            }
        }
    }
    *items = kept;
}

fn identity_of(item: &Node, identity: Identity) -> Option<String> {
    let text = |key: &str| item.get(key).and_then(Node::scalar_text);
    match identity {
        Identity::None | Identity::Distinct | Identity::Pool => None,
        Identity::Whole => item.scalar_text(),
        Identity::BeforeEquals => item.as_text().map(|t| t.split('=').next().unwrap_or_default().to_owned()),
        Identity::Target => text("target").or_else(|| text("source")),
        Identity::Path => text("path"),
        Identity::GrantTarget(directory) => {
            text("target").or_else(|| text("source").map(|source| format!("{directory}/{source}")))
        }
        Identity::Port => Some(format!(
            "{}:{}:{}/{}",
            text("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned()),
            text("published").unwrap_or_default(),
            text("target")?,
            text("protocol").unwrap_or_else(|| "tcp".to_owned()),
        )),
    }
}

fn replaced(base: &Node, over: Node) -> Node {
    let mut over = settle(over);
    over.replaced = Some(base.span);
    over
}

fn is_other_variant(base: &Node, over: &Node, key: &str) -> bool {
    matches!((base.get_text(key), over.get_text(key)), (Some(a), Some(b)) if a != b)
}

fn by_shape(mut base: Node, mut over: Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> Node {
    let Node { value: base_value, .. } = &mut base;
    match (base_value, std::mem::replace(&mut over.value, Value::Null)) {
        (Value::Map(map), Value::Map(entries)) => {
            merge_maps(map, entries, kind, path, sink);
            base.broken |= over.broken;
            base
        }
        (Value::List(items), Value::List(more)) if let Kind::List(kind, Identity::Pool) = kind => {
            let more: Vec<_> = more.into_iter().map(settle).collect();
            *items = merge_pools(std::mem::take(items), &more, kind, path, sink);
            base
        }
        (Value::List(items), Value::List(more)) => {
            let more = more.into_iter().filter(|i| i.tag != Some(MergeTag::Reset)).map(settle);
            append(items, more, kind);
            base
        }
        (Value::Null, value) => {
            over.value = value;
            settle(over)
        }
        (Value::Map(_) | Value::List(_), value) => {
            over.value = value;
            cannot(base, &over, path, sink)
        }
        (_, value) => {
            over.value = value;
            replaced(&base, over)
        }
    }
}

/// One text as a list of it.
fn listed(node: Node) -> Node {
    match node.value {
        Value::Text(_) => Node::new(Value::List(vec![Node { tag: None, ..node.clone() }]), node.span),
        _ => node,
    }
}

/// Mappings and lists of `key=value` into one list, one item a key, or, for hosts, one an address.
fn key_values(base: Node, over: Node, is_hosts: bool) -> Node {
    let span = base.span;
    let pair = |(name, entry): (String, Entry)| match (&entry.node.value, entry.node.scalar_text()) {
        (Value::List(items), _) => {
            let texts = items.iter().filter_map(Node::scalar_text);
            texts.map(|text| Node::text(format!("{name}={text}"), entry.node.span)).collect()
        }
        (_, Some(value)) => vec![Node::text(format!("{name}={value}"), entry.node.span)],
        (_, None) => vec![Node::text(name, entry.node.span)],
    };
    let items = |node: Node| match node.value {
        Value::List(items) => items,
        Value::Map(map) => map.into_iter().flat_map(pair).collect(),
        Value::Text(_) => vec![node],
        _ => vec![],
    };
    let mut all = items(base);
    all.extend(items(over));
    unite(&mut all, if is_hosts { Identity::Whole } else { Identity::BeforeEquals });
    Node::new(Value::List(all), span)
}

/// A single value where pairs or a list belong. Alone it is a mistake; over another value Compose takes text for one item,
/// and nothing from a number or a flag.
pub fn is_stray(node: &Node) -> bool {
    matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Text(_))
}

fn with_stray(base: Node, over: Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> Node {
    if ["secrets.", "configs."].iter().any(|kind| path.to_string().starts_with(kind)) {
        return cannot(base, &over, path, sink);
    }
    if over.as_text().is_some() {
        let mut over = listed(over);
        return if check(&mut over, kind, path, sink) {
            by_shape(base, over, kind, path, sink)
        } else {
            base
        };
    }
    let message = format!("{} adds nothing to {}", over.kind_name(), base.kind_name());
    sink.push(Diagnostic::warning(Code::NoEffect, message).at(over.span).path(path));
    base
}

/// Reports two values that do not go together; the earlier one stays.
fn cannot(base: Node, over: &Node, path: &KeyPath, sink: &mut Sink) -> Node {
    let message = format!("{} cannot be merged with {}", over.kind_name(), base.kind_name());
    let finding = Diagnostic::error(Code::CannotMerge, message).at(over.span).path(path);
    sink.push(finding.note("the value of the earlier file is here", base.span).help("use `!override`"));
    base
}

/// Forgets which values were written in short forms: the file is read.
pub fn forget_forms(node: &mut Node) {
    node.short = false;
    match &mut node.value {
        Value::Map(map) => map.values_mut().for_each(|entry| forget_forms(&mut entry.node)),
        Value::List(items) => items.iter_mut().for_each(forget_forms),
        _ => {}
    }
}

fn merge_maps(map: &mut Map, over: Map, kind: &Kind, path: &KeyPath, sink: &mut Sink) {
    for (name, entry) in over {
        let path = path.key(&name);
        if entry.node.tag == Some(MergeTag::Reset) {
            map.remove(&name);
            continue;
        }
        let Some(earlier) = map.remove(&name) else {
            map.insert(name, Entry { key_span: entry.key_span, node: settle(entry.node) });
            continue;
        };
        let node = match kind {
            // An unvalued key takes back the value: it is read from the environment again.
            Kind::Dict(_) => replaced(&earlier.node, entry.node),
            Kind::Hosts => merge(earlier.node, entry.node, &HOST_ADDRESSES, &path, sink),
            _ => merge(earlier.node, entry.node, kind_below(kind, &name), &path, sink),
        };
        map.insert(name, Entry { key_span: entry.key_span, node });
    }
}

static HOST_ADDRESSES: Kind = Kind::List(&Kind::Text, Identity::Whole);

/// The kind of the value under `name`.
fn kind_below(kind: &Kind, name: &str) -> &'static Kind {
    let known = match kind {
        Kind::Map(item, _) => Some(*item),
        _ => kind.object().and_then(|object| object.key(name)).map(|key| &key.kind),
    };
    known.unwrap_or(&Kind::Any)
}

/// Adds items to a list; what is in it already is not added again.
fn append(items: &mut Vec<Node>, more: impl Iterator<Item = Node>, kind: &Kind) {
    let identity = match kind {
        Kind::List(_, identity) | Kind::OneOrList(_, identity) => *identity,
        _ => Identity::None,
    };
    match identity {
        // Compose compares items as they are written, and brings each file into its long form before the next.
        Identity::None | Identity::Distinct => {
            for item in more {
                if !items.iter().any(|earlier| earlier.short == item.short && earlier.is_same_as(&item)) {
                    items.push(item);
                }
            }
        }
        _ => {
            items.extend(more);
            unite(items, identity);
        }
    }
}
