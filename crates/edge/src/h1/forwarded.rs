//! Telling upstreams who the client is.
//!
//! What a client says about itself (`X-Forwarded-*`, `X-Real-IP`, `Forwarded`, `CF-Connecting-IP`) is dropped unless a
//! trusted proxy vouches for it; see [`crate::identity`]. Knows nothing about connections.

use crate::client::Scheme;
use crate::identity::Client;
use crate::tls::Shown;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// What is known of a client before it has said anything, made once per connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    /// The same, as text.
    pub(super) address: Rc<str>,
    pub(crate) port: u16,
    /// Where it came in, where its connection cannot be asked any more.
    pub(crate) local: Option<SocketAddr>,
    scheme: Scheme,
    /// The version of TLS, where the connection has any: `1.3`.
    pub(crate) tls: Option<&'static str>,
    /// What is spoken, where that is not what the request's head says.
    pub(crate) protocol: Option<&'static str>,
    /// The certificate it has shown.
    pub(crate) shown: Option<Shown>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, scheme: Scheme) -> Self {
        // A socket that listens on [::] sees IPv4 clients as ::ffff:1.2.3.4.
        let ip: IpAddr = address.ip().to_canonical();
        let port = address.port();
        let address = ip.to_string().into();
        Self { ip, address, port, local: None, scheme, tls: None, protocol: None, shown: None }
    }

    /// The scheme of a client's requests: what a trusted proxy says, else that of the connection.
    pub(crate) fn scheme_of(&self, client: &Client<'_>) -> Scheme {
        client.scheme.unwrap_or(self.scheme)
    }
}

/// Whether a field that says who the client is is passed on as it came: only Cloudflare's own, from Cloudflare.
pub(crate) fn passes(name: &str, client: &Client<'_>) -> bool {
    client.by_cloudflare && name.as_bytes()[..3].eq_ignore_ascii_case(b"cf-")
}

/// Appends the fields that say who the client is and what it asked for. `host` is as the client sent it.
pub(crate) fn write(out: &mut Vec<u8>, peer: &Peer, client: &Client<'_>, host: &[u8]) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    if client.is_vouched {
        write_chain(out, peer, client);
    } else {
        out.extend_from_slice(peer.address.as_bytes());
        out.extend_from_slice(b"\r\nX-Real-IP: ");
        out.extend_from_slice(peer.address.as_bytes());
    }
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    out.extend_from_slice(peer.scheme_of(client).as_str().as_bytes());
    out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\n");
}

/// The client, then its proxies, the nearest last. Whoever reads the first of them and whoever counts from the last one
/// find the same.
fn write_chain(out: &mut Vec<u8>, peer: &Peer, client: &Client<'_>) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{}", client.ip);
    if !client.via.is_empty() {
        out.extend_from_slice(b", ");
        out.extend_from_slice(client.via);
    }
    if client.ip != peer.ip {
        out.extend_from_slice(b", ");
        out.extend_from_slice(peer.address.as_bytes());
    }
    let _ = write!(out, "\r\nX-Real-IP: {}", client.ip);
}
