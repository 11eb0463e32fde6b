//! Telling upstreams who the client is.
//!
//! The one place that decides this. What a client says about itself (`X-Forwarded-*`, `X-Real-IP`, `Forwarded`) has
//! been dropped before; a list of proxies whose word counts belongs here. Knows nothing about connections.

use std::net::{IpAddr, SocketAddr};

/// A client's address as text, made once per connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Box<str>);

impl Peer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        // A socket that listens on [::] sees IPv4 clients as ::ffff:1.2.3.4.
        let ip: IpAddr = address.ip().to_canonical();
        Self(ip.to_string().into())
    }
}

/// Appends the fields that say who the client is and what it asked for. `host` is as the client sent it.
pub(crate) fn write(out: &mut Vec<u8>, peer: &Peer, host: &[u8]) {
    let peer = peer.0.as_bytes();
    out.extend_from_slice(b"X-Forwarded-For: ");
    out.extend_from_slice(peer);
    out.extend_from_slice(b"\r\nX-Real-IP: ");
    out.extend_from_slice(peer);
    // Until TLS ends here there is no other scheme.
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ");
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\n");
}
