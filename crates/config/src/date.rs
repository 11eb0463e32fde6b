//! Dates as plain YAML scalars: the forms that the YAML library of Compose takes for a time.

use crate::node::{Date, Value};

/// Reads a date, or a date and a time with or without a zone.
pub fn parse(text: &str) -> Option<Value> {
    let (year, rest) = text.split_once('-').filter(|(year, _)| year.len() == 4)?;
    let (month, rest) = rest.split_once('-')?;
    let day_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(day_end);
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    let (clock, zone) = match time.chars().next() {
        None => ("00:00:00".to_owned(), Zone::Utc),
        // Only this form has no zone.
        Some(' ') => (clock(&time[1..])?, Zone::Utc),
        Some('T' | 't') => {
            let at = time[1..].find(['Z', 'z', '+', '-'])? + 1;
            (clock(&time[1..at])?, zone(&time[at..])?)
        }
        Some(_) => return None,
    };
    let (text, json) = match zone {
        Zone::Utc => (format!("{date} {clock} +0000 UTC"), format!("{date}T{clock}Z")),
        Zone::Offset(sign, hours, minutes) => (
            format!("{date} {clock} {sign}{hours:02}{minutes:02} {sign}{hours:02}{minutes:02}"),
            format!("{date}T{clock}{sign}{hours:02}:{minutes:02}"),
        ),
    };
    Some(Value::Date(Box::new(Date { text, json })))
}

enum Zone {
    Utc,
    Offset(char, u32, u32),
}

/// `Z` or `+02:00`.
fn zone(text: &str) -> Option<Zone> {
    if text == "Z" {
        return Some(Zone::Utc);
    }
    let sign = text.chars().next().filter(|c| matches!(c, '+' | '-'))?;
    let (hours, minutes) = text[1..].split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    match (number(hours, 2).filter(|h| *h < 24)?, number(minutes, 2).filter(|m| *m < 60)?) {
        (0, 0) => Some(Zone::Utc),
        (hours, minutes) => Some(Zone::Offset(sign, hours, minutes)),
    }
}

/// `h:m:s`, with a fraction of up to nine digits, of which zeros at the end do not count.
fn clock(text: &str) -> Option<String> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let (hours, minutes, seconds) = (number(hours, 2)?, number(minutes, 2)?, number(seconds, 2)?);
    let is_well = hours < 24 && minutes < 60 && seconds < 60;
    if !is_well || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{hours:02}:{minutes:02}:{seconds:02}{dot}{fraction}"))
}

/// A number of one digit up to this many.
fn number(text: &str, most: usize) -> Option<u32> {
    let is_well = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    if is_well { text.parse().ok() } else { None }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_go_reads_and_writes_them() {
        let cases = [
            ("2024-02-29", "2024-02-29 00:00:00 +0000 UTC", "2024-02-29T00:00:00Z"),
            ("2024-1-2", "2024-01-02 00:00:00 +0000 UTC", "2024-01-02T00:00:00Z"),
            ("2024-01-02T03:04:05Z", "2024-01-02 03:04:05 +0000 UTC", "2024-01-02T03:04:05Z"),
            ("2024-01-02t3:4:5.50+02:30", "2024-01-02 03:04:05.5 +0230 +0230", "2024-01-02T03:04:05.5+02:30"),
            ("2024-01-02 03:04:05", "2024-01-02 03:04:05 +0000 UTC", "2024-01-02T03:04:05Z"),
        ];
        for (source, text, json) in cases {
            let date = Date { text: text.to_owned(), json: json.to_owned() };
            assert_eq!(parse(source), Some(Value::Date(Box::new(date))), "{source}");
        }
        for text in ["2023-02-29", "2024-13-01", "24-01-01", "2024-01-02x", "2024-01-02T03:04:05", "2024-01"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
