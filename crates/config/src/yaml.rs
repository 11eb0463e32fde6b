//! YAML text into trees of [`Node`]s.
//!
//! Reads the events of serde-saphyr's parser rather than deserialising: events carry the start and end of
//! every key and value, aliases can be weighed before they are copied, and one run can report several
//! mistakes. Knows nothing about Compose but its two tags.

use crate::diagnostic::{Code, Diagnostic, FileId, Sink, Span, Texts};
use crate::node::{Entry, Map, MergeTag, Node, Value};
use crate::scalar;
use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span as RawSpan, StrInput, Tag};
use std::collections::HashMap;

/// Largest file that is read, in bytes. Real stacks have kilobytes; a thousand services make about one megabyte.
pub const MOST_BYTES: usize = 8 << 20;
/// Most values one file may have once its aliases are copied. Stacks of a thousand services have some 50,000.
pub const MOST_NODES: usize = 250_000;
/// Deepest nesting. Compose's own keys reach nine levels; the rest is for what people put under `x-`.
pub const MOST_DEPTH: usize = 100;

/// Parses a file into its documents. What cannot be used is reported and left out.
pub fn parse(file: FileId, texts: &Texts, sink: &mut Sink) -> Vec<Node> {
    let Some(text) = texts.get(file).map(|t| t.text.as_str()) else { return vec![] };
    if text.len() > MOST_BYTES {
        let message = format!("the file has {} bytes; at most {MOST_BYTES} are read", text.len());
        sink.push(Diagnostic::error(Code::TooLarge, message).at(texts.span(file, 0, 0)));
        return vec![];
    }
    let mut builder = Builder::new(file, text, sink);
    build(text, &mut builder);
    builder.documents
}

/// Feeds the events of a text to a builder.
fn build(text: &str, builder: &mut Builder<'_>) {
    let mut options = Options::default();
    options.emit_comments = false;
    options.emit_unresolved_aliases = true;
    options.block_nesting_limit = MOST_DEPTH;
    options.flow_nesting_limit = MOST_DEPTH;
    let mut parser = Parser::new_from_str_with_options(text, options);
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => {
                if builder.event(event, &span).is_err() {
                    break;
                }
            }
            Some(Err(error)) => {
                builder.syntax_error(&error);
                if !next_document(&mut parser) {
                    break;
                }
            }
        }
    }
}

/// Goes on behind a document that could not be parsed. `false` when nothing follows.
fn next_document<'a>(parser: &mut Parser<'a, StrInput<'a>>) -> bool {
    parser.proceed_next_document().unwrap_or(false)
}

/// Building stopped: the document is too large to go on.
struct Stop;

/// A collection whose end has not come yet.
struct Open {
    value: Collection,
    span: Span,
    anchor: usize,
    tag: Option<MergeTag>,
    /// Number of nodes there were before it.
    size_before: usize,
    /// Levels below it so far.
    levels: usize,
}

enum Collection {
    List(Vec<Node>),
    Map { map: Map, merges: Vec<Node>, key: Key },
}

/// What the next node of a mapping is.
enum Key {
    /// A key.
    Wanted,
    /// The value of this key.
    Is(String, Span),
    /// The value of `<<`.
    Merge,
    /// A value whose key was unusable.
    Unusable,
}

/// A node that aliases may copy, by the parser's id.
struct Anchored {
    node: Node,
    /// Number of its nodes.
    size: usize,
    /// Levels of its nodes.
    levels: usize,
}

struct Builder<'a> {
    file: FileId,
    text: &'a str,
    sink: &'a mut Sink,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    size: usize,
    /// Number of nodes that aliases really copied.
    copied: usize,
}

impl<'a> Builder<'a> {
    fn new(file: FileId, text: &'a str, sink: &'a mut Sink) -> Self {
        Self {
            file,
            text,
            sink,
            documents: vec![],
            open: vec![],
            anchors: HashMap::new(),
            size: 0,
            copied: 0,
        }
    }

    fn event(&mut self, event: Event<'_>, raw: &RawSpan) -> Result<(), Stop> {
        let span = self.span(raw);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                let merge = style == ScalarStyle::Plain && text == "<<";
                self.grow(1, span)?;
                self.complete(node, (1, 0), anchor, merge);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Collection::List(vec![]), span, anchor, tag.as_deref())?;
            }
            Event::MappingStart(_, anchor, tag) => {
                let map = Collection::Map { map: Map::new(), merges: vec![], key: Key::Wanted };
                self.begin(map, span, anchor, tag.as_deref())?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(raw),
            Event::Alias(id) => self.alias(id, span)?,
            Event::UnresolvedAlias(name) => {
                let message = format!("there is no anchor `&{name}` before this alias");
                self.sink.push(Diagnostic::error(Code::UnknownAlias, message).at(span));
                self.complete(Node::new(Value::Null, span), (1, 0), 0, false);
            }
            Event::DocumentStart(..) => {
                self.open.clear();
                self.anchors.clear();
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts `more` nodes, and stops when that is too many.
    fn grow(&mut self, more: usize, span: Span) -> Result<(), Stop> {
        self.size = self.size.saturating_add(more);
        if self.size <= MOST_NODES {
            return Ok(());
        }
        self.too_large(
            format!("the document has more than {MOST_NODES} values once its aliases are copied"),
            span,
        )
    }

    fn too_large(&mut self, message: String, span: Span) -> Result<(), Stop> {
        let help = "aliases of aliases multiply; a stack file needs no more than one level of them";
        self.sink.push(Diagnostic::error(Code::TooLarge, message).at(span).help(help));
        Err(Stop)
    }

    fn begin(&mut self, value: Collection, span: Span, anchor: usize, tag: Option<&Tag>) -> Result<(), Stop> {
        self.grow(1, span)?;
        let tag = tag.and_then(|tag| self.merge_tag(tag, span));
        self.open.push(Open { value, span, anchor, tag, size_before: self.size - 1, levels: 0 });
        Ok(())
    }

    fn end(&mut self, raw: &RawSpan) {
        let Some(open) = self.open.pop() else { return };
        let mut span = open.span;
        span.len = self.first_line_len(span.start, raw.end.byte_offset().unwrap_or(span.start));
        let value = match open.value {
            Collection::List(items) => Value::List(items),
            Collection::Map { map, merges, .. } => Value::Map(self.merged(map, merges)),
        };
        let mut node = Node::new(value, span);
        node.tag = open.tag;
        self.complete(node, (self.size - open.size_before, open.levels), open.anchor, false);
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Stop> {
        let Some(anchored) = self.anchors.get(&id) else {
            let message = "this alias stands inside the value it refers to";
            self.sink.push(Diagnostic::error(Code::UnknownAlias, message).at(span));
            self.complete(Node::new(Value::Null, span), (1, 0), 0, false);
            return Ok(());
        };
        let (size, levels) = (anchored.size, anchored.levels);
        if self.open.len() + levels > MOST_DEPTH {
            return self.too_large(format!("aliases nest values deeper than {MOST_DEPTH} levels"), span);
        }
        self.grow(size, span)?;
        self.copied += size;
        if let Some(node) = self.anchors.get(&id).map(|anchored| anchored.node.clone()) {
            self.complete(node, (size, levels), 0, false);
        }
        Ok(())
    }

    /// Puts a finished node where it belongs. `extent` is its number of nodes and of levels below it.
    fn complete(&mut self, node: Node, extent: (usize, usize), anchor: usize, is_merge_key: bool) {
        let (size, levels) = extent;
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, levels });
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return;
        };
        open.levels = open.levels.max(levels + 1);
        match &mut open.value {
            Collection::List(items) => items.push(node),
            Collection::Map { map, merges, key } => match std::mem::replace(key, Key::Wanted) {
                Key::Wanted if is_merge_key => *key = Key::Merge,
                Key::Wanted => *key = usable_key(node, map, self.sink),
                Key::Is(name, key_span) => {
                    map.insert(name, Entry { key_span, node });
                }
                Key::Merge => merges.push(node),
                Key::Unusable => {}
            },
        }
    }

    /// A mapping with what `<<` brings: keys of its own win, then those of earlier mappings.
    fn merged(&mut self, mut map: Map, merges: Vec<Node>) -> Map {
        let mut sources = vec![];
        for node in merges {
            match node.value {
                Value::List(items) => sources.extend(items),
                _ => sources.push(node),
            }
        }
        for source in sources {
            let Value::Map(entries) = source.value else {
                let message = format!("`<<` merges mappings, and this is {}", source.kind_name());
                self.sink.push(Diagnostic::error(Code::BadMerge, message).at(source.span));
                continue;
            };
            for (name, entry) in entries {
                map.entry(name).or_insert(entry);
            }
        }
        map
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let plain = style == ScalarStyle::Plain;
        let core = tag.and_then(Tag::core_suffix).map(str::to_owned);
        let value = match core.as_deref() {
            None if plain && tag.is_none_or(|t| t.is_custom()) => scalar::resolve(text),
            None | Some("str") => Value::Text(text.to_owned()),
            Some(_) => scalar::resolve(text),
        };
        let mut node = Node::new(value, span);
        if core.is_none() {
            node.tag = tag.and_then(|tag| self.merge_tag(tag, span));
        }
        node
    }

    /// `!reset` or `!override`. Any other tag is named, because it changes nothing.
    fn merge_tag(&mut self, tag: &Tag, span: Span) -> Option<MergeTag> {
        match (tag.handle(), tag.suffix()) {
            ("!", "reset") => Some(MergeTag::Reset),
            ("!", "override") => Some(MergeTag::Override),
            _ if tag.core_suffix().is_some() || (tag.handle().is_empty() && tag.suffix() == "!") => None,
            _ => {
                let message = format!("the tag `{}` has no effect", tag.original());
                self.sink.push(Diagnostic::warning(Code::BadValue, message).at(span));
                None
            }
        }
    }

    fn syntax_error(&mut self, error: &ScanError) {
        self.open.clear();
        let mark = error.marker();
        let start =
            mark.byte_offset().unwrap_or_else(|| self.byte_of_char(mark.index())).min(self.text.len());
        let len = self.text[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        let span =
            Span { file: self.file, start, len, line: narrow(mark.line()), column: narrow(mark.col() + 1) };
        self.sink.push(Diagnostic::error(Code::Syntax, error.info()).at(span));
    }

    fn span(&self, raw: &RawSpan) -> Span {
        let start = raw.start.byte_offset().unwrap_or_else(|| self.byte_of_char(raw.start.index()));
        let end = raw.end.byte_offset().unwrap_or_else(|| self.byte_of_char(raw.end.index()));
        let start = start.min(self.text.len());
        let len = self.first_line_len(start, end);
        let (line, column) = (narrow(raw.start.line()), narrow(raw.start.col() + 1));
        Span { file: self.file, start, len, line, column }
    }

    /// Length of what is written between two offsets, as far as the first line goes: an underline has one line.
    fn first_line_len(&self, start: usize, end: usize) -> usize {
        let covered = self.text.get(start..end.max(start)).unwrap_or_default();
        covered.lines().next().unwrap_or_default().trim_end().len()
    }

    fn byte_of_char(&self, index: usize) -> usize {
        self.text.char_indices().nth(index).map_or(self.text.len(), |(at, _)| at)
    }
}

/// A node that came where a key belongs.
fn usable_key(node: Node, map: &Map, sink: &mut Sink) -> Key {
    let Value::Text(name) = node.value else {
        let mut finding =
            Diagnostic::error(Code::KeyNotText, format!("keys are text, and this is {}", node.kind_name()))
                .at(node.span);
        if let Some(text) = node.scalar_text() {
            finding = finding.help(format!("write \"{text}\" in quotes"));
        }
        sink.push(finding);
        return Key::Unusable;
    };
    if let Some(first) = map.get(&name) {
        let finding = Diagnostic::error(Code::DuplicateKey, format!("the key `{name}` stands here twice"))
            .at(node.span)
            .note("it stands here first", first.key_span)
            .help("remove one of them, or merge their values");
        sink.push(finding);
        return Key::Unusable;
    }
    Key::Is(name, node.span)
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> (Vec<Node>, Vec<Diagnostic>, Texts) {
        let mut texts = Texts::default();
        let file = texts.add(Path::new("/p/compose.yaml"), text.to_owned(), None);
        let mut sink = Sink::default();
        let documents = parse(file, &texts, &mut sink);
        (documents, sink.finish(), texts)
    }

    #[test]
    fn every_value_knows_its_place() {
        let (documents, findings, texts) = read("a:\n  bé: 'x y'  # c\n  c: [1, true]\n");
        assert_eq!(findings, []);
        let value = documents[0].at(&["a", "bé"]).unwrap();
        assert_eq!((value.span.line, value.span.column), (2, 7));
        assert_eq!(texts.slice(value.span), Some("'x y'"));
        let list = documents[0].at(&["a", "c"]).unwrap();
        assert_eq!(texts.slice(list.span), Some("[1, true]"));
        assert_eq!(list.as_list().unwrap()[1].value, Value::Bool(true));
    }

    #[test]
    fn merge_keys_give_way_to_own_keys() {
        let text = "x: &x { a: 1, b: 1 }\ny: &y { b: 2, c: 2 }\nz:\n  <<: [*x, *y]\n  a: 3\n";
        let (documents, findings, _) = read(text);
        assert_eq!(findings, []);
        let z = documents[0].get("z").unwrap();
        assert_eq!((z.get_int("a"), z.get_int("b"), z.get_int("c")), (Some(3), Some(1), Some(2)));
    }

    #[test]
    fn several_mistakes_are_found_in_one_run() {
        let (_, findings, _) = read("a: 1\na: 2\nb: *nowhere\n1: x\nc: { <<: 5 }\n");
        let codes: Vec<_> = findings.iter().map(|d| (d.code.id(), d.span.unwrap().line)).collect();
        assert_eq!(codes, [("C0102", 2), ("C0103", 3), ("C0105", 4), ("C0106", 5)]);
    }

    #[test]
    fn alias_bombs_are_refused_before_they_are_copied() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..40 {
            let many = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{many}]\n"));
        }
        let mut texts = Texts::default();
        let file = texts.add(Path::new("/p/compose.yaml"), text.clone(), None);
        let mut sink = Sink::default();
        let mut builder = Builder::new(file, &text, &mut sink);
        build(&text, &mut builder);
        // The work is bounded, not only its result: nothing is copied beyond what a document may have.
        assert!(builder.copied <= MOST_NODES, "{} nodes were copied", builder.copied);
        assert!(builder.documents.is_empty());
        assert_eq!(sink.finish()[0].code, Code::TooLarge);
    }

    #[test]
    fn deep_nesting_and_self_reference_end_with_an_error() {
        let (_, findings, _) = read(&"[".repeat(5000));
        assert_eq!(findings[0].code, Code::Syntax);
        let mut chain = String::from("x0: &x0 [a]\n");
        for n in 1..500 {
            chain.push_str(&format!("x{n}: &x{n} [*x{}]\n", n - 1));
        }
        let (_, findings, _) = read(&chain);
        assert_eq!(findings[0].code, Code::TooLarge);
        let (_, findings, _) = read("a: &a [*a]\n");
        assert_eq!(findings[0].code, Code::UnknownAlias);
    }

    #[test]
    fn the_tags_of_compose_are_kept() {
        let (documents, findings, _) =
            read("a: !reset []\nb: !override { c: 1 }\nd: !reset null\ne: !foo 1\n");
        let tag = |key: &str| documents[0].as_map().unwrap()[key].node.tag;
        assert_eq!(
            (tag("a"), tag("b"), tag("d")),
            (Some(MergeTag::Reset), Some(MergeTag::Override), Some(MergeTag::Reset))
        );
        assert_eq!(findings.len(), 1);
    }
}
