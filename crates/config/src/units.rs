//! Sizes and durations as Compose writes them (Compose Specification, "Specifying byte values" and
//! "Specifying durations").

use std::time::Duration;

/// Text that is no size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No size.
    #[error("`{0}` is not a size in bytes, such as 512m or 1.5g")]
    Bytes(String),
    /// No duration.
    #[error("`{0}` is not a duration, such as 30s or 1m30s")]
    Duration(String),
}

/// A size in bytes: a number and one of `b k m g t p`, also as `kb` or `kib`, each 1024 times the one before.
/// -1 and other negative whole numbers pass through: some keys give them a meaning.
pub fn bytes(text: &str) -> Result<i64, Error> {
    let wrong = || Error::Bytes(text.to_owned());
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(whole);
    }
    let digits_end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(wrong)? + 1;
    let (number, suffix) = text.split_at(digits_end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let size: f64 = number.parse().map_err(|_| wrong())?;
    let factor: f64 = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tb" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "p" | "pb" | "pib" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let whole = size * factor;
    // 2^63 is the first value that does not fit.
    if !(0.0..9_223_372_036_854_775_808.0).contains(&whole) {
        return Err(wrong());
    }
    #[allow(clippy::cast_possible_truncation)]
    // Checked above; the fraction of a byte is dropped, as Docker does.
    Ok(whole as i64)
}

/// A duration: numbers with the units `ns us µs ms s m h d w`, one after the other.
pub fn duration(text: &str) -> Result<Duration, Error> {
    let wrong = || Error::Duration(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanos = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            "w" => 604_800e9,
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * nanos;
        rest = tail;
    }
    // Go's durations end at 2^63 nanoseconds, some 292 years.
    if !total.is_finite() || total >= 9_223_372_036_854_775_808.0 {
        return Err(wrong());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked above.
    Ok(Duration::from_nanos(total.round() as u64))
}

/// A duration as Compose prints it: `1h0m0s`, `1m30s`, `1.5s`, `500ms`, `0s`.
pub fn duration_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let text = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanos, 1_000_000)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let well = [
            ("512m", 536_870_912),
            ("1.5g", 1_610_612_736),
            ("64", 64),
            ("1 kb", 1024),
            ("2KiB", 2048),
            ("-1", -1),
            ("10b", 10),
        ];
        for (text, size) in well {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "m", "1x", "1kbb", "-1m", "1e400", "9999999p", "1 2"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_and_back() {
        let well = [
            ("30s", "30s"),
            ("1m30s", "1m30s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("0s", "0s"),
            ("1d", "24h0m0s"),
            ("10us", "10µs"),
            ("1500ms", "1.5s"),
            ("0", "0s"),
        ];
        for (text, printed) in well {
            assert_eq!(duration(text).map(duration_text).as_deref(), Ok(printed), "{text}");
        }
        for text in ["", "30", "s", "1x", "-1s", "1s ", "9999999999w"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
