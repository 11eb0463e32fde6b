//! Telling upstreams who the client is.
//!
//! The one place that decides this. What a client says about itself (`X-Forwarded-*`, `X-Real-IP`, `Forwarded`) has
//! been dropped before; a list of proxies whose word counts belongs here. Knows nothing about connections.

use crate::client::Scheme;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// What is known of a client before it has said anything, made once per connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its address, as text.
    address: Rc<str>,
    scheme: Scheme,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, scheme: Scheme) -> Self {
        // A socket that listens on [::] sees IPv4 clients as ::ffff:1.2.3.4.
        let ip: IpAddr = address.ip().to_canonical();
        Self { address: ip.to_string().into(), scheme }
    }
}

/// Appends the fields that say who the client is and what it asked for. `host` is as the client sent it.
pub(crate) fn write(out: &mut Vec<u8>, peer: &Peer, host: &[u8]) {
    let Peer { address, scheme } = peer;
    out.extend_from_slice(b"X-Forwarded-For: ");
    out.extend_from_slice(address.as_bytes());
    out.extend_from_slice(b"\r\nX-Real-IP: ");
    out.extend_from_slice(address.as_bytes());
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    out.extend_from_slice(scheme.as_str().as_bytes());
    out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\n");
}
