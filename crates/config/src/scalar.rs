//! What a plain YAML scalar means: the rules of the YAML library that Compose reads files with, so that both
//! programs see the same value.
//!
//! `yes`, `no`, `on` and `off` are text (YAML 1.2); `0777` and `0o777` are octal; `1_000` is a thousand;
//! dates are dates (`date`).

use crate::date;
use crate::node::Value;

/// Reads a plain (unquoted) scalar.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => number(text).or_else(|| date::parse(text)).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

/// Reads a number in any notation, `None` when it is none.
fn number(text: &str) -> Option<Value> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(whole) = integer(&plain) {
        return Some(whole);
    }
    if is_float(&plain) { plain.parse().ok().map(Value::Float) } else { None }
}

/// A whole number: decimal, or with the prefix `0x`, `0o`, `0b` or `0`. What exceeds 63 bits stays text: such
/// numbers are only ever shown, and a float would lose digits.
fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    match i128::from_str_radix(digits, radix) {
        Ok(size) => {
            let number = if negative { -size } else { size };
            Some(i64::try_from(number).map_or_else(|_| Value::Text(plain.to_owned()), Value::Int))
        }
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(plain: &str) -> bool {
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent_is_well = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    let mantissa_is_well = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    exponent_is_well && mantissa_is_well
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_notation() {
        let whole =
            [("8", 8), ("-3", -3), ("0777", 511), ("0o17", 15), ("0x1F", 31), ("1_000", 1000), ("0b11", 3)];
        for (text, number) in whole {
            assert_eq!(resolve(text), Value::Int(number), "{text}");
        }
        for (text, number) in [("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("08", 8.0), ("1.", 1.0)] {
            assert_eq!(resolve(text), Value::Float(number), "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_value_and_is_text() {
        for text in ["yes", "on", "No", "1.2.3", "80:80", "24-01-01", "-", "+", ".", "1e", "0x", "5m", "1_a"]
        {
            assert_eq!(resolve(text), Value::Text(text.to_owned()));
        }
    }
}
