//! From the HTTP/1.1 head that the request path writes to a request in HTTP/2's form, and back from a response to the head
//! that is read as one.
//!
//! Knows nothing about streams.

use crate::fields::{self, MOST_FIELDS};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Uri};
use std::mem::MaybeUninit;

/// Reads a head that was written here, and says how long it is; none when it is none, or for no host that can be.
pub(super) fn request(bytes: &[u8], is_secure: bool, takes_trailers: bool) -> Option<(Request<()>, usize)> {
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(length)) = parsed.parse_with_uninit_headers(bytes, &mut storage) else {
        return None;
    };
    let host = parsed.headers.iter().find(|field| field.name.eq_ignore_ascii_case("host"));
    let host = host.map_or(&b""[..], |field| field.value);
    let mut headers =
        fields::map(parsed.headers, |name| fields::is_of_the_connection(name) || *name == header::HOST)?;
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let scheme = if is_secure { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(parsed.path?).build().ok()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some((request, length))
}

/// Writes the head of a response.
pub(super) fn response<B>(response: &Response<B>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(response.status().as_str().as_bytes());
    out.extend_from_slice(b" \r\n");
    for (name, value) in response.headers() {
        if !fields::is_of_the_connection(name) {
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(piece);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_same_in_both_forms() {
        let text =
            b"POST /x?y HTTP/1.1\r\nHost: a.test:8080\r\nCookie: a=1\r\nTransfer-Encoding: chunked\r\n\
                     Connection: upgrade\r\nUpgrade: x\r\nX-Real-IP: ::1\r\n\r\nbody";
        let (read, length) = request(text, true, true).unwrap();
        assert_eq!((read.method().as_str(), &text[length..]), ("POST", &b"body"[..]));
        assert_eq!(read.uri().to_string(), "https://a.test:8080/x?y");
        let fields: Vec<_> = read.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(fields, [("cookie", "a=1"), ("x-real-ip", "::1"), ("te", "trailers")]);
        let asterisk = request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", false, false).unwrap().0;
        assert_eq!(asterisk.uri().path(), "*");
        assert!(request(b"GET / HTTP/1.1\r\nHost: \r\n\r\n", false, false).is_none());
    }

    #[test]
    fn a_response_is_written_as_it_is_read() {
        let given = Response::builder().status(404).header("set-cookie", "a").header("set-cookie", "b");
        let text = response(&given.header("keep-alive", "1").body(()).unwrap());
        assert_eq!(text, b"HTTP/1.1 404 \r\nset-cookie: a\r\nset-cookie: b\r\n\r\n");
    }
}
