//! Printed values as YAML, in the style of Compose: two spaces a level, sequences indented, plain text where it reads
//! back the same.

use super::Printed;
use super::text::go_json;
use crate::scalar;

/// The text of a document.
pub fn to_yaml(printed: &Printed) -> String {
    let mut out = String::new();
    match printed {
        Printed::Object(fields) if !fields.is_empty() => mapping(fields, 0, &mut out),
        Printed::List(items) if !items.is_empty() => sequence(items, 0, &mut out),
        other => {
            single(other, 0, &mut out);
        }
    }
    out
}

fn indent(depth: usize, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
}

fn mapping(fields: &[(String, Printed)], depth: usize, out: &mut String) {
    for (index, (key, value)) in fields.iter().enumerate() {
        // The first key of an item stands behind its dash.
        if index > 0 || !out.ends_with("- ") {
            indent(depth, out);
        }
        out.push_str(&inline(key));
        out.push(':');
        match value {
            Printed::Object(fields) if !fields.is_empty() => {
                out.push('\n');
                mapping(fields, depth + 1, out);
            }
            Printed::List(items) if !items.is_empty() => {
                out.push('\n');
                sequence(items, depth + 1, out);
            }
            value => {
                out.push(' ');
                single(value, depth + 1, out);
            }
        }
    }
}

fn sequence(items: &[Printed], depth: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !out.ends_with("- ") {
            indent(depth, out);
        }
        out.push_str("- ");
        match item {
            Printed::Object(fields) if !fields.is_empty() => mapping(fields, depth + 1, out),
            Printed::List(items) if !items.is_empty() => sequence(items, depth + 1, out),
            value => single(value, depth + 1, out),
        }
    }
}

/// A value that is written in its line, or as a block of lines below it.
fn single(value: &Printed, depth: usize, out: &mut String) {
    match value {
        Printed::Text(text) if is_block(text) => block(text, depth, out),
        Printed::Text(text) => out.push_str(&inline(text)),
        Printed::Float(number) if !number.is_finite() => out.push_str(match number {
            number if number.is_nan() => ".nan",
            number if *number > 0.0 => ".inf",
            _ => "-.inf",
        }),
        other => out.push_str(&go_json(other, false)),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Whether text of several lines can be written line by line.
fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        || (text.ends_with('\n') && !text.trim_matches('\n').is_empty())
}

fn block(text: &str, depth: usize, out: &mut String) {
    if !text.chars().all(|c| c == '\n' || is_printable(c)) {
        out.push_str(&double_quoted(text));
        return;
    }
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let lines = text.strip_suffix('\n');
    match lines {
        None => out.push('-'),
        Some(lines) if lines.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    out.push('\n');
    for line in lines.unwrap_or(text).split('\n') {
        if !line.is_empty() {
            indent(depth, out);
        }
        out.push_str(line);
        out.push('\n');
    }
}

fn is_printable(c: char) -> bool {
    // The library of Compose escapes what lies beyond the basic plane.
    !c.is_control() && c <= '\u{ffff}' && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Text in double quotes, with the escapes that YAML has.
fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '\u{1b}' => "\\e",
            '\0' => "\\0",
            '\u{85}' => "\\N",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            c if !is_printable(c) => {
                let code = u32::from(c);
                out.push_str(&match code {
                    0..0x100 => format!("\\x{code:02X}"),
                    0x100..0x1_0000 => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                });
                continue;
            }
            c => {
                out.push(c);
                continue;
            }
        };
        out.push_str(escape);
    }
    out.push('"');
    out
}

/// Text in one line: plain where that reads back the same, in double quotes where it would be read as something else
/// or has characters that need escapes, otherwise in single quotes.
fn inline(text: &str) -> String {
    let double = || double_quoted(text);
    if text.is_empty() || !matches!(scalar::resolve(text), crate::node::Value::Text(_)) {
        return double();
    }
    if !text.chars().all(is_printable) {
        return double();
    }
    // Readers of YAML 1.1 take these for flags.
    let old_flags = ["y", "n", "yes", "no", "on", "off"];
    let is_flag = old_flags.contains(&text.to_ascii_lowercase().as_str());
    let begins_badly = text.starts_with([
        '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ',
    ]) && !(text.starts_with(['-', '?', ':'])
        && text.chars().nth(1).is_some_and(|c| c != ' '));
    let is_plain = !is_flag
        && !is_sexagesimal(text)
        && !begins_badly
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text != "<<"
        && text != "..."
        && !text.starts_with("---");
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Numbers of base 60, which readers of YAML 1.1 know: `1:30`.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.trim_start_matches(['+', '-']).split(':');
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let first =
        parts.next().is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()) && digits(part));
    let mut rest = parts.peekable();
    first
        && rest.peek().is_some()
        && rest.all(|part| {
            let whole = part.split('.').next().unwrap_or_default();
            !whole.is_empty() && whole.len() <= 2 && whole.parse::<u8>().is_ok_and(|n| n < 60)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_compose_writes_them() {
        let text = |text: &str| Printed::Text(text.to_owned());
        let cases = [
            ("a b", "a b"),
            ("1", "\"1\""),
            ("x: y", "'x: y'"),
            ("it's", "it's"),
            ("'q'", "'''q'''"),
            ("yes", "'yes'"),
            ("true", "\"true\""),
            ("", "\"\""),
            ("-", "'-'"),
            (":x", ":x"),
            ("a:", "'a:'"),
            ("1:30", "'1:30'"),
            ("80:80", "80:80"),
            ("tab\t", "\"tab\\t\""),
        ];
        for (source, expected) in cases {
            assert_eq!(inline(source), expected, "{source}");
        }
        let list = Printed::List(vec![
            text("a\nb\n"),
            Printed::List(vec![Printed::Int(1), Printed::Int(2)]),
            Printed::Object(vec![("k".to_owned(), Printed::List(vec![text(" a\nb")]))]),
            Printed::Object(vec![]),
        ]);
        let written = to_yaml(&Printed::Object(vec![("l".to_owned(), list)]));
        let expected =
            "l:\n  - |\n    a\n    b\n  - - 1\n    - 2\n  - k:\n      - |2-\n         a\n        b\n  - {}\n";
        assert_eq!(written, expected);
    }
}
