//! From the HTTP/1.1 head that the request path writes to a response in HTTP/2's form.
//!
//! Knows nothing about streams.

use crate::fields::{self, MOST_FIELDS};
use http::{Response, StatusCode, header};
use std::mem::MaybeUninit;

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
    // RFC 8441, 5: the answer to CONNECT has no proof that the protocol was understood.
    let headers = fields::map(parsed.headers, |name| {
        fields::is_of_the_connection(name) || (is_switch && *name == header::SEC_WEBSOCKET_ACCEPT)
    })?;
    let mut response = Response::new(());
    // RFC 8441, 5: a changed protocol is any success.
    *response.status_mut() = if is_switch { StatusCode::OK } else { status };
    *response.headers_mut() = headers;
    Some(Head { response, length, is_switch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

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
