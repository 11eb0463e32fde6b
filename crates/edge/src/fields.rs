//! The fields of a head that was written as HTTP/1.1, for a message that goes on in HTTP/2's form.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use httparse::Header;

/// More fields than a head that others sent may have, and ours.
pub(crate) const MOST_FIELDS: usize = 160;

/// The fields as a map, without those that are `left` out; none when one is no field.
pub(crate) fn map(fields: &[Header<'_>], left: impl Fn(&HeaderName) -> bool) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if !left(&name) {
            headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
    }
    Some(headers)
}

/// Fields that would make a message malformed (RFC 9113, 8.2.2). `TE` may say one thing, which is written anew where it is
/// meant, and says nothing in responses.
pub(crate) fn is_of_the_connection(name: &HeaderName) -> bool {
    match *name {
        header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE | header::TE => true,
        _ => matches!(name.as_str(), "keep-alive" | "proxy-connection"),
    }
}
