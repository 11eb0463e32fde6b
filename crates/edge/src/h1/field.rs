//! The header fields that matter to a proxy, and what their values say.
//!
//! Knows nothing about whole messages.

use std::num::NonZeroUsize;

/// What a field is to us. Everything else is passed on untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    Accept,
    Date,
    /// Belongs to one connection, not to the message (RFC 9110, 7.6.1), and is not passed on.
    HopByHop,
    /// Says who the client is. Only a proxy may say that; see [`super::forwarded`].
    Identity,
    /// A name with an underscore: CGI and WSGI cannot tell `X_Real_IP` from `X-Real-IP`. Dropped from requests, as
    /// nginx does.
    Underscored,
    Other,
}

/// Sorts a field by its name. By length first, as most names are of no interest.
pub(crate) fn classify(name: &str) -> Field {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let known = match name.len() {
        2 if is("te") => Field::HopByHop,
        4 if is("host") => Field::Host,
        4 if is("date") => Field::Date,
        // `Proxy` becomes HTTP_PROXY in CGI's environment, which libraries take for a setting.
        5 if is("proxy") => Field::HopByHop,
        6 if is("accept") => Field::Accept,
        6 if is("expect") => Field::Expect,
        7 if is("upgrade") => Field::Upgrade,
        7 if is("trailer") => Field::HopByHop,
        9 if is("forwarded") || is("x-real-ip") => Field::Identity,
        10 if is("connection") => Field::Connection,
        10 if is("keep-alive") => Field::HopByHop,
        14 if is("content-length") => Field::ContentLength,
        14 if is("true-client-ip") => Field::Identity,
        14 if is("http2-settings") => Field::HopByHop,
        16 if is("proxy-connection") => Field::HopByHop,
        16 if is("cf-connecting-ip") => Field::Identity,
        17 if is("transfer-encoding") => Field::TransferEncoding,
        18 if is("proxy-authenticate") => Field::HopByHop,
        18 if is("cf-connecting-ipv6") => Field::Identity,
        19 if is("proxy-authorization") => Field::HopByHop,
        13.. if name.as_bytes()[..12].eq_ignore_ascii_case(b"x-forwarded-") => Field::Identity,
        _ => Field::Other,
    };
    if known == Field::Other && memchr::memchr(b'_', name.as_bytes()).is_some() {
        return Field::Underscored;
    }
    known
}

/// The elements of a comma-separated list, without empty ones (RFC 9110, 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// A `Content-Length`: digits only, no sign, no list, and small enough that adding to it cannot overflow.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    /// More digits than 2^62 has could not be a length.
    const MOST_DIGITS: usize = 18;
    if value.is_empty() || value.len() > MOST_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Names in `Connection` besides the three we know; clients send none or one.
const MOST_NAMED: usize = 8;

/// What the `Connection` fields of a message say.
#[derive(Debug, Default)]
pub(crate) struct Connection<'h> {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    /// Other names: fields that belong to this connection only.
    named: [&'h [u8]; MOST_NAMED],
    named_count: usize,
}

/// More field names in `Connection` than we look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyNamed;

impl<'h> Connection<'h> {
    /// Takes in one field value.
    pub(crate) fn add(&mut self, value: &'h [u8]) -> Result<(), TooManyNamed> {
        for element in elements(value) {
            if element.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if element.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if element.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                *self.named.get_mut(self.named_count).ok_or(TooManyNamed)? = element;
                self.named_count += 1;
            }
        }
        Ok(())
    }

    /// Whether `Connection` names this field.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.named[..self.named_count].iter().any(|n| n.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// How many fields are named, if any are.
    pub(crate) fn named_count(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.named_count)
    }
}

/// Appends a number in decimal.
pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    /// Digits of the largest u64.
    const MOST: usize = 20;
    let mut digits = [0; MOST];
    let mut first = MOST;
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_plain_digits() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"00042"), Some(42));
        for bad in
            [&b""[..], b"+1", b"-1", b"1,1", b"1 ", b"0x1", b"1e3", b"9999999999999999999", "１".as_bytes()]
        {
            assert_eq!(content_length(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn connection_options_are_told_apart() {
        let mut connection = Connection::default();
        connection.add(b"Keep-Alive, ,X-Secret").unwrap();
        connection.add(b"upgrade").unwrap();
        assert!(connection.keep_alive && connection.upgrade && !connection.close);
        assert!(connection.names("x-secret") && !connection.names("x"));
        assert_eq!(connection.add(b"a,b,c,d,e,f,g,h"), Err(TooManyNamed));
    }

    #[test]
    fn names_that_wsgi_confuses_are_found() {
        assert_eq!(classify("X_Forwarded_For"), Field::Underscored);
        assert_eq!(classify("x-forwarded-ssl"), Field::Identity);
        assert_eq!(classify("X-Forwarded-"), Field::Other);
        assert_eq!(classify("hOST"), Field::Host);
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        let mut out = Vec::new();
        for n in [0, 7, 10, 65_536, u64::MAX] {
            write_number(&mut out, n);
            out.push(b' ');
        }
        assert_eq!(out, b"0 7 10 65536 18446744073709551615 ");
    }
}
