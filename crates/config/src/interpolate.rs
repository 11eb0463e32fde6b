//! Variables in the values of a tree (Compose Specification, "Interpolation"). Keys are left alone.

use crate::diagnostic::{Code, Diagnostic, Sink, Span, Texts};
use crate::node::{KeyPath, MergeTag, Node, Value};
use crate::template::{self, Error};
use std::collections::BTreeSet;

/// Replaces variables in trees, and warns once for each that is not set.
pub struct Interpolator<'a> {
    /// Answers what a variable holds.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Texts of the files, to find where in a value an expression stands.
    pub texts: &'a Texts,
    /// Variables already warned about.
    pub warned: &'a mut BTreeSet<String>,
}

impl Interpolator<'_> {
    /// Replaces the variables in every text below `node`.
    pub fn run(&mut self, node: &mut Node, path: &KeyPath, sink: &mut Sink) {
        if node.tag == Some(MergeTag::Reset) {
            return;
        }
        match &mut node.value {
            Value::Map(map) => {
                for (name, entry) in map {
                    self.run(&mut entry.node, &path.key(name), sink);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.run(item, &path.index(index), sink);
                }
            }
            Value::Text(text) if text.contains('$') => match self.expand(text, node.span, path, sink) {
                Some(expanded) => *text = expanded,
                None => node.broken = true,
            },
            _ => {}
        }
    }

    fn expand(&mut self, text: &str, span: Span, path: &KeyPath, sink: &mut Sink) -> Option<String> {
        match template::expand(text, self.lookup) {
            Ok(expanded) => {
                for (name, offset) in expanded.unset {
                    if !self.warned.insert(name.clone()) {
                        continue;
                    }
                    let message = format!("the variable `{name}` is not set; it counts as empty");
                    let finding = Diagnostic::warning(Code::UnsetVariable, message)
                        .at(self.locate(text, offset, span))
                        .path(path)
                        .help(format!("set it in `.env` or the environment, or write ${{{name}:-}}"));
                    sink.push(finding);
                }
                Some(expanded.text)
            }
            Err(error) => {
                let (code, offset, help) = match &error {
                    Error::Invalid { offset, .. } => (
                        Code::BadTemplate,
                        *offset,
                        "a dollar sign that means itself is written `$$`".to_owned(),
                    ),
                    Error::Required { name, offset, .. } => (
                        Code::RequiredVariable,
                        *offset,
                        format!("set `{name}` in `.env` or the environment"),
                    ),
                };
                let span = self.locate(text, offset, span);
                sink.push(Diagnostic::error(code, error.to_string()).at(span).path(path).help(help));
                None
            }
        }
    }

    /// Where in the file the expression at `offset` of a value stands. Escapes and folding make a value differ
    /// from its source; then the whole value is meant.
    fn locate(&self, value: &str, offset: usize, span: Span) -> Span {
        let expression = expression_at(value, offset);
        let found = self.texts.get(span.file).and_then(|file| {
            let rest = file.text.get(span.start..)?;
            // Escapes at most double a value's length; indentation adds some more.
            let end = rest.len().min(value.len() * 2 + 4096);
            let at =
                rest.as_bytes()[..end].windows(expression.len()).position(|w| w == expression.as_bytes())?;
            self.texts.span(span.file, span.start + at, expression.len())
        });
        found.unwrap_or(span)
    }
}

/// `$NAME`, or `${…}` up to its brace or the end of the line.
fn expression_at(value: &str, offset: usize) -> &str {
    let rest = value.get(offset..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    if !line.starts_with("${") {
        let name = line.get(1..).unwrap_or_default();
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
        return line.get(..=end).unwrap_or(line);
    }
    let mut open = 0_usize;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open <= 1 => return &line[..=at],
            b'}' => open -= 1,
            _ => {}
        }
    }
    line
}
