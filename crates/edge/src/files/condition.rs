//! Conditional and range requests (RFC 9110, 13 and 14).
//!
//! Knows nothing about files.

use std::ops::Range;
use std::time::{Duration, SystemTime};

/// The conditions of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions<'b> {
    pub(crate) if_match: Option<&'b [u8]>,
    pub(crate) if_none_match: Option<&'b [u8]>,
    pub(crate) if_modified_since: Option<&'b [u8]>,
    pub(crate) if_unmodified_since: Option<&'b [u8]>,
    pub(crate) range: Option<&'b [u8]>,
    pub(crate) if_range: Option<&'b [u8]>,
}

/// What is told apart: one state of a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version<'v> {
    pub(crate) tag: &'v str,
    pub(crate) modified: Option<SystemTime>,
}

/// What the conditions come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Whole,
    Part(Range<u64>),
    NotModified,
    PreconditionFailed,
    Unsatisfiable,
}

/// Weighs the conditions in the order of RFC 9110, 13.2.2.
pub(crate) fn weigh(conditions: &Conditions<'_>, version: &Version<'_>, length: u64) -> Outcome {
    let failed = match (conditions.if_match, conditions.if_unmodified_since) {
        (Some(tags), _) => !lists(tags, version.tag, false),
        (None, Some(date)) => later(version.modified, date).unwrap_or(false),
        (None, None) => false,
    };
    if failed {
        return Outcome::PreconditionFailed;
    }
    let is_known = match (conditions.if_none_match, conditions.if_modified_since) {
        (Some(tags), _) => lists(tags, version.tag, true),
        (None, Some(date)) => later(version.modified, date).is_some_and(|later| !later),
        (None, None) => false,
    };
    if is_known {
        return Outcome::NotModified;
    }
    let Some(asked) = conditions.range.filter(|_| range_counts(conditions.if_range, version)) else {
        return Outcome::Whole;
    };
    range(asked, length)
}

/// Whether a list of tags has this one; weakly, `W/` makes no difference.
fn lists(list: &[u8], tag: &str, weakly: bool) -> bool {
    let bare = |tag: &[u8]| -> Vec<u8> { tag.strip_prefix(b"W/").unwrap_or(tag).to_vec() };
    list.split(|b| *b == b',').map(<[u8]>::trim_ascii).any(|element| match (element, weakly) {
        (b"*", _) => true,
        (element, true) => bare(element) == bare(tag.as_bytes()),
        (element, false) => element == tag.as_bytes() && !tag.starts_with("W/"),
    })
}

/// Whether `modified` is later than `date`, in whole seconds; none when either is not known.
fn later(modified: Option<SystemTime>, date: &[u8]) -> Option<bool> {
    let date = httpdate::parse_http_date(std::str::from_utf8(date).ok()?).ok()?;
    Some(modified? >= date + Duration::from_secs(1))
}

/// Whether what the client has a part of is still the same (RFC 9110, 13.1.5): by its strong tag, or its very date.
fn range_counts(if_range: Option<&[u8]>, version: &Version<'_>) -> bool {
    let Some(value) = if_range else { return true };
    if value.starts_with(b"\"") || value.starts_with(b"W/") {
        return value == version.tag.as_bytes() && !version.tag.starts_with("W/");
    }
    let date = std::str::from_utf8(value).ok().and_then(|text| httpdate::parse_http_date(text).ok());
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|d| d.as_secs());
    date.and_then(seconds).is_some_and(|date| version.modified.and_then(seconds) == Some(date))
}

/// One range of bytes. Several at once are answered with the whole, as RFC 9110, 14.2 allows.
fn range(value: &[u8], length: u64) -> Outcome {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let Some(spec) = text.strip_prefix("bytes=").map(str::trim) else { return Outcome::Whole };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Outcome::Whole;
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    match (number(first), number(last)) {
        (None, Some(0)) if first.is_empty() => Outcome::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && length == 0 => Outcome::Unsatisfiable,
        (None, Some(tail)) if first.is_empty() => Outcome::Part(length.saturating_sub(tail)..length),
        (Some(first), None) if last.is_empty() && first < length => Outcome::Part(first..length),
        (Some(first), Some(last)) if first <= last && first < length => {
            Outcome::Part(first..last.saturating_add(1).min(length))
        }
        (Some(first), Some(last)) if first > last => Outcome::Whole,
        (Some(_), None) if last.is_empty() => Outcome::Unsatisfiable,
        (Some(_), Some(_)) => Outcome::Unsatisfiable,
        _ => Outcome::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let of = |text: &str| range(text.as_bytes(), 10);
        assert_eq!(of("bytes=0-3"), Outcome::Part(0..4));
        assert_eq!(of("bytes=8-"), Outcome::Part(8..10));
        assert_eq!(of("bytes=-3"), Outcome::Part(7..10));
        assert_eq!(of("bytes=-30"), Outcome::Part(0..10));
        assert_eq!(of("bytes=5-99"), Outcome::Part(5..10));
        for whole in ["bytes=0-1,3-4", "items=0-1", "bytes=", "bytes=3-1", "bytes=a-b", "bytes=-"] {
            assert_eq!(of(whole), Outcome::Whole, "{whole}");
        }
        for none in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(of(none), Outcome::Unsatisfiable, "{none}");
        }
    }

    #[test]
    fn a_tag_goes_before_a_date() {
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_500));
        let version = Version { tag: "\"a\"", modified };
        let at = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        let before = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(999_999));
        let none = Conditions::default();
        let weigh = |conditions: Conditions<'_>| weigh(&conditions, &version, 10);
        assert_eq!(
            weigh(Conditions { if_modified_since: Some(at.as_bytes()), ..none }),
            Outcome::NotModified
        );
        assert_eq!(weigh(Conditions { if_modified_since: Some(before.as_bytes()), ..none }), Outcome::Whole);
        let both =
            Conditions { if_modified_since: Some(at.as_bytes()), if_none_match: Some(b"\"b\""), ..none };
        assert_eq!(weigh(both), Outcome::Whole);
        assert_eq!(
            weigh(Conditions { if_none_match: Some(b"\"b\", W/\"a\""), ..none }),
            Outcome::NotModified
        );
        assert_eq!(weigh(Conditions { if_match: Some(b"W/\"a\""), ..none }), Outcome::PreconditionFailed);
        assert_eq!(weigh(Conditions { if_match: Some(b"*"), ..none }), Outcome::Whole);
        assert_eq!(
            weigh(Conditions { if_unmodified_since: Some(before.as_bytes()), ..none }),
            Outcome::PreconditionFailed
        );
        let part = Conditions { range: Some(b"bytes=0-0"), if_range: Some(b"\"b\""), ..none };
        assert_eq!(weigh(part), Outcome::Whole);
        assert_eq!(weigh(Conditions { if_range: Some(at.as_bytes()), ..part }), Outcome::Part(0..1));
    }
}
