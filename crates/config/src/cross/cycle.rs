//! Services that wait for each other.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use std::collections::BTreeMap;

/// Reports a cycle of `depends_on`, with all services on it.
pub fn report(tree: &Node, sink: &mut Sink) {
    let graph: BTreeMap<&str, Vec<&str>> = tree
        .entries("services")
        .map(|(name, entry)| {
            (name.as_str(), entry.node.entries("depends_on").map(|(n, _)| n.as_str()).collect())
        })
        .collect();
    let Some(cycle) = find(&graph) else { return };
    let mut names: Vec<&str> = cycle.clone();
    names.push(cycle[0]);
    let text = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" → ");
    let mut finding = Diagnostic::error(Code::Cycle, format!("services wait for each other: {text}"));
    for pair in names.windows(2) {
        let [from, to] = pair else { continue };
        let entry = tree
            .at(&["services", from, "depends_on"])
            .and_then(Node::as_map)
            .and_then(|dependencies| dependencies.get(*to));
        let Some(span) = entry.map(|e| e.key_span) else { continue };
        if finding.span.is_none() {
            let path = KeyPath::root().key("services").key(from).key("depends_on").key(to);
            finding = finding.at(span).path(path);
        } else {
            finding = finding.note(format!("`{from}` waits for `{to}`"), span);
        }
    }
    sink.push(finding.help("remove one of these dependencies"));
}

/// The first cycle in the order of names. Walks without recursion: a chain may be as long as a file.
fn find<'a>(graph: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for start in graph.keys() {
        if done.contains_key(start) {
            continue;
        }
        // Services on the way, each with the number of dependencies already followed.
        let mut way: Vec<(&'a str, usize)> = vec![(start, 0)];
        done.insert(start, false);
        while let Some((name, followed)) = way.last_mut() {
            let next = graph.get(name).and_then(|dependencies| dependencies.get(*followed)).copied();
            *followed += 1;
            match next {
                None => {
                    done.insert(name, true);
                    way.pop();
                }
                Some(next) => match done.get(next) {
                    Some(true) => {}
                    Some(false) => {
                        let first = way.iter().position(|(n, _)| *n == next)?;
                        return Some(way[first..].iter().map(|(n, _)| *n).collect());
                    }
                    None => {
                        done.insert(next, false);
                        way.push((next, 0));
                    }
                },
            }
        }
    }
    None
}
