//! `$VAR` and `${VAR…}` in text: the grammar of the Compose Specification ("Interpolation").
//!
//! Knows nothing about where text or variables come from.

use std::collections::BTreeMap;

/// Deepest nesting of `${A:-${B:-…}}`. People write two levels; the bound keeps the stack small.
const MOST_DEPTH: usize = 32;

/// Text that cannot be expanded. Offsets are bytes into the text given to [`expand`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `${` that does not go on as an expression.
    #[error("`{text}` is not a variable expression")]
    Invalid {
        /// The expression as far as it could be told.
        text: String,
        /// Where it starts.
        offset: usize,
    },
    /// `${VAR:?…}` or `${VAR?…}` without a value.
    #[error("the variable `{name}` has to be set{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    Required {
        /// The variable.
        name: String,
        /// What the file says about it.
        reason: String,
        /// Where the expression starts.
        offset: usize,
    },
}

/// Text with its variables replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// Variables without a value that were replaced by nothing, and where each stood.
    pub unset: Vec<(String, usize)>,
}

/// Replaces every variable of `text` by what `lookup` says.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, Error> {
    let mut out = Expanded::default();
    expand_into(text, 0, MOST_DEPTH, lookup, &mut out)?;
    Ok(out)
}

/// A variable of a file, as far as the file says something about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// What stands in for it where it is not set.
    pub default: String,
    /// What stands in for it where it is set.
    pub alternate: String,
    /// Whether it has to be set.
    pub required: bool,
}

/// Adds the variables that `text` names. Of several occurrences the first default and alternate count.
pub fn variables(text: &str, found: &mut BTreeMap<String, Variable>) {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            rest = tail;
        } else if let Some((expression, length)) = after.strip_prefix('{').and_then(braced) {
            let variable = found.entry(expression.name.to_owned()).or_default();
            let operand = expression.operation.map(|(operator, operand, _)| (operator.kind, operand));
            match operand {
                Some(('-', operand)) if variable.default.is_empty() => {
                    operand.clone_into(&mut variable.default)
                }
                Some(('+', operand)) if variable.alternate.is_empty() => {
                    operand.clone_into(&mut variable.alternate);
                }
                Some(('?', _)) => variable.required = true,
                _ => {}
            }
            if let Some((_, operand)) = operand.filter(|(kind, _)| *kind != '?') {
                variables(operand, found);
            }
            rest = &after[1 + length..];
        } else {
            let name = name_prefix(after);
            if !name.is_empty() {
                found.entry(name.to_owned()).or_default();
            }
            rest = &after[name.len()..];
        }
    }
}

fn expand_into(
    text: &str,
    base: usize,
    depth: usize,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut Expanded,
) -> Result<(), Error> {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.text.push_str(&rest[..at]);
        let offset = base + (text.len() - rest.len()) + at;
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.text.push('$');
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            let invalid = || Error::Invalid { text: first_words(&rest[at..]), offset };
            let expression = if depth == 0 { None } else { braced(inner) };
            let (expression, length) = expression.ok_or_else(invalid)?;
            evaluate(&expression, offset, depth, lookup, out)?;
            rest = &inner[length..];
        } else {
            let name = name_prefix(after);
            if name.is_empty() {
                out.text.push('$');
            } else {
                plain(name, offset, lookup, out);
            }
            rest = &after[name.len()..];
        }
    }
    out.text.push_str(rest);
    Ok(())
}

/// What stands between `${` and `}`.
struct Expression<'a> {
    name: &'a str,
    /// Operator and operand; the operand's offset counts from the start of the name.
    operation: Option<(Operator, &'a str, usize)>,
}

struct Operator {
    /// `-`, `+` or `?`.
    kind: char,
    /// With `:`: an empty value counts as none.
    empty_is_unset: bool,
}

/// Parses what follows `${`; the length includes the closing brace.
fn braced(text: &str) -> Option<(Expression<'_>, usize)> {
    let name = name_prefix(text);
    if name.is_empty() {
        return None;
    }
    let after = &text[name.len()..];
    if after.starts_with('}') {
        return Some((Expression { name, operation: None }, name.len() + 1));
    }
    let (empty_is_unset, tail) = match after.strip_prefix(':') {
        Some(tail) => (true, tail),
        None => (false, after),
    };
    let kind = tail.chars().next().filter(|c| matches!(c, '-' | '+' | '?'))?;
    let start = text.len() - tail.len() + 1;
    let length = operand_length(&text[start..])?;
    let operator = Operator { kind, empty_is_unset };
    let operand = &text[start..start + length];
    Some((Expression { name, operation: Some((operator, operand, start)) }, start + length + 1))
}

/// Length of an operand up to the brace that closes the expression. Braces inside must be balanced; an
/// expression ends in the line it begins in.
fn operand_length(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            b'\n' => return None,
            _ => {}
        }
    }
    None
}

fn evaluate(
    expression: &Expression<'_>,
    offset: usize,
    depth: usize,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut Expanded,
) -> Result<(), Error> {
    let name = expression.name;
    let Some((operator, operand, start)) = &expression.operation else {
        plain(name, offset, lookup, out);
        return Ok(());
    };
    let value = lookup(name).filter(|v| !(operator.empty_is_unset && v.is_empty()));
    let operand_offset = offset + 2 + start;
    match (operator.kind, value) {
        ('+', None) => {}
        ('-' | '?', Some(value)) => out.text.push_str(&value),
        ('?', None) => {
            let mut reason = Expanded::default();
            expand_into(operand, operand_offset, depth - 1, lookup, &mut reason)?;
            return Err(Error::Required { name: name.to_owned(), reason: reason.text, offset });
        }
        _ => expand_into(operand, operand_offset, depth - 1, lookup, out)?,
    }
    Ok(())
}

fn plain(name: &str, offset: usize, lookup: &dyn Fn(&str) -> Option<String>, out: &mut Expanded) {
    match lookup(name) {
        Some(value) => out.text.push_str(&value),
        None => out.unset.push((name.to_owned(), offset)),
    }
}

/// The longest `[A-Za-z_][A-Za-z0-9_]*` at the start; empty when there is none.
fn name_prefix(text: &str) -> &str {
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_alphabetic() || *c == '_' || (*at > 0 && c.is_ascii_digit())))
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The start of an expression that could not be parsed, for the message.
fn first_words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.find('}').map_or(line.len(), |at| at + 1);
    line[..end].chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, Error> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(text, &lookup).map(|e| e.text)
    }

    #[test]
    fn every_operator_in_every_state() {
        let cases = [
            ("$A ${A} $$A $${A} $5 $", "a a $A ${A} $5 $"),
            ("${A:-d} ${EMPTY:-d} ${U:-d}", "a d d"),
            ("${A-d} ${EMPTY-d} ${U-d}", "a  d"),
            ("${A:+s} ${EMPTY:+s} ${U:+s}", "s  "),
            ("${A+s} ${EMPTY+s} ${U+s}", "s s "),
            ("${U:-${V:-${A}x}}", "ax"),
            ("${U:-{\"k\": 1}}", "{\"k\": 1}"),
            ("${U:-a:-b}", "a:-b"),
            ("${A:?no} ${EMPTY?no}", "a "),
            ("$Ab-$A-", "-a-"),
        ];
        for (text, expected) in cases {
            assert_eq!(with(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded() {
        for text in ["${", "${}", "${1}", "${A.B}", "${A:-x", "${A:=x}", "${ A}", "x ${A!}"] {
            assert!(matches!(with(text), Err(Error::Invalid { .. })), "{text}");
        }
        let error = with("ab ${U:?say $A}").unwrap_err();
        assert_eq!(error, Error::Required { name: "U".into(), reason: "say a".into(), offset: 3 });
        assert_eq!(error.to_string(), "the variable `U` has to be set: say a");
        let deep = format!("{}{}", "${U:-".repeat(100), "}".repeat(100));
        assert!(with(&deep).is_err());
    }

    #[test]
    fn unset_variables_are_reported_with_their_place() {
        let expanded = expand("a $X ${Y} ${Z-}", &|_| None).unwrap();
        assert_eq!(expanded.text, "a   ");
        assert_eq!(expanded.unset, [("X".to_owned(), 2), ("Y".to_owned(), 5)]);
    }
}
