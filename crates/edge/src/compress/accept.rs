//! `Accept-Encoding` (RFC 9110, 12.5.3).
//!
//! Knows nothing about responses.

use mainstay_model::ContentCoding;

/// The coding a client likes best among `offered`; those it likes equally well in the order they are offered.
pub(super) fn best(accept: &[u8], offered: &[ContentCoding]) -> Option<ContentCoding> {
    let mut best: Option<(u16, ContentCoding)> = None;
    for coding in offered {
        let quality = quality_of(accept, super::name(*coding));
        if quality > 0 && best.is_none_or(|(most, _)| quality > most) {
            best = Some((quality, *coding));
        }
    }
    best.map(|(_, coding)| coding)
}

/// How much a client likes a coding, in thousandths; 0 for not at all.
fn quality_of(accept: &[u8], name: &str) -> u16 {
    let mut any = 0;
    for element in accept.split(|b| *b == b',') {
        let mut parts = element.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let is_named = coding.eq_ignore_ascii_case(name.as_bytes());
        if !is_named && coding != b"*" {
            continue;
        }
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")));
        let quality = weight.map_or(1000, thousandths);
        if is_named {
            return quality;
        }
        any = quality;
    }
    any
}

/// A qvalue: `0`, `1`, or with up to three digits behind a point. What is none counts as 0.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, rest) = text.split_at(text.len().min(1));
    let fraction = match rest {
        [] | [b'.'] => 0,
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            let value = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
            value * 10_u16.pow(3 - u32::try_from(digits.len()).unwrap_or(3))
        }
        _ => return 0,
    };
    match (whole, fraction) {
        (b"1", 0) => 1000,
        (b"0", fraction) => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentCoding::{Brotli, Gzip, Zstd};

    #[test]
    fn the_client_decides_and_we_break_ties() {
        let best = |accept: &str| best(accept.as_bytes(), &[Zstd, Brotli, Gzip]);
        assert_eq!(best("gzip, deflate, br, zstd"), Some(Zstd));
        assert_eq!(best("gzip, deflate, br"), Some(Brotli));
        assert_eq!(best("GZIP"), Some(Gzip));
        assert_eq!(best("gzip;q=1.0, br;q=0.5"), Some(Gzip));
        assert_eq!(best("gzip;q=0, br; q=0.001"), Some(Brotli));
        assert_eq!(best("*"), Some(Zstd));
        assert_eq!(best("*;q=0.1, zstd;q=0"), Some(Brotli));
        for none in ["", "identity", "gzip;q=0", "deflate", "gzip;q=0.0000", "gzip;q=2", "gzipx", "*;q=0"] {
            assert_eq!(best(none), None, "{none}");
        }
    }
}
