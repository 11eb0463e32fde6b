//! The document as a tree in which every value knows where it was written.
//!
//! Knows nothing about YAML's syntax (see `yaml`) nor about Compose's keys (see `shape`).

use crate::diagnostic::Span;
use std::collections::BTreeMap;
use std::fmt;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
    /// `!reset` or `!override`, as long as they have not been applied.
    pub tag: Option<MergeTag>,
    /// Where the value stood that this one replaced in a merge.
    pub replaced: Option<Span>,
    /// Whether it was written in a short form, as long as its own file is being read.
    pub short: bool,
    /// Whether part of it was left out after it had been reported, so that nothing must be said to be missing.
    pub broken: bool,
}

/// Compose's own tags for merges (Compose Specification, "Merge").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeTag {
    /// Removes what an earlier file said.
    Reset,
    /// Replaces what an earlier file said instead of merging with it.
    Override,
}

/// A value. Mappings are sorted: their order means nothing in Compose.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A date, which a plain YAML scalar may be.
    Date(Box<Date>),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A date, in the two ways in which Go writes it: where Compose wants text, and in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Date {
    /// `2024-01-31 12:00:00 +0000 UTC`.
    pub text: String,
    /// `2024-01-31T12:00:00Z`.
    pub json: String,
}

/// A mapping by key.
pub type Map = BTreeMap<String, Entry>;

/// A value of a mapping, with the place of its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key was written.
    pub key_span: Span,
    /// The value.
    pub node: Node,
}

impl Entry {
    /// An entry whose key stands where its value stands, for what was not written as a mapping.
    pub fn new(node: Node) -> Self {
        Self { key_span: node.span, node }
    }
}

impl Node {
    /// A node without tag.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, tag: None, replaced: None, short: false, broken: false }
    }

    /// A text node.
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Text(text.into()), span)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number.
    pub fn as_int(&self) -> Option<i64> {
        match self.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items, if it is a sequence.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value under `key`, if this is a mapping that has it and it is not null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|e| &e.node).filter(|n| !n.is_null())
    }

    /// The value along `keys`.
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text under `key`.
    pub fn get_text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// `true` under `key`.
    pub fn get_flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Node { value: Value::Bool(true), .. }))
    }

    /// The whole number under `key`.
    pub fn get_int(&self, key: &str) -> Option<i64> {
        match self.get(key)?.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The entries of the mapping under `key`; none when there is no such mapping.
    pub fn entries(&self, key: &str) -> impl Iterator<Item = (&String, &Entry)> {
        self.get(key).and_then(Node::as_map).into_iter().flatten()
    }

    /// The items of the sequence under `key`; none when there is no such sequence.
    pub fn items(&self, key: &str) -> &[Node] {
        self.get(key).and_then(Node::as_list).unwrap_or_default()
    }

    /// The value under `key`, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_map_mut()?.get_mut(key).map(|e| &mut e.node).filter(|n| !n.is_null())
    }

    /// The values of the mapping under `key`, to change them.
    pub fn entries_mut(&mut self, key: &str) -> impl Iterator<Item = (&String, &mut Entry)> {
        self.get_mut(key).and_then(Node::as_map_mut).into_iter().flatten()
    }

    /// The items of the sequence under `key`, to change them.
    pub fn items_mut(&mut self, key: &str) -> &mut [Node] {
        match self.get_mut(key).map(|n| &mut n.value) {
            Some(Value::List(items)) => items,
            _ => &mut [],
        }
    }

    /// Sets `key`; the value counts as written where this node stands.
    pub fn put(&mut self, key: &str, value: Value) {
        let span = self.span;
        if let Value::Map(map) = &mut self.value {
            map.insert(key.to_owned(), Entry::new(Node::new(value, span)));
        }
    }

    /// Sets `key` where it is missing or null.
    pub fn put_default(&mut self, key: &str, value: Value) {
        if self.get(key).is_none() {
            self.put(key, value);
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether it holds the same value, wherever either was written.
    pub fn is_same_as(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same_as(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                let same = |((a, x), (b, y)): ((&String, &Entry), (&String, &Entry))| {
                    a == b && x.node.is_same_as(&y.node)
                };
                a.len() == b.len() && a.iter().zip(b).all(same)
            }
            (a, b) => a == b,
        }
    }

    /// A scalar as text, as Compose writes numbers and booleans where it wants text; `None` for null and
    /// collections.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Date(date) => Some(date.text.clone()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(float_text(*number)),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind_name(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// A floating-point number as Go's `%v` writes it, which is what Compose turns it into where text is wanted:
/// exponent form below 1e-4 and from 1e6 on, the shortest digits that read back the same.
pub fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if number == 0.0 || (1e-4..1e6).contains(&size) {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Where in the document a value stands: `services.api.ports[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPath(String);

impl KeyPath {
    /// The document itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// A value under a key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        if self.0.is_empty() { Self(key.to_owned()) } else { Self(format!("{}.{key}", self.0)) }
    }

    /// An item of a sequence.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_compose_writes_them() {
        let cases = [
            (1.5, "1.5"),
            (1e21, "1e+21"),
            (0.00001, "1e-05"),
            (100000.0, "100000"),
            (1234567.5, "1.2345675e+06"),
            (-2.25, "-2.25"),
        ];
        for (number, text) in cases {
            assert_eq!(float_text(number), text);
        }
    }
}
