//! What becomes of every key that the files of a stack use: so that whoever relies on one knows before anything runs.
//!
//! What stands against a key is said by the findings; this adds the keys that nothing stands against.

use crate::diagnostic::{Code, Diagnostic, Severity, Span, Texts};
use crate::node::{Entry, KeyPath, Map, Node, Value};
use crate::project::Project;
use crate::shape::{Kind, TOP};
use std::collections::{BTreeMap, BTreeSet};

/// What is done with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing starts while it is there.
    Refused {
        /// Why, and what to do.
        why: String,
    },
    /// Everything runs as if it were not there.
    Ignored {
        /// Why.
        why: String,
    },
    /// What the Compose Specification says.
    Honoured,
}

/// A key in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedKey {
    /// Where it stands: `services.api.isolation`; for honoured keys, `*` stands for any name and `[]` for any item.
    pub key: String,
    /// How often it is used so.
    pub uses: usize,
    /// The (first) place.
    pub at: Option<Span>,
    /// What is done with it.
    pub fate: Fate,
}

/// Every key that `project` uses: first those refused, then those ignored, each in the order of the files; then those
/// honoured, by name. `findings` are those of the load that gave the project.
pub fn parity(project: &Project, findings: &[Diagnostic], texts: &Texts) -> Vec<UsedKey> {
    let mut keys: Vec<UsedKey> = findings.iter().flat_map(fates_of).collect();
    keys.sort_by_key(|key| (matches!(key.fate, Fate::Ignored { .. }), key.at));
    let against = keys.iter().map(|key| key.key.clone()).collect();
    let mut walk = Walk { texts, against, honoured: BTreeMap::new() };
    walk.below(&Kind::Object(&TOP), &project.tree, &KeyPath::root(), "");
    let honoured = walk.honoured.into_iter();
    let honoured: Vec<_> =
        honoured.map(|(key, (uses, at))| UsedKey { key, uses, at: Some(at), fate: Fate::Honoured }).collect();
    keys.extend(honoured);
    keys
}

impl Diagnostic {
    /// Whether it says that a key is not honoured.
    pub fn is_about_parity(&self) -> bool {
        let codes = [Code::NoEffect, Code::NotSupported, Code::NotYet, Code::ContainerOnly];
        codes.contains(&self.code) || self.path == "version"
    }
}

/// What a finding says of the key it is about, and of the others that say the same with the same words.
fn fates_of(finding: &Diagnostic) -> Vec<UsedKey> {
    if !finding.is_about_parity() || finding.path.is_empty() {
        return vec![];
    }
    let why = match &finding.help {
        Some(help) => format!("{}: {help}", finding.message),
        None => finding.message.clone(),
    };
    let fate = match finding.severity {
        Severity::Error => Fate::Refused { why },
        Severity::Warning => Fate::Ignored { why },
    };
    let paths = std::iter::once(&finding.path).chain(&finding.also);
    paths.map(|path| UsedKey { key: path.clone(), uses: 1, at: finding.span, fate: fate.clone() }).collect()
}

struct Walk<'a> {
    texts: &'a Texts,
    /// Paths of keys that are not honoured.
    against: BTreeSet<String>,
    honoured: BTreeMap<String, (usize, Span)>,
}

impl Walk<'_> {
    /// Notes the keys at and below a value; whether there were any. `path` is where it stands, `key` the same with names
    /// left out.
    fn below(&mut self, kind: &Kind, node: &Node, path: &KeyPath, key: &str) -> bool {
        let mut some = false;
        match (kind, &node.value) {
            (Kind::Short(_, kind), _) => some = self.below(kind, node, path, key),
            (
                Kind::Object(shape) | Kind::Embedded(shape) | Kind::Capital(shape) | Kind::Variant(_, shape),
                Value::Map(map),
            ) => {
                for (name, entry) in map {
                    if let Some(known) = shape.key(name) {
                        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                        some |= self.key(&known.kind, name, entry, &path.key(name), key);
                    }
                }
            }
            (Kind::Map(item, _), Value::Map(map)) => {
                for (name, entry) in map {
                    some |= self.below(item, &entry.node, &path.key(name), &format!("{key}.*"));
                }
            }
            (Kind::List(item, _) | Kind::OneOrList(item, _), Value::List(items)) => {
                for (index, node) in items.iter().enumerate() {
                    some |= self.below(item, node, &path.index(index), &format!("{key}[]"));
                }
            }
            _ => {}
        }
        some
    }

    /// A key of other keys is said by those, and what is implied was written by nobody.
    fn key(&mut self, kind: &Kind, name: &str, entry: &Entry, path: &KeyPath, key: String) -> bool {
        if self.against.contains(&path.to_string()) || self.below(kind, &entry.node, path, &key) {
            return true;
        }
        let written = self.texts.slice(entry.key_span);
        let is_written = written.is_some_and(|text| text.trim_matches(['"', '\'']) == name);
        let is_empty = entry.node.is_null() || entry.node.as_map().is_some_and(Map::is_empty);
        if is_written && !is_empty {
            self.honoured.entry(key).or_insert((0, entry.key_span)).0 += 1;
        }
        is_written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MapSource, Request, load};

    #[test]
    fn every_key_in_use_is_named_with_what_is_done_with_it() {
        let source = MapSource::default().file(
            "/s/compose.yaml",
            "services:\n  web:\n    image: a\n    ports: [\"80:80\", { target: 81 }]\n    attach: false\n    \
             deploy: { placement: { max_replicas_per_node: 1 }, replicas: 2 }\n  db: { image: b }\n\
             configs:\n  c: { file: ./c, template_driver: x }\n",
        );
        let request = Request { working_dir: "/s".into(), ..Request::default() };
        let loaded = load(&request, &source);
        let keys = parity(&loaded.project.unwrap(), &loaded.diagnostics, &loaded.texts);
        let said: Vec<_> = keys
            .iter()
            .map(|key| {
                let fate = match &key.fate {
                    Fate::Refused { .. } => "refused",
                    Fate::Ignored { .. } => "ignored",
                    Fate::Honoured => "honoured",
                };
                format!("{} {} {fate}", key.key, key.uses)
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
