//! Printed values as JSON: Go's own text, to the byte, and values for programs.

use super::Printed;
use serde_json::{Number, Value};
use std::fmt::Write as _;

/// The value for programs. With `dollars`, every dollar sign is doubled, so that the output can be read again.
pub fn value(printed: &Printed, dollars: bool) -> Value {
    let text = |text: &str| if dollars { text.replace('$', "$$") } else { text.to_owned() };
    match printed {
        Printed::Null => Value::Null,
        Printed::Bool(flag) => Value::Bool(*flag),
        Printed::Int(number) => Value::from(*number),
        Printed::Float(number) => float(*number),
        Printed::Single(number) => float(number.to_string().parse().unwrap_or(f64::from(*number))),
        Printed::Text(content) => Value::String(text(content)),
        Printed::List(items) => Value::Array(items.iter().map(|item| value(item, dollars)).collect()),
        Printed::Object(fields) => {
            Value::Object(fields.iter().map(|(key, field)| (text(key), value(field, dollars))).collect())
        }
    }
}

fn float(number: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)] // Whole and below 2^53.
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// The text that Go's `encoding/json` writes, which is what Compose hashes (compact), and prints (`pretty`).
pub fn go_json(printed: &Printed, pretty: bool) -> String {
    let mut out = String::new();
    write(printed, if pretty { Some(0) } else { None }, &mut out);
    out
}

/// Writes a value; `depth` is that of the lines it stands in, for indented output.
fn write(printed: &Printed, depth: Option<usize>, out: &mut String) {
    match printed {
        Printed::Null => out.push_str("null"),
        Printed::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Printed::Int(number) => {
            // Writing to text cannot fail.
            let _infallible = write!(out, "{number}");
        }
        Printed::Float(number) => out.push_str(&decimal(*number, format!("{number}"), format!("{number:e}"))),
        Printed::Single(number) => {
            out.push_str(&decimal(f64::from(*number), format!("{number}"), format!("{number:e}")));
        }
        Printed::Text(text) => quoted(text, out),
        Printed::List(items) => {
            let items = items.iter().map(|item| (None, item));
            collection('[', ']', items, depth, out);
        }
        Printed::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (Some(key.as_str()), value));
            collection('{', '}', fields, depth, out);
        }
    }
}

fn collection<'a>(
    open: char,
    close: char,
    items: impl ExactSizeIterator<Item = (Option<&'a str>, &'a Printed)>,
    depth: Option<usize>,
    out: &mut String,
) {
    let is_empty = items.len() == 0;
    let line = |depth: Option<usize>, out: &mut String| {
        if let Some(depth) = depth.filter(|_| !is_empty) {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
    };
    out.push(open);
    let below = depth.map(|depth| depth + 1);
    for (index, (key, item)) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        line(below, out);
        if let Some(key) = key {
            quoted(key, out);
            out.push_str(if depth.is_some() { ": " } else { ":" });
        }
        write(item, below, out);
    }
    line(depth, out);
    out.push(close);
}

/// A number in Go's form: exponents below 1e-6 and from 1e21 on, in the shortest digits that read back the same.
fn decimal(number: f64, plain: String, exponent: String) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    if number == 0.0 || (1e-6..1e21).contains(&number.abs()) {
        return plain;
    }
    // `1e21` is `1e+21` in Go.
    if number.abs() >= 1e21 { exponent.replace('e', "e+") } else { exponent }
}

/// Text in quotes, escaped as Go does it: what HTML reads specially too.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to text cannot fail.
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_as_go_writes_them() {
        let cases = [
            (Printed::Float(1.5), "1.5"),
            (Printed::Float(1e21), "1e+21"),
            (Printed::Float(1e-7), "1e-7"),
            (Printed::Float(123_456_789.0), "123456789"),
            (Printed::Single(0.1), "0.1"),
            (
                Printed::Text("a<b>&\u{2028}\u{1}\"\\\n".to_owned()),
                r#""a\u003cb\u003e\u0026\u2028\u0001\"\\\n""#,
            ),
            (Printed::List(vec![]), "[]"),
        ];
        for (printed, text) in cases {
            assert_eq!(go_json(&printed, false), text);
        }
        let nested = Printed::Object(vec![("a".to_owned(), Printed::List(vec![Printed::Int(1)]))]);
        assert_eq!(go_json(&nested, true), "{\n  \"a\": [\n    1\n  ]\n}");
    }
}
