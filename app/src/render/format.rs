//! `--format`: a table, JSON, or a Go template of the simple kind that scripts use: fields, `json`, literal text.
//!
//! Knows nothing about what is listed: rows are fields and their values.

use super::table::{Cell, Table};
use crate::error::Error;
use serde_json::{Map, Value};
use std::str::FromStr;

/// How a list is printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Format {
    /// As a table for people.
    #[default]
    Table,
    /// As JSON in Compose's own shape.
    Json,
    /// By a template.
    Template(Template),
}

/// A template, and whether a line of titles stands above what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    titled: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `{{.Name}}`.
    Field(String),
    /// `{{json .Name}}`; `{{json .}}` is the whole row.
    Json(Option<String>),
}

/// One thing of a list: fields by the names that Compose gives them.
pub type Row = Map<String, Value>;

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" | "table" | "pretty" => Self::Table,
            "json" => Self::Json,
            _ => Self::Template(match text.strip_prefix("table ") {
                Some(template) => Template { titled: true, parts: parts(template)? },
                None => Template { titled: false, parts: parts(text)? },
            }),
        })
    }
}

/// For commands whose `--format` knows no templates, as in Compose.
///
/// # Errors
/// What is wrong, in words.
pub fn plain(text: &str) -> Result<Format, String> {
    match text.parse() {
        Ok(Format::Template(_)) | Err(_) => Err("expected `table` or `json`".into()),
        known => known,
    }
}

fn parts(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").ok_or("`{{` without `}}`")?;
        parts.push(Part::Text(unescape(text)));
        parts.push(action_of(action.trim())?);
        rest = after;
    }
    parts.push(Part::Text(unescape(rest)));
    parts.retain(|part| *part != Part::Text(String::new()));
    Ok(parts)
}

fn action_of(action: &str) -> Result<Part, String> {
    let field = |text: &str| {
        let name = text.strip_prefix('.').filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric()));
        name.map(str::to_owned)
    };
    let known = match action.strip_prefix("json ") {
        Some(".") => Some(Part::Json(None)),
        Some(what) => field(what.trim()).filter(|name| !name.is_empty()).map(|name| Part::Json(Some(name))),
        None => field(action).filter(|name| !name.is_empty()).map(Part::Field),
    };
    known.ok_or_else(|| {
        format!("`{{{{{action}}}}}` is not understood: only fields such as `{{{{.Name}}}}`, `{{{{json .}}}}` and text are; \
                 `--json` prints everything")
    })
}

/// Docker's command line takes `\t` and `\n` for what they mean.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

impl Template {
    /// A line for every row.
    ///
    /// # Errors
    /// The rows have no such field.
    pub fn render(&self, rows: &[Row], fields: &[&str]) -> Result<String, Error> {
        let asked = self.parts.iter().filter_map(|part| match part {
            Part::Field(name) | Part::Json(Some(name)) => Some(name),
            Part::Json(None) | Part::Text(_) => None,
        });
        for name in asked {
            if !fields.contains(&name.as_str()) {
                return Err(Error::Field { name: name.clone(), known: fields.join(", ") });
            }
        }
        let lines = rows.iter().map(|row| self.parts.iter().map(|part| part.of(row)).collect::<String>());
        if !self.titled {
            return Ok(lines.map(|line| line + "\n").collect());
        }
        let head = self.parts.iter().map(Part::title).collect::<String>();
        let mut table = Table::new(&head.split('\t').collect::<Vec<_>>());
        for line in lines {
            table.row(line.split('\t').map(Cell::new));
        }
        Ok(table.render(None))
    }
}

impl Part {
    fn of(&self, row: &Row) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Field(name) => match row.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(value) => value.to_string(),
            },
            Self::Json(Some(name)) => row.get(name).unwrap_or(&Value::Null).to_string(),
            Self::Json(None) => Value::Object(row.clone()).to_string(),
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Field(name) | Self::Json(Some(name)) => name.to_uppercase(),
            Self::Json(None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        [("Name".to_owned(), Value::from("web-1")), ("ExitCode".to_owned(), Value::from(7))]
            .into_iter()
            .collect()
    }

    fn rendered(format: &str) -> String {
        let Format::Template(template) = format.parse().unwrap() else { panic!("{format} is no template") };
        anstream::adapter::strip_str(&template.render(&[row()], &["Name", "ExitCode"]).unwrap()).to_string()
    }

    #[test]
    fn fields_json_and_text() {
        assert_eq!(rendered("{{.Name}}"), "web-1\n");
        assert_eq!(rendered("{{ .Name }}:\\t{{.ExitCode}}"), "web-1:\t7\n");
        assert_eq!(rendered("{{json .Name}}"), "\"web-1\"\n");
        assert_eq!(rendered("{{json .}}"), "{\"ExitCode\":7,\"Name\":\"web-1\"}\n");
        assert_eq!(rendered("table {{.Name}}\\t{{.ExitCode}}"), "NAME   EXITCODE\nweb-1  7\n");
    }

    #[test]
    fn other_syntax_is_refused() {
        for text in ["{{range .}}", "{{.Name | upper}}", "{{.Name", "{{if .Name}}x{{end}}", "{{.}}"] {
            assert!(text.parse::<Format>().is_err(), "{text}");
        }
        let unknown: Format = "{{.Nome}}".parse().unwrap();
        let Format::Template(template) = unknown else { panic!() };
        let error = template.render(&[row()], &["Name"]).unwrap_err();
        assert!(error.to_string().contains("Nome"), "{error}");
        assert!(plain("{{.Name}}").is_err() && plain("json").is_ok());
    }
}
