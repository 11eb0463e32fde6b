//! Points in time as the Engine writes them.

use mainstay_model::Timestamp;

/// Reads RFC 3339. `None` for what is no time, and for the year 1, which is how the Engine says "never".
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

/// Writes `time` as the Engine's queries take it: seconds and a fraction.
pub(super) fn seconds(time: Timestamp) -> String {
    format!("{}.{:03}", time.0 / 1000, time.0 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_no_time() {
        assert_eq!(parse("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(Timestamp(1500)));
        assert_eq!(parse("1970-01-01T01:00:01.123456789+01:00"), Some(Timestamp(1123)));
        assert_eq!(seconds(Timestamp(1_005)), "1.005");
    }
}
