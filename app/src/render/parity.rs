//! What becomes of the keys of a stack file.

use super::diagnostic::place;
use super::style;
use super::table::{Cell, Table};
use anstyle::Style;
use mainstay_config::{Fate, Texts, UsedKey};
use serde_json::{Value, json};
use std::path::Path;

/// A table: the key, where or how often it is used, what is done with it.
pub fn table(keys: &[UsedKey], texts: &Texts, base: &Path) -> String {
    let mut table = Table::new(&["KEY", "WHERE", "WHAT IS DONE"]);
    for key in keys {
        let at = match (&key.fate, key.at.and_then(|span| place(span, texts, base))) {
            (Fate::Honoured, _) if key.uses > 1 => format!("{} times", key.uses),
            (_, Some(place)) => place,
            (_, None) => String::new(),
        };
        let (style, done) = match &key.fate {
            Fate::Refused { why } => (style::BAD, format!("refused: {why}")),
            Fate::Ignored { why } => (style::BUSY, format!("ignored: {why}")),
            Fate::Honoured => (Style::new(), "honoured".to_owned()),
        };
        table.row([key.key.as_str().into(), at.into(), Cell::styled(style, done)]);
    }
    table.render(None)
}

/// The same for programs.
pub fn json(keys: &[UsedKey], texts: &Texts) -> Value {
    let one = |key: &UsedKey| {
        let (fate, why) = match &key.fate {
            Fate::Refused { why } => ("refused", Some(why)),
            Fate::Ignored { why } => ("ignored", Some(why)),
            Fate::Honoured => ("honoured", None),
        };
        let at = super::diagnostic::place_json(key.at, texts);
        json!({ "key": key.key, "uses": key.uses, "at": at, "is": fate, "why": why })
    };
    keys.iter().map(one).collect()
}
