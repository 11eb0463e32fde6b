//! What the fields of a request say that matters to a proxy, and whether they agree (RFC 9112).
//!
//! Knows nothing about routes and about what is sent on.

use super::body::Framing;
use super::chunked::Decoder;
use super::field::{self, Connection, Field};
use super::head::MOST_FIELDS;
use super::request::{Facts, Refusal};
use super::uri::{Host, Target};
use crate::error_page::Format;
use crate::identity::Claims;
use httparse::Header;

/// Values collected from the fields.
#[derive(Default)]
pub(super) struct Values<'b> {
    host: Option<&'b [u8]>,
    length: Option<u64>,
    coding: Option<&'b [u8]>,
    pub(super) upgrade: Option<&'b [u8]>,
    pub(super) connection: Connection<'b>,
    /// What it says of its client, whoever sent it.
    pub(super) claims: Claims<'b>,
}

impl<'b> Values<'b> {
    pub(super) fn collect(
        fields: &'b [Header<'b>],
        kinds: &mut [Field; MOST_FIELDS],
        facts: &mut Facts,
    ) -> Result<Self, Refusal> {
        let mut values = Self::default();
        for (header, kind) in fields.iter().zip(kinds) {
            *kind = field::classify(header.name);
            let value = header.value;
            match kind {
                Field::Host if values.host.is_some() => return Err(Refusal::new(400, "several Host fields")),
                Field::Host => values.host = Some(value),
                Field::ContentLength if values.length.is_some() => {
                    return Err(Refusal::new(400, "several Content-Length fields"));
                }
                Field::ContentLength => {
                    let length = field::content_length(value);
                    values.length = Some(length.ok_or(Refusal::new(400, "Content-Length is not a number"))?);
                }
                Field::TransferEncoding if values.coding.is_some() => {
                    return Err(Refusal::new(400, "several Transfer-Encoding fields"));
                }
                Field::TransferEncoding => values.coding = Some(value),
                Field::Connection => {
                    values
                        .connection
                        .add(value)
                        .map_err(|_| Refusal::new(400, "Connection names too many fields"))?;
                }
                Field::Upgrade if values.upgrade.is_some() => {
                    return Err(Refusal::new(400, "several Upgrade fields"));
                }
                Field::Upgrade => values.upgrade = passable_upgrade(value),
                Field::Expect if value.eq_ignore_ascii_case(b"100-continue") => facts.expects_continue = true,
                Field::Expect => return Err(Refusal::new(417, "an unknown expectation")),
                Field::Accept => facts.format = Format::of(value),
                Field::Identity => values.claims.add(header.name, value),
                Field::HopByHop if header.name.eq_ignore_ascii_case("te") => {
                    facts.takes_trailers |=
                        field::elements(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
                }
                Field::Date | Field::HopByHop | Field::Underscored | Field::Other => {}
            }
        }
        Ok(values)
    }

    pub(super) fn host(&self, target: &Target<'b>, is_http10: bool) -> Result<(Host, &'b [u8]), Refusal> {
        let bad = |_| Refusal::new(400, "bad Host");
        match (self.host, target.authority) {
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                Err(Refusal::new(400, "Host and request target disagree"))
            }
            (Some(host), _) => Ok((Host::parse(host).map_err(bad)?, host)),
            // RFC 9112, 3.2: HTTP/1.0 clients may leave it out.
            (None, Some(authority)) if is_http10 => Ok((Host::parse(authority).map_err(bad)?, authority)),
            (None, None) if is_http10 => Ok((Host::none(), b"")),
            (None, _) => Err(Refusal::new(400, "no Host")),
        }
    }

    pub(super) fn framing(&self, is_http10: bool) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
            (Some(_), Some(_)) => Err(Refusal::new(400, "both Content-Length and Transfer-Encoding")),
            (Some(_), None) if is_http10 => Err(Refusal::new(400, "Transfer-Encoding in HTTP/1.0")),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked(Decoder::new()))
            }
            (Some(coding), None) => {
                let last = field::elements(coding).last().unwrap_or_default();
                let chunks = field::elements(coding).filter(|c| c.eq_ignore_ascii_case(b"chunked")).count();
                match last.eq_ignore_ascii_case(b"chunked")
                    && chunks == 1
                    && field::elements(coding).count() > 1
                {
                    true => Err(Refusal::new(501, "an unknown transfer coding")),
                    false => Err(Refusal::new(400, "a body without an end")),
                }
            }
        }
    }
}

/// An upgrade we can pass on without knowing it. HTTP/2 and TLS are not: through them, requests would reach the
/// upstream that nothing here has looked at.
fn passable_upgrade(value: &[u8]) -> Option<&[u8]> {
    let starts =
        |prefix: &[u8]| value.len() >= prefix.len() && value[..prefix.len()].eq_ignore_ascii_case(prefix);
    let is_one_word = value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._/+".contains(b));
    (!value.is_empty() && is_one_word && !starts(b"h2") && !starts(b"tls") && !starts(b"http"))
        .then_some(value)
}
