//! The variables of a stack file, for `mainstay config --variables`.

use mainstay_config::Variable;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// As a table, as JSON, or as YAML, in the forms that Compose has for them.
pub fn text(variables: &BTreeMap<String, Variable>, as_json: bool, as_yaml: bool) -> String {
    if as_json {
        let fields = |(name, v): (&String, &Variable)| {
            let fields = json!({
                "Name": name, "DefaultValue": v.default, "PresenceValue": v.alternate, "Required": v.required,
            });
            (name.clone(), fields)
        };
        let all: Map<String, Value> = variables.iter().map(fields).collect();
        return serde_json::to_string_pretty(&Value::Object(all)).unwrap_or_default() + "\n";
    }
    let mut out = String::new();
    if as_yaml {
        for (name, Variable { default, alternate, required }) in variables {
            let (default, alternate) = (json!(default), json!(alternate));
            // Writing to text cannot fail.
            let _infallible = write!(
                out,
                "{name}:\n    name: {name}\n    defaultvalue: {default}\n    presencevalue: {alternate}\n    required: {required}\n"
            );
        }
        return out;
    }
    let rows: Vec<[&str; 4]> = variables
        .iter()
        .map(|(name, v)| [name.as_str(), if v.required { "true" } else { "false" }, &v.default, &v.alternate])
        .collect();
    let heads = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"];
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in std::iter::once(&heads).chain(&rows) {
        let line: String = (0..4)
            .map(|column| format!("{:width$}  ", row[column], width = width(column).max(heads[column].len())))
            .collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_variables() {
        let variables = BTreeMap::from([
            ("TAG".to_owned(), Variable { required: true, ..Variable::default() }),
            ("PORT".to_owned(), Variable { default: "80".to_owned(), ..Variable::default() }),
        ]);
        insta::assert_snapshot!(text(&variables, false, false), @r"
        NAME  REQUIRED  DEFAULT VALUE  ALTERNATE VALUE
        PORT  false     80
        TAG   true
        ");
        assert!(text(&variables, true, false).contains("\"DefaultValue\": \"80\""));
        assert!(text(&variables, false, true).contains("PORT:\n    name: PORT\n    defaultvalue: \"80\"\n"));
    }
}
