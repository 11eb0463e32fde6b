//! Doors to what the fuzz targets in `fuzz/` feed: compiled with `--cfg fuzzing` only, and used by nothing else.
//!
//! Each takes what a stranger can send and gives back what the edge makes of it.

use crate::client::Scheme;
use crate::h1::chunked::Decoder;
use crate::h1::{self, Peer, Scanner};
use crate::h2;
use crate::identity::{Claims, Trust};
use crate::proxy;
use crate::table::Table;
use http::request::Parts;
use mainstay_model::TrustedProxy;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// How a request's body is framed for the service.
#[derive(Debug)]
pub enum Body {
    Length(u64),
    Chunked,
}

/// A request that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The head its service gets.
    pub forwarded: Vec<u8>,
    pub body: Body,
    /// Bytes of its own head, with empty lines before it.
    pub read: usize,
}

/// A table that takes every host and path, and trusts 10.0.0.0/8.
pub struct Edge(Table);

impl Default for Edge {
    fn default() -> Self {
        Self(Table::for_anything())
    }
}

impl Edge {
    /// A request head at the beginning of `bytes`, and what becomes of it.
    pub fn head(&self, bytes: &[u8]) -> Option<Taken> {
        let bounds = Scanner::of_lines(self.0.clients.head_line).scan(bytes).ok()??;
        self.take(&bytes[bounds.start..bounds.end], bounds.end)
    }

    /// The same for a request of HTTP/2.
    pub fn h2(&self, parts: &Parts, has_body: bool) -> Option<Taken> {
        let (head, bounds) = h2::read_head(parts, has_body, self.0.clients.head_line).ok()?;
        self.take(&head.filled()[bounds.start..bounds.end], bounds.end)
    }

    fn take(&self, head: &[u8], read: usize) -> Option<Taken> {
        let peer = Peer::new(([192, 0, 2, 1], 9).into(), Scheme::Http);
        let prepared = h1::prepare(head, &self.0, &peer, &mut h1::FirstAdmission::default()).ok()?;
        let body = match prepared.framing {
            h1::Framing::Length(length) => Body::Length(length),
            h1::Framing::Chunked(_) => Body::Chunked,
            h1::Framing::UntilClose => panic!("a request without an end"),
        };
        Some(Taken { forwarded: prepared.out.to_vec(), body, read })
    }
}

/// The data of a chunked body that arrives cut at `cuts`, and how many bytes it was long. None when it is malformed or
/// not whole.
pub fn chunked(bytes: &[u8], cuts: &[usize]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = Decoder::new();
    let mut data = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let until = cut.clamp(from, bytes.len());
        let mut piece = bytes[from..until].to_vec();
        let decoded = decoder.decode(&mut piece).ok()?;
        data.extend_from_slice(&piece[..decoded.data]);
        if decoded.done {
            return Some((data, from + decoded.read));
        }
        assert_eq!(decoded.read, piece.len(), "bytes were left over in the middle of a body");
        from = until;
    }
    None
}

/// What a PROXY header says, and how many bytes it was long. The outer none: it is malformed or not whole.
#[expect(clippy::option_option, reason = "the two say different things")]
pub fn proxy_header(bytes: &[u8]) -> Option<(Option<SocketAddr>, usize)> {
    let mut rest = bytes;
    let mut cx = Context::from_waker(Waker::noop());
    let done = match pin!(proxy::read_header(&mut rest)).poll(&mut cx) {
        Poll::Ready(done) => done.ok()?,
        Poll::Pending => panic!("nothing to wait for"),
    };
    Some((done, bytes.len() - rest.len()))
}

/// The client that a request from `peer` names by `X-Forwarded-For`, where 10.0.0.0/8 is trusted, and what is passed on of the
/// chain.
pub fn walk(peer: IpAddr, chain: &[u8]) -> (IpAddr, Vec<u8>) {
    let trust = Trust::new(&[TrustedProxy::Net("10.0.0.0/8".parse().expect("a network"))], &[]);
    let client = trust.client(peer, &Claims { x_forwarded_for: Some(chain), ..Claims::default() });
    (client.ip, client.via.to_vec())
}
