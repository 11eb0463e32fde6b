//! JSON values as block YAML, for `mainstay config`. Only what JSON can hold, in the plainest form that any YAML
//! reader takes back as the same value.

use serde_json::Value;

/// The text of a document.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&format!("{}{}:", "  ".repeat(depth), scalar(key)));
                inner(value, depth + 1, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut text = String::new();
                block(item, depth + 1, &mut text);
                // The first line of the item stands behind the dash.
                let text =
                    if is_block(item) { text.trim_start().to_owned() } else { format!("{}\n", plain(item)) };
                out.push_str(&format!("{}- {text}", "  ".repeat(depth)));
            }
        }
        value => out.push_str(&format!("{}{}\n", "  ".repeat(depth), plain(value))),
    }
}

fn inner(value: &Value, depth: usize, out: &mut String) {
    if is_block(value) {
        out.push('\n');
        block(value, depth, out);
    } else {
        out.push_str(&format!(" {}\n", plain(value)));
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Text that no reader takes for anything else stays as it is; all other is quoted as JSON, which is YAML.
fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let means_else = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if begins && text.chars().all(safe) && !means_else.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_values_are_indented() {
        let value = json!({ "name": "a", "on": null, "list": ["x", { "k": 1, "l": ["y: z"] }], "none": {}, "no": "no" });
        insta::assert_snapshot!(text(&value), @r#"
        list:
          - x
          - k: 1
            l:
              - "y: z"
        name: a
        "no": "no"
        none: {}
        "on": null
        "#);
    }
}
