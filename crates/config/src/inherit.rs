//! `pre_start` hooks completed with what their service says (Compose Specification, "pre_start"): a hook is a container
//! of its own, made like the service's but for what it says itself.
//!
//! Lists are put together whatever their items mean: Compose looks for equal items only. Volumes stay apart, because
//! a hook gets those of the service when it runs.

use crate::node::{Entry, Map, Node, Value};
use crate::shape::{Kind, PRE_START, SERVICE, Short};

/// Completes the hooks of a service.
pub fn complete_hooks(service: &mut Node) {
    if service.items("pre_start").is_empty() {
        return;
    }
    let is_shared = |name: &str| PRE_START.key(name).is_some() && name != "volumes";
    let own: Map = service
        .as_map()
        .into_iter()
        .flatten()
        .filter(|(name, entry)| is_shared(name) && !entry.node.is_null())
        .map(|(name, entry)| (name.clone(), entry.clone()))
        .collect();
    for hook in service.items_mut("pre_start") {
        let base = Node::new(Value::Map(own.clone()), hook.span);
        let over = std::mem::replace(hook, Node::new(Value::Null, base.span));
        *hook = over_base(base, over, &Kind::Object(&SERVICE));
    }
}

fn over_base(base: Node, over: Node, kind: &Kind) -> Node {
    match kind {
        Kind::Command | Kind::Test => over,
        _ if over.is_null() => base,
        Kind::Short(Short::Ulimit, _) if !(is_map(&base) && is_map(&over)) => over,
        Kind::Short(_, kind) => over_base(base, over, kind),
        Kind::Variant(key, _) if differ(&base, &over, key) => over,
        _ => by_shape(base, over, kind),
    }
}

fn is_map(node: &Node) -> bool {
    node.as_map().is_some()
}

fn differ(base: &Node, over: &Node, key: &str) -> bool {
    matches!((base.get_text(key), over.get_text(key)), (Some(a), Some(b)) if a != b)
}

fn by_shape(mut base: Node, over: Node, kind: &Kind) -> Node {
    match (&mut base.value, over.value) {
        (Value::Map(map), Value::Map(over)) => {
            for (name, Entry { key_span, node }) in over {
                let node = match map.remove(&name) {
                    Some(earlier) => over_base(earlier.node, node, below(kind, &name)),
                    None => node,
                };
                map.insert(name, Entry { key_span, node });
            }
            base
        }
        (Value::List(items), Value::List(more)) => {
            for item in more {
                if !items.iter().any(|earlier| earlier.is_same_as(&item)) {
                    items.push(item);
                }
            }
            base
        }
        (_, value) => Node { value, ..over },
    }
}

/// The kind of the value under `name`. Values of free mappings replace each other, or are lists of their own.
fn below(kind: &Kind, name: &str) -> &'static Kind {
    let known = match kind {
        Kind::Map(item, _) => Some(*item),
        _ => kind.object().and_then(|object| object.key(name)).map(|key| &key.kind),
    };
    known.unwrap_or(&Kind::Any)
}
