//! What another reader makes of bytes: hyper's HTTP/1.1 server, without a socket.

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request as hyper read it, whole.
#[derive(Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub fields: HeaderMap,
    /// Its data and trailers; none when its body was malformed or not whole.
    pub body: Option<Vec<u8>>,
}

/// What follows a request on its connection. Whoever is wrong about where that ends does not see this.
pub const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: next.test\r\n\r\n";

/// The requests hyper finds in `bytes`, one after the other.
pub fn hyper(bytes: &[u8]) -> Vec<Seen> {
    let seen = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        let seen = &seen;
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            let (method, target) = (head.method.to_string(), head.uri.to_string());
            seen.borrow_mut().push(Seen { method, target, fields: head.headers, body });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let serving = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(64 * 1024)
        .serve_connection(Wire(bytes), service);
    // Everything is there at once, so one poll goes to the end; that it ends badly is seen in what is missing.
    let _ended = serving.now_or_never();
    seen.into_inner()
}

/// Bytes that are there to be read; what is written is nobody's.
struct Wire<'b>(&'b [u8]);

impl Read for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(into.remaining().min(self.0.len()));
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
