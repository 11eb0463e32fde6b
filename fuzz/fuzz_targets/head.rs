//! Any bytes as a connection of HTTP/1.1: what the edge passes on is one request to hyper, the one that hyper reads in the
//! client's own bytes where it takes them, and what follows it is found where it begins.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_edge::fuzz::{Body, Edge, chunked};
use mainstay_fuzz::{NEXT, Seen, hyper};

thread_local! {
    static EDGE: Edge = Edge::default();
}

fuzz_target!(|bytes: &[u8]| {
    let Some(taken) = EDGE.with(|edge| edge.head(bytes)) else { return };
    // The body as it goes on, where the whole of it has arrived.
    let rest = &bytes[taken.read..];
    let (data, length, written) = match taken.body {
        Body::Length(length) => {
            let Some(data) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else { return };
            (data.to_vec(), data.len(), data.to_vec())
        }
        Body::Chunked => {
            let Some((data, length)) = chunked(rest, &[]) else { return };
            let mut written = format!("{:x}\r\n", data.len()).into_bytes();
            written.extend_from_slice(&data);
            written.extend_from_slice(if data.is_empty() { b"\r\n" } else { b"\r\n0\r\n\r\n" });
            (data, length, written)
        }
    };
    let theirs = hyper(&[&taken.forwarded, &written[..], NEXT].concat());
    // Hyper refuses some targets that browsers send and we pass on; it must never find anything else in them.
    let Some(first) = theirs.first() else { return };
    assert_eq!(first.body.as_deref(), Some(&data[..]), "another body: {theirs:?}");
    // Behind an upgrade the connection is no longer HTTP, and behind HTTP/1.0 it ends.
    if !first.fields.contains_key("upgrade") && !taken.forwarded.windows(9).any(|w| w == b" HTTP/1.0") {
        assert_eq!(theirs.len(), 2, "not one request: {theirs:?}");
        assert_eq!(theirs[1].target, "/next");
    }
    let client = hyper(&bytes[..taken.read + length]);
    // Of trailers, which go no further, hyper takes fewer; what it does not take it does not read otherwise.
    if let Some(client) = client.first().filter(|client| client.body.is_some()) {
        compare(client, first);
    }
});

/// Hyper's reading of the client's bytes and of ours agree in what decides where a request goes and what it is.
fn compare(client: &Seen, service: &Seen) {
    assert_eq!(client.method, service.method);
    assert_eq!(client.body, service.body);
    // The service gets the path alone, whatever form the client used.
    let path = |target: &str| match target.split_once("://") {
        Some((scheme, behind)) if !scheme.contains('/') => {
            behind.find('/').map_or("/", |at| &behind[at..]).to_owned()
        }
        _ => target.to_owned(),
    };
    assert_eq!(path(&client.target), path(&service.target));
    for name in ["cookie", "authorization", "content-type", "range", "accept-encoding"] {
        let values = |seen: &Seen| seen.fields.get_all(name).iter().cloned().collect::<Vec<_>>();
        let named = client.fields.get_all("connection").iter().any(|value| {
            value.as_bytes().to_ascii_lowercase().windows(name.len()).any(|part| part == name.as_bytes())
        });
        if !named {
            assert_eq!(values(client), values(service), "{name}");
        }
    }
}
