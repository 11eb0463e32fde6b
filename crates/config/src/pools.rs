//! How address pools of two files merge (`networks.*.ipam.config`): those of one subnet into one.
//!
//! Follows Compose step by step, because the outcome shows its steps: each pool of the later file is held against each
//! of the earlier one, and what has been put out already may still change.

use crate::diagnostic::Sink;
use crate::merge::merge;
use crate::node::{KeyPath, Node};
use crate::shape::Kind;

/// A pool of the result: one of the earlier file, or one of the later.
#[derive(Clone, Copy)]
enum Slot {
    Base(usize),
    Over(usize),
}

/// Merges the pools of a later file into those of an earlier one.
pub fn merge_pools(
    mut base: Vec<Node>,
    over: &[Node],
    kind: &Kind,
    path: &KeyPath,
    sink: &mut Sink,
) -> Vec<Node> {
    let mut out: Vec<Slot> = vec![];
    for left in 0..base.len() {
        for (right, pool) in over.iter().enumerate() {
            let held = |slot: Slot, base: &[Node]| match slot {
                Slot::Base(index) => subnet(&base[index]),
                Slot::Over(index) => subnet(&over[index]),
            };
            let is_new = !out.iter().any(|slot| held(*slot, &base) == subnet(pool));
            if subnet(pool) != subnet(&base[left]) && is_new {
                out.push(Slot::Over(right));
                continue;
            }
            base[left] = merge(base[left].clone(), pool.clone(), kind, path, sink);
            let known = out.iter().position(|slot| held(*slot, &base) == subnet(&base[left]));
            match known {
                Some(place) => out[place] = Slot::Base(left),
                None => out.push(Slot::Base(left)),
            }
        }
    }
    let node = |slot| match slot {
        Slot::Base(index) => base[index].clone(),
        Slot::Over(index) => over[index].clone(),
    };
    out.into_iter().map(node).collect()
}

fn subnet(pool: &Node) -> Option<String> {
    pool.get_text("subnet").map(str::to_owned)
}
