//! Single values against their kinds: text becomes the numbers and flags it stands for.

use crate::check::{invalid, wrong_type};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node, Value};
use crate::shape::Kind;
use crate::{suggest, units};

/// Checks a scalar and turns it into what it stands for. `false`: it is of no use, and that was reported.
pub fn scalar(node: &mut Node, kind: &Kind, path: &KeyPath, sink: &mut Sink) -> bool {
    if matches!(node.value, Value::List(_) | Value::Map(_)) {
        return wrong_type(node, expected(kind), path, sink);
    }
    let value = match (kind, &node.value) {
        (Kind::Text, Value::Text(_)) => return true,
        (Kind::Scalar, _) => Value::Text(node.scalar_text().unwrap_or_default()),
        (Kind::Loose, Value::Text(_) | Value::Int(_) | Value::Float(_)) => {
            Value::Text(node.scalar_text().unwrap_or_default())
        }
        (Kind::Word(words), Value::Text(text)) => return word(node, text, words, path, sink),
        (Kind::Duration | Kind::Pause, Value::Text(text)) => match units::duration(text) {
            Ok(_) => return true,
            Err(error) => return invalid(node, error.to_string(), path, sink),
        },
        (Kind::Flag | Kind::Choice | Kind::OptOut | Kind::Switch, Value::Bool(_)) => return true,
        (Kind::TextOrFlag, Value::Text(_)) => return true,
        (Kind::TextOrFlag, Value::Bool(flag)) => Value::Text(flag.to_string()),
        (Kind::Flag | Kind::Choice | Kind::OptOut, Value::Text(text)) => match flag(node, text, path, sink) {
            Some(value) => value,
            None => return false,
        },
        (
            Kind::Whole
            | Kind::Count
            | Kind::Bytes
            | Kind::BytesOrFraction
            | Kind::Mode
            | Kind::Number
            | Kind::Integer,
            Value::Int(_),
        ) => return true,
        (Kind::Between(..), _) => return between(node, kind, path, sink),
        #[allow(clippy::cast_possible_truncation)] // The fraction does not count, as in Compose.
        (Kind::Number, Value::Float(number)) if number.abs() < 1e15 => Value::Int(*number as i64),
        (Kind::BytesOrFraction, Value::Float(number)) => {
            let message = format!("a size of {number} bytes counts as none: write it with a unit");
            sink.push(Diagnostic::warning(Code::NoEffect, message).at(node.span).path(path));
            Value::Int(0)
        }
        #[allow(clippy::cast_possible_truncation)] // Whole and far below 2^53.
        (Kind::Whole | Kind::Count | Kind::Integer, Value::Float(number))
            if number.fract() == 0.0 && number.abs() < 1e15 =>
        {
            Value::Int(*number as i64)
        }
        (Kind::Whole | Kind::Count, Value::Text(text)) if text.parse::<i64>().is_ok() => {
            text.parse().map_or(Value::Null, Value::Int)
        }
        (Kind::Devices, Value::Int(_)) => return true,
        (Kind::Devices, Value::Text(text)) if text == "all" => Value::Int(-1),
        (Kind::Devices, Value::Text(text)) if text.parse::<i64>().is_ok() => {
            text.parse().map_or(Value::Null, Value::Int)
        }
        (Kind::Real, Value::Int(_) | Value::Float(_)) => return true,
        (Kind::Real, Value::Text(text)) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            text.parse().map_or(Value::Null, Value::Float)
        }
        (Kind::Size | Kind::Bytes | Kind::BytesOrFraction, Value::Text(text)) => match units::bytes(text) {
            Ok(size) => Value::Int(size),
            Err(error) => return invalid(node, error.to_string(), path, sink),
        },
        (Kind::Mode, Value::Text(text)) => match i64::from_str_radix(text, 8) {
            Ok(mode) => Value::Int(mode),
            Err(_) => return invalid(node, format!("`{text}` is not octal permission bits"), path, sink),
        },
        (kind, Value::Text(text)) if !matches!(kind, Kind::Switch | Kind::Number | Kind::Integer) => {
            return invalid(node, format!("`{text}` is not {}", expected(kind)), path, sink);
        }
        _ => return wrong_type(node, expected(kind), path, sink),
    };
    node.value = value;
    true
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
        Kind::Whole | Kind::Count | Kind::Integer | Kind::Between(..) => "a whole number",
        Kind::Real | Kind::Number => "a number",
        Kind::TextOrFlag => "text, `true` or `false`",
        Kind::Loose => "text or a number",
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

fn flag(node: &Node, text: &str, path: &KeyPath, sink: &mut Sink) -> Option<Value> {
    let lower = text.to_ascii_lowercase();
    let value = match lower.as_str() {
        "true" | "y" | "yes" | "on" => true,
        "false" | "n" | "no" | "off" => false,
        _ => {
            invalid(node, format!("`{text}` is not `true` or `false`"), path, sink);
            return None;
        }
    };
    if lower != "true" && lower != "false" {
        let message = format!("`{text}` is not a boolean of YAML 1.2");
        let finding = Diagnostic::warning(Code::Obsolete, message).at(node.span).path(path);
        sink.push(finding.help(format!("write `{value}`")));
    }
    Some(Value::Bool(value))
}
