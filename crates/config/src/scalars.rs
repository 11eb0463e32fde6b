//! Single values against their kinds: text becomes the numbers and flags it stands for.

use crate::check::{invalid, wrong_type};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node, Value};
use crate::shape::Kind;
use crate::{suggest, units};

/// What a scalar turned out to be.
enum Found {
    /// It stays as it is.
    Kept,
    /// It stands for this.
    Is(Value),
    /// It is of no use, and that was reported.
    Reported,
    /// It is of another type.
    Unfit,
}

/// Checks a scalar and turns it into what it stands for. `false`: it is of no use, and that was reported.
pub fn scalar(node: &mut Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> bool {
    if matches!(node.value, Value::List(_) | Value::Map(_)) {
        return wrong_type(node, expected(kind), path, sink);
    }
    let found = match kind {
        Kind::Between(..) => return between(node, kind, path, sink),
        Kind::Flag | Kind::Choice | Kind::OptOut | Kind::Switch => flag(node, kind, path, sink),
        Kind::Whole
        | Kind::WholeOrFraction
        | Kind::Count
        | Kind::Integer
        | Kind::Number
        | Kind::Real
        | Kind::Devices => number(node, kind),
        Kind::Size | Kind::Bytes | Kind::BytesOrFraction | Kind::Mode => amount(node, kind, path, sink),
        _ => text(node, kind, path, sink),
    };
    match found {
        Found::Kept => true,
        Found::Is(value) => {
            node.value = value;
            true
        }
        Found::Reported => false,
        Found::Unfit => match &node.value {
            Value::Text(text) if !matches!(kind, Kind::Switch | Kind::Number | Kind::Integer) => {
                invalid(node, format!("`{text}` is not {}", expected(kind)), path, sink)
            }
            _ => wrong_type(node, expected(kind), path, sink),
        },
    }
}

fn text(node: &Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> Found {
    let scalar = || Found::Is(Value::Text(node.scalar_text().unwrap_or_default()));
    match (kind, &node.value) {
        (Kind::Text | Kind::TextOrFlag, Value::Text(_)) => Found::Kept,
        (Kind::Scalar, _) | (Kind::TextOrFlag, Value::Bool(_)) => scalar(),
        (Kind::Loose | Kind::LooseOrNull, Value::Text(_) | Value::Int(_) | Value::Float(_)) => scalar(),
        (Kind::Word(words), Value::Text(text)) if word(node, text, words, path, sink) => Found::Kept,
        (Kind::Word(_), Value::Text(_)) => Found::Reported,
        (Kind::Duration | Kind::Pause, Value::Text(text)) => match units::duration(text) {
            Ok(_) => Found::Kept,
            Err(error) => {
                invalid(node, error.to_string(), path, sink);
                Found::Reported
            }
        },
        _ => Found::Unfit,
    }
}

#[allow(clippy::cast_possible_truncation)] // Numbers are looked at before.
fn number(node: &Node, kind: &Kind) -> Found {
    match (kind, &node.value) {
        (Kind::Real, Value::Int(_) | Value::Float(_)) => Found::Kept,
        (Kind::Real, Value::Text(text)) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Found::Is(Value::Float(number)),
            _ => Found::Unfit,
        },
        (_, Value::Int(_)) => Found::Kept,
        // The fraction does not count, as in Compose.
        (Kind::Number | Kind::WholeOrFraction, Value::Float(number)) if number.abs() < 1e15 => {
            Found::Is(Value::Int(*number as i64))
        }
        (Kind::Whole | Kind::Count | Kind::Integer, Value::Float(number))
            if number.fract() == 0.0 && number.abs() < 1e15 =>
        {
            Found::Is(Value::Int(*number as i64))
        }
        (Kind::Devices, Value::Text(text)) if text.eq_ignore_ascii_case("all") => Found::Is(Value::Int(-1)),
        (Kind::Whole | Kind::WholeOrFraction | Kind::Count | Kind::Devices, Value::Text(text)) => {
            match text.parse() {
                Ok(number) => Found::Is(Value::Int(number)),
                Err(_) => Found::Unfit,
            }
        }
        _ => Found::Unfit,
    }
}

fn amount(node: &Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> Found {
    match (kind, &node.value) {
        (Kind::Bytes | Kind::BytesOrFraction | Kind::Mode, Value::Int(_)) => Found::Kept,
        (Kind::BytesOrFraction, Value::Float(number)) => {
            let message = format!("a size of {number} bytes counts as none: write it with a unit");
            sink.push(Diagnostic::warning(Code::NoEffect, message).at(node.span).path(path));
            Found::Is(Value::Int(0))
        }
        (Kind::Mode, Value::Text(text)) => match i64::from_str_radix(text, 8) {
            Ok(mode) => Found::Is(Value::Int(mode)),
            Err(_) => {
                invalid(node, format!("`{text}` is not octal permission bits"), path, sink);
                Found::Reported
            }
        },
        (_, Value::Text(text)) => match units::bytes(text) {
            Ok(size) => Found::Is(Value::Int(size)),
            Err(error) => {
                invalid(node, error.to_string(), path, sink);
                Found::Reported
            }
        },
        _ => Found::Unfit,
    }
}

/// A whole number within bounds.
fn between(node: &mut Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> bool {
    let Kind::Between(least, most) = *kind else { return false };
    if !scalar(node, &Kind::Whole, path, sink) {
        return false;
    }
    match node.value {
        Value::Int(number) if !(least..=most).contains(&number) => {
            let message = if most == i64::MAX {
                format!("{number} is not possible here: it must be {least} or more")
            } else {
                format!("{number} is not possible here: it must be between {least} and {most}")
            };
            invalid(node, message, path, sink)
        }
        _ => true,
    }
}

fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Flag | Kind::Choice | Kind::OptOut | Kind::Switch => "`true` or `false`",
        Kind::Whole | Kind::WholeOrFraction | Kind::Count | Kind::Integer | Kind::Between(..) => {
            "a whole number"
        }
        Kind::Real | Kind::Number => "a number",
        Kind::TextOrFlag => "text, `true` or `false`",
        Kind::Loose | Kind::LooseOrNull => "text or a number",
        Kind::Devices => "a number or `all`",
        Kind::Bytes | Kind::BytesOrFraction => "a size in bytes, such as 512m",
        Kind::Mode => "octal permission bits, such as 0440",
        Kind::Duration | Kind::Pause => "a duration, such as 30s",
        Kind::Size => "a size in bytes with its unit, such as 512m",
        _ => "text",
    }
}

fn word(node: &Node, text: &str, words: &[&str], path: &KeyPath, sink: &mut Sink) -> bool {
    if words.contains(&text) {
        return true;
    }
    let finding = Diagnostic::error(Code::InvalidValue, format!("`{text}` is not possible here"));
    let help = match suggest::closest(text, words.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            format!("possible are {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
        }
    };
    sink.push(finding.at(node.span).path(path).help(help));
    false
}

fn flag(node: &Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> Found {
    let text = match &node.value {
        Value::Bool(_) => return Found::Kept,
        Value::Text(text) if !matches!(kind, Kind::Switch) => text,
        _ => return Found::Unfit,
    };
    let lower = text.to_ascii_lowercase();
    let value = match lower.as_str() {
        "true" | "y" | "yes" | "on" => true,
        "false" | "n" | "no" | "off" => false,
        _ => return Found::Unfit,
    };
    if lower != "true" && lower != "false" {
        let message = format!("`{text}` is not a boolean of YAML 1.2");
        let finding = Diagnostic::warning(Code::Obsolete, message).at(node.span).path(path);
        sink.push(finding.help(format!("write `{value}`")));
    }
    Found::Is(Value::Bool(value))
}
