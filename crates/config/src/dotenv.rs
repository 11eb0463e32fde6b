//! Environment files: `.env`, `--env-file` and `env_file:`, with the semantics of Compose (Compose
//! Specification, "env_file"; Docker's "Syntax for environment variables files").
//!
//! Knows nothing about files: it parses text, and asks `lookup` for variables.

use crate::template;
use std::collections::BTreeMap;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// A line that cannot be parsed. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name with a character that names do not have.
    #[error("unexpected character {character:?} in the name of a variable")]
    Name {
        /// The character.
        character: char,
        /// Its line.
        line: usize,
    },
    /// A name with a space in it.
    #[error("the name `{name}` contains a space")]
    Space {
        /// The name.
        name: String,
        /// Its line.
        line: usize,
    },
    /// A quote that is never closed.
    #[error("the quote that opens here is never closed")]
    Unterminated {
        /// The line of the opening quote.
        line: usize,
    },
    /// A `${…}` in a value that cannot be expanded.
    #[error("{source}")]
    Template {
        /// Why.
        source: template::Error,
        /// The line where the value starts.
        line: usize,
    },
}

impl Error {
    /// The line it is about, counted from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::Name { line, .. }
            | Self::Space { line, .. }
            | Self::Unterminated { line }
            | Self::Template { line, .. } => *line,
        }
    }
}

/// Parses a file into `variables`, which may hold earlier ones; those can be used in `${…}`, but what `lookup`
/// knows comes first.
pub fn parse(
    text: &str,
    variables: &mut Variables,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { whole: text, rest: text, variables, lookup };
    while parser.next_statement() {
        parser.statement()?;
    }
    Ok(())
}

/// Parses `format: raw`: every line is `NAME=value`, taken as it stands; `#` begins a comment line.
pub fn parse_raw(text: &str, variables: &mut Variables, lookup: &dyn Fn(&str) -> Option<String>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for line in text.lines().map(|l| l.trim_start_matches([' ', '\t'])) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            None => {
                if let Some(value) = lookup(line) {
                    variables.insert(line.to_owned(), value);
                }
            }
        }
    }
}

struct Parser<'a> {
    whole: &'a str,
    rest: &'a str,
    variables: &'a mut Variables,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Parser<'_> {
    fn line(&self) -> usize {
        let done = self.whole.len() - self.rest.len();
        self.whole[..done].bytes().filter(|b| *b == b'\n').count() + 1
    }

    /// Skips blank lines and comments; `false` at the end.
    fn next_statement(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    fn statement(&mut self) -> Result<(), Error> {
        if let Some(tail) = self.rest.strip_prefix("export")
            && tail.starts_with(char::is_whitespace)
        {
            self.rest = tail.trim_start_matches(is_space);
        }
        let (name, has_value) = self.name()?;
        if !has_value {
            if let Some(value) = (self.lookup)(&name) {
                self.variables.insert(name, value);
            }
            return Ok(());
        }
        let value = self.value()?;
        self.variables.insert(name, value);
        Ok(())
    }

    /// Reads a name up to `=`, `:` or the end of the line, and whether a value follows.
    fn name(&mut self) -> Result<(String, bool), Error> {
        let line = self.line();
        let mut end = self.rest.len();
        let mut has_value = false;
        for (at, c) in self.rest.char_indices() {
            match c {
                '=' | ':' | '\n' => {
                    (end, has_value) = (at, c != '\n');
                    break;
                }
                '_' | '.' | '-' | '[' | ']' => {}
                c if is_space(c) || c.is_alphabetic() || c.is_numeric() => {}
                character => return Err(Error::Name { character, line }),
            }
        }
        let name = self.rest[..end].trim_end().to_owned();
        if name.contains(' ') {
            return Err(Error::Space { name, line });
        }
        let tail = if has_value { &self.rest[end + 1..] } else { &self.rest[end..] };
        self.rest = if has_value { tail.trim_start_matches(is_space) } else { tail };
        Ok((name, has_value))
    }

    fn value(&mut self) -> Result<String, Error> {
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => self.unquoted(),
        }
    }

    fn unquoted(&mut self) -> Result<String, Error> {
        let line = self.line();
        let (value, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        let value = value.split(" #").next().unwrap_or_default().trim_end();
        let value = self.expand(value, line)?;
        self.rest = rest;
        Ok(value)
    }

    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let line = self.line();
        let mut raw = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if c == quote && !escaped {
                self.rest = &self.rest[at + 1..];
                return if quote == '"' { self.expand(&unescape(&raw), line) } else { Ok(raw) };
            }
            if escaped && c != quote {
                raw.push('\\');
            }
            escaped = false;
            raw.push(c);
        }
        Err(Error::Unterminated { line })
    }

    fn expand(&self, value: &str, line: usize) -> Result<String, Error> {
        let lookup = |name: &str| (self.lookup)(name).or_else(|| self.variables.get(name).cloned());
        match template::expand(value, &lookup) {
            Ok(expanded) => Ok(expanded.text),
            Err(source) => Err(Error::Template { source, line }),
        }
    }
}

/// White space that does not end a line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// Escapes of double-quoted values: `\a \b \c \f \n \r \t \v \" \\`, `\$` and octal `\0ddd`. Others stay.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let Some(c) = after.chars().next() else {
            out.push('\\');
            return out;
        };
        let mut taken = c.len_utf8();
        match c {
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '"' | '\\' => out.push(c),
            // The expansion that follows turns `$$` into one dollar sign.
            '$' => out.push_str("$$"),
            '0' => {
                let digits: String = after[1..].chars().take(3).take_while(char::is_ascii_digit).collect();
                taken += digits.len();
                match octal(&digits) {
                    Some(c) => out.push(c),
                    // As Compose leaves what is no character: without the 0.
                    None => {
                        out.push('\\');
                        out.push_str(&digits);
                    }
                }
            }
            _ => {
                out.push('\\');
                out.push(c);
            }
        }
        rest = &after[taken..];
    }
    out.push_str(rest);
    out
}

/// Exactly three octal digits of at most 377, as in Go's character escapes.
fn octal(digits: &str) -> Option<char> {
    if digits.len() != 3 {
        return None;
    }
    u8::from_str_radix(digits, 8).ok().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Error> {
        let mut variables = Variables::new();
        let lookup = |name: &str| (name == "HOST").then(|| "h".to_owned());
        parse(text, &mut variables, &lookup)?;
        Ok(variables.into_iter().collect())
    }

    fn one(text: &str) -> String {
        read(text).unwrap().into_iter().find(|(name, _)| name == "K").unwrap_or_default().1
    }

    #[test]
    fn values_as_compose_documents_them() {
        let cases = [
            ("K=v", "v"),
            ("  K = v  ", "v"),
            ("export K=v", "v"),
            ("K: v", "v"),
            ("K=a b # c", "a b"),
            ("K=a#b", "a#b"),
            ("K=", ""),
            ("K='$HOST \\n'", "$HOST \\n"),
            ("K='it\\'s'", "it's"),
            ("K=\"a\\nb\\t\\\"c\\\"\"", "a\nb\t\"c\""),
            ("K=\"\\$HOST $HOST\" # c", "$HOST h"),
            ("K=\"one\ntwo\"", "one\ntwo"),
            ("K=${U:-d}", "d"),
            ("A=x\nK=${A}y", "xy"),
            ("HOST=mine\nK=$HOST", "h"),
            ("K=\"\\0101\"", "A"),
            ("K='v'\r\nL=w", "v"),
            ("\u{feff}K=v", "v"),
            ("# c\n\nK=v\n#d", "v"),
            ("K=a=b", "a=b"),
            ("K=\"a\\\\b\"", "a\\b"),
        ];
        for (text, value) in cases {
            assert_eq!(one(text), value, "{text:?}");
        }
    }

    #[test]
    fn names_without_a_value_are_inherited() {
        assert_eq!(read("HOST\nUNKNOWN\n").unwrap(), [("HOST".to_owned(), "h".to_owned())]);
    }

    #[test]
    fn mistakes_have_a_line() {
        assert_eq!(read("A=1\nB!=2").unwrap_err(), Error::Name { character: '!', line: 2 });
        assert_eq!(read("A=1\n\nB=\"x\ny").unwrap_err(), Error::Unterminated { line: 3 });
        assert_eq!(read("A B=1").unwrap_err().line(), 1);
        assert!(matches!(read("A=${}").unwrap_err(), Error::Template { line: 1, .. }));
    }

    #[test]
    fn raw_lines_are_taken_as_they_stand() {
        let mut variables = Variables::new();
        parse_raw("# c\nA=\"x\" $Y # z\nB\n", &mut variables, &|_| Some("b".into()));
        assert_eq!(variables["A"], "\"x\" $Y # z");
        assert_eq!(variables["B"], "b");
    }
}
