//! Durations, sizes and times in words.

use mainstay_model::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `0.4s`, `12s`, `3m 12s`, `5h 2m`, `3d 4h`: two units at most.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m {}s", seconds % 60),
        3_600..86_400 => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Time since, without tenths: `now`, `12s`, `3m 12s`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now.since(at);
    if passed.as_secs() < 1 {
        "now".into()
    } else {
        duration(Duration::from_secs(passed.as_secs())).replace(".0s", "s")
    }
}

/// `512B`, `1.5K`, `212M`, `3.2G`: what Compose files write, so with 1024 to the next.
pub fn bytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // Two digits are shown.
    let mut size = bytes as f64;
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut unit = 'B';
    for next in ['K', 'M', 'G', 'T'] {
        if size < 1023.5 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if size < 9.95 && size.fract() > 0.05 { format!("{size:.1}{unit}") } else { format!("{size:.0}{unit}") }
}

/// Local date and time, `2026-11-23 14:05:09`.
pub fn local(at: Timestamp) -> String {
    format_local(at, "%Y-%m-%d %H:%M:%S")
}

/// Local time of day with milliseconds, for lines that follow one another.
pub fn local_precise(at: Timestamp) -> String {
    format_local(at, "%Y-%m-%dT%H:%M:%S%.3f%:z")
}

fn format_local(at: Timestamp, format: &str) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string(),
        Err(_) => format!("{millis}ms"),
    }
}

/// `1 service`, `3 services`.
pub fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Text from outside without what could move the cursor or clear the screen.
pub fn tame(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\t' => out.push_str("    "),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips the rest of an escape sequence: `[` up to its final letter, or one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if chars.next() == Some('[') {
        for c in chars.by_ref() {
            if matches!(c, '@'..='~') {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let text = |s: f64| duration(Duration::from_secs_f64(s));
        assert_eq!(text(0.44), "0.4s");
        assert_eq!(text(59.9), "59s");
        assert_eq!(text(192.0), "3m 12s");
        assert_eq!(text(18_120.0), "5h 2m");
        assert_eq!(text(273_600.0), "3d 4h");
        assert_eq!(ago(Timestamp(1_000), Timestamp(4_400)), "3s");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(bytes(0), "0B");
        assert_eq!(bytes(1536), "1.5K");
        assert_eq!(bytes(512 << 20), "512M");
        assert_eq!(bytes(1 << 30), "1G");
        assert_eq!(bytes(1023 << 20), "1023M");
    }

    #[test]
    fn escapes_of_others_are_taken_off() {
        assert_eq!(tame("\x1b[31mred\x1b[0m\x1b]\r\ta"), "red    a");
    }
}
