//! From a request in HTTP/2's form to the HTTP/1.1 head that the request path reads.
//!
//! What the two forms say in different places is brought together here, and must agree (RFC 9113, 8.3.1): `Host` is made
//! from `:authority`, the pieces of a cookie are joined, a WebSocket's CONNECT becomes an upgrade (RFC 8441). Knows nothing
//! about what requests mean.

use crate::buffer::{Buf, Use};
use crate::h1::{Bounds, Refusal, Scanner, explain};
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use h2::ext::Protocol;
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, uri};

/// The head, and where it lies. With `has_body`, a body follows, if only an empty one. No line may be longer than `longest`.
pub(crate) fn read(parts: &Parts, has_body: bool, longest: usize) -> Result<(Buf, Bounds), Refusal> {
    let mut out = Writer { buf: Buf::take(Use::Head), fits: true };
    write(parts, has_body, &mut out)?;
    if !out.fits {
        return Err(Refusal { status: 431, why: "the head is too large" });
    }
    let buf = out.buf;
    // The same look at the lines as heads get that arrive as lines: no byte of a value can end one early.
    match Scanner::of_lines(longest).scan(buf.filled()).map_err(explain)? {
        Some(bounds) if bounds.start == 0 && bounds.end == buf.filled().len() => Ok((buf, bounds)),
        _ => Err(Refusal { status: 400, why: "a head with another inside" }),
    }
}

struct Writer {
    buf: Buf,
    fits: bool,
}

impl Writer {
    fn put(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.fits &= self.buf.put(piece);
        }
    }
}

fn write(parts: &Parts, has_body: bool, out: &mut Writer) -> Result<(), Refusal> {
    let Parts { method, uri, headers, extensions, .. } = parts;
    let protocol = extensions.get::<Protocol>();
    let method = match protocol {
        Some(_) => &Method::GET,
        None => method,
    };
    let path = uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
    out.put(&[method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\nHost: "]);
    out.put(&[host(uri, headers)?, b"\r\n"]);
    for (name, value) in headers {
        if !is_written_apart(name)? {
            out.put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    write_cookie(headers, out);
    if let Some(protocol) = protocol {
        write_upgrade(protocol, headers, out)?;
    } else if has_body && !headers.contains_key(header::CONTENT_LENGTH) {
        out.put(&[b"transfer-encoding: chunked\r\n"]);
    }
    out.put(&[b"\r\n"]);
    Ok(())
}

fn host<'p>(uri: &'p http::Uri, headers: &'p HeaderMap) -> Result<&'p [u8], Refusal> {
    let mut named = headers.get_all(header::HOST).iter();
    match (uri.authority(), named.next(), named.next()) {
        (_, _, Some(_)) => Err(Refusal { status: 400, why: "several Host fields" }),
        (Some(authority), Some(host), None)
            if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Err(Refusal { status: 400, why: "Host and :authority disagree" })
        }
        (Some(authority), ..) => Ok(authority.as_str().as_bytes()),
        (None, Some(host), None) => Ok(host.as_bytes()),
        (None, None, None) => Err(Refusal { status: 400, why: "no authority" }),
    }
}

/// Fields that are no lines of their own. Those that belong to HTTP/1.1's connections make a request malformed
/// (RFC 9113, 8.2.2); the frame layer has refused them before, and this does not rest on it.
fn is_written_apart(name: &HeaderName) -> Result<bool, Refusal> {
    match *name {
        header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => {
            Err(Refusal { status: 400, why: "a field of HTTP/1.1's connections" })
        }
        header::HOST | header::COOKIE => Ok(true),
        _ => Ok(false),
    }
}

/// Clients send a cookie's parts as fields of their own, so that they compress better (RFC 9113, 8.2.3).
fn write_cookie(headers: &HeaderMap, out: &mut Writer) {
    for (place, part) in headers.get_all(header::COOKIE).iter().enumerate() {
        out.put(&[if place == 0 { b"cookie: " } else { b"; " }, part.as_bytes()]);
    }
    if headers.contains_key(header::COOKIE) {
        out.put(&[b"\r\n"]);
    }
}

fn write_upgrade(protocol: &Protocol, headers: &HeaderMap, out: &mut Writer) -> Result<(), Refusal> {
    if protocol.as_str() != "websocket" {
        return Err(Refusal { status: 501, why: "an unknown protocol to change to" });
    }
    out.put(&[b"connection: upgrade\r\nupgrade: websocket\r\n"]);
    if !headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        // HTTP/2 needs no proof that the other side speaks the protocol; the service asks for one.
        let mut nonce = [0; 16];
        let failed = |_| Refusal { status: 503, why: "no randomness" };
        rand::fill(&mut nonce).map_err(failed)?;
        out.put(&[b"sec-websocket-key: ", BASE64_STANDARD.encode(nonce).as_bytes(), b"\r\n"]);
    }
    Ok(())
}
