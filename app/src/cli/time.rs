//! Points in time as they are typed: `10m`, `2026-11-23T14:05`, seconds since 1970.

use crate::error::Error;
use mainstay_model::Timestamp;
use std::time::Duration;

/// What is accepted, for messages.
const EXPECTED: &str = "a time: an age such as 90s, 10m, 2h30m, 3d, a date such as 2026-11-23T14:05:00, \
                        or seconds since 1970";

/// Reads a point in time. `now` is what ages count back from.
///
/// # Errors
/// [`Error::Argument`].
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let refuse = || Error::Argument { value: text.to_owned(), expected: EXPECTED };
    if let Some(age) = age(text) {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        return Ok(Timestamp(now.0.saturating_sub(age)));
    }
    if let Some(seconds) = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0) {
        let since = Duration::try_from_secs_f64(seconds).map_err(|_| refuse())?;
        return Ok(Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)));
    }
    let exact = text.parse::<jiff::Timestamp>().ok();
    let local = || {
        let date: jiff::civil::DateTime = text.parse().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp())
    };
    let at = exact.or_else(local).ok_or_else(refuse)?;
    Ok(Timestamp(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

/// `1h30m` and the like.
fn age(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        seconds += number
            * match &rest[digits..unit] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_dates_and_seconds() {
        let now = Timestamp(10_000_000_000);
        let at = |text: &str| parse(text, now).map(|t| t.0).ok();
        assert_eq!(at("10s"), Some(9_999_990_000));
        assert_eq!(at("1h30m"), Some(10_000_000_000 - 5_400_000));
        assert_eq!(at("1764000000"), Some(1_764_000_000_000));
        assert_eq!(at("2026-01-01T00:00:00Z"), Some(1_767_225_600_000));
        assert!(at("2026-01-01T00:00:00").is_some());
        assert!(at("2026-01-01").is_some());
        assert_eq!(at("soon"), None);
        assert_eq!(at(""), None);
    }
}
