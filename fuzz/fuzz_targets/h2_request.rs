//! Any request that HTTP/2's frames can carry: what goes on as HTTP/1.1 is one request to hyper, with the method, path, host and
//! fields that the stream had.

#![no_main]

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::{Request, uri};
use libfuzzer_sys::{arbitrary, fuzz_target};
use mainstay_edge::fuzz::{Body, Edge};
use mainstay_fuzz::{NEXT, hyper};

#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'b> {
    method: &'b [u8],
    authority: Option<&'b [u8]>,
    path: &'b [u8],
    fields: Vec<(Name<'b>, &'b [u8])>,
    has_body: bool,
}

/// Names that mean something more often than chance would have them.
#[derive(Debug, arbitrary::Arbitrary)]
enum Name<'b> {
    Host,
    Cookie,
    ContentLength,
    TransferEncoding,
    Connection,
    Te,
    Upgrade,
    Other(&'b [u8]),
}

impl Name<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Host => b"host",
            Self::Cookie => b"cookie",
            Self::ContentLength => b"content-length",
            Self::TransferEncoding => b"transfer-encoding",
            Self::Connection => b"connection",
            Self::Te => b"te",
            Self::Upgrade => b"upgrade",
            Self::Other(name) => name,
        }
    }
}

thread_local! {
    static EDGE: Edge = Edge::default();
}

/// The request as the frame layer would give it to the edge; none when it would not.
fn request(input: &Input<'_>) -> Option<Request<()>> {
    let mut uri = uri::Builder::new().scheme("https").path_and_query(input.path);
    match input.authority {
        Some(authority) => uri = uri.authority(authority),
        None => uri = uri::Builder::new().path_and_query(input.path),
    }
    let mut request = Request::builder().method(input.method).uri(uri.build().ok()?);
    for (name, value) in &input.fields {
        let name = HeaderName::from_lowercase(name.as_bytes()).ok()?;
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    request.body(()).ok()
}

fuzz_target!(|input: Input<'_>| {
    let Some(request) = request(&input) else { return };
    let (parts, ()) = request.into_parts();
    let Some(taken) = EDGE.with(|edge| edge.h2(&parts, input.has_body)) else { return };
    let body: &[u8] = match taken.body {
        Body::Length(length @ 0..=4096) => &vec![b'x'; usize::try_from(length).unwrap()],
        Body::Length(_) => return,
        Body::Chunked => b"3\r\nabc\r\n0\r\n\r\n",
    };
    let theirs = hyper(&[&taken.forwarded, body, NEXT].concat());
    let Some(first) = theirs.first() else { return };
    assert_eq!(first.method, parts.method.as_str());
    let path = parts.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
    assert_eq!(first.target, path);
    if let Some(authority) = parts.uri.authority() {
        assert_eq!(first.fields["host"].as_bytes(), authority.as_str().as_bytes());
    }
    assert_eq!(first.fields.get_all("host").iter().count(), 1);
    assert_eq!(theirs.len(), 2, "not one request: {theirs:?}");
    assert_eq!(theirs[1].target, "/next");
    for (name, value) in &first.fields {
        let ours = ["host", "cookie", "content-length", "transfer-encoding", "x-real-ip", "connection"];
        if ours.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-") {
            continue;
        }
        let is_sent = parts.headers.get_all(name).iter().any(|sent| {
            sent.as_bytes().trim_ascii() == value.as_bytes().trim_ascii()
        });
        assert!(is_sent, "{name} was not sent so");
    }
});
