//! From the HTTP/1.1 head that the request path writes to a response in HTTP/2's form.
//!
//! Knows nothing about streams.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::mem::MaybeUninit;

/// More fields than an upstream's response may have, and ours.
const MOST_FIELDS: usize = 160;

/// A response head, understood.
pub(crate) struct Head {
    pub(crate) response: Response<()>,
    /// Bytes of the head; what follows it is the body's.
    pub(crate) length: usize,
    /// The protocol changes: what follows is no body and has no end yet.
    pub(crate) is_switch: bool,
}

/// Reads a head that was written here; none when it is not one.
pub(crate) fn read(bytes: &[u8]) -> Option<Head> {
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let parsing = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        bytes,
        &mut storage,
    );
    let Ok(httparse::Status::Complete(length)) = parsing else { return None };
    let status = StatusCode::from_u16(parsed.code?).ok()?;
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if !is_of_the_connection(&name, is_switch) {
            headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
    }
    let mut response = Response::new(());
    // RFC 8441, 5: a changed protocol is any success.
    *response.status_mut() = if is_switch { StatusCode::OK } else { status };
    *response.headers_mut() = headers;
    Some(Head { response, length, is_switch })
}

/// Fields that would make the response malformed (RFC 9113, 8.2.2), or mean nothing in it.
fn is_of_the_connection(name: &HeaderName, is_switch: bool) -> bool {
    match *name {
        header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => true,
        header::SEC_WEBSOCKET_ACCEPT => is_switch,
        _ => matches!(name.as_str(), "keep-alive" | "proxy-connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_connection_stays_behind() {
        let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: close\r\n\
                     Transfer-Encoding: chunked\r\n\r\nabc";
        let Head { response, length, is_switch } = read(text).unwrap();
        assert_eq!((response.status().as_u16(), &text[length..], is_switch), (404, &b"abc"[..], false));
        let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-length", "set-cookie"]);
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    }

    #[test]
    fn a_change_of_protocol_is_a_success() {
        let text = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
        let Head { response, is_switch, .. } = read(text).unwrap();
        assert!(is_switch && response.status() == StatusCode::OK);
        assert_eq!(response.headers().len(), 1);
    }
}
