//! A client's connection, whatever carries its bytes: a socket, or TLS over one.
//!
//! The request path is written once over [`Client`] and compiled for each, so that plain connections pay nothing for
//! the others. Knows nothing about HTTP.

use crate::sink::Sink;
use crate::source::Source;
use h2::Reason;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_rustls::server::TlsStream;

/// What the request path needs of a client's connection.
pub(crate) trait Client: AsyncRead + AsyncWrite + Unpin {
    /// What is read from while something is written to.
    type Reader<'c>: Source + Watch
    where
        Self: 'c;
    /// What is written to while something is read from.
    type Writer<'c>: Sink
    where
        Self: 'c;

    /// Both directions at once.
    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>);

    /// What is written to the socket beneath is what the client gets.
    const IS_PLAIN: bool = false;

    /// The socket beneath, where it is this client's alone.
    fn socket(&mut self) -> Option<&TcpStream>;

    /// Tells the peer, if that needs saying, that what it got is all there is: without it, a TLS client must take what
    /// has no known length for cut off. To be followed by dropping the connection.
    fn say_end(&mut self);

    /// Tells the peer why an answer breaks off, where that can be said. To be followed by dropping the connection.
    fn say_broken(&mut self, _: Reason) {}
}

/// How the client reached us, which is the scheme of its requests (RFC 9110, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Noticing that a peer which is only being written to has gone, without taking what it sends.
pub(crate) trait Watch {
    /// Ready with true when the peer has ended, with false when it has sent something that waits to be read.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<bool>;
}

impl Sink for WriteHalf<'_> {}
impl<S: AsyncRead + AsyncWrite + Unpin> Sink for Half<'_, S> {}

impl Client for TcpStream {
    type Reader<'c> = ReadHalf<'c>;
    type Writer<'c> = WriteHalf<'c>;
    const IS_PLAIN: bool = true;

    fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        TcpStream::split(self)
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        Some(self)
    }

    fn say_end(&mut self) {}
}

impl Watch for ReadHalf<'_> {
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut byte = [0; 1];
        self.poll_peek(cx, &mut ReadBuf::new(&mut byte)).map(|seen| matches!(seen, Ok(0) | Err(_)))
    }
}

/// A TLS connection. Both directions change one session, so halves borrow it in turns. It has a place of its own: what is
/// moved about would be a kilobyte and a half, and every future that it goes through would keep room for it.
#[derive(Debug)]
pub(crate) struct Secure<S>(Box<RefCell<S>>);

impl<S: Unpin> Secure<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Box::new(RefCell::new(stream)))
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        self.0.get_mut()
    }

    /// Both directions at once.
    pub(crate) fn halves(&self) -> (Half<'_, S>, Half<'_, S>) {
        (Half(&self.0), Half(&self.0))
    }

    fn inner(&mut self) -> Pin<&mut S> {
        Pin::new(self.0.get_mut())
    }
}

/// Reads; what the session itself has to say of what it read, such as that it does not negotiate again, does not wait for
/// an answer to go with.
fn poll_session<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    into: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let read = Pin::new(&mut *stream).poll_read(cx, into);
    if read.is_pending() {
        // A failure shows when something is read or written next.
        let _ = Pin::new(stream).poll_flush(cx);
    }
    read
}

/// One direction of a [`Secure`].
pub(crate) struct Half<'c, S>(&'c RefCell<S>);

impl Client for Secure<TlsStream<TcpStream>> {
    type Reader<'c> = Half<'c, TlsStream<TcpStream>>;
    type Writer<'c> = Half<'c, TlsStream<TcpStream>>;

    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>) {
        self.halves()
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        Some(self.0.get_mut().get_ref().0)
    }

    fn say_end(&mut self) {
        // Once is enough: a socket that takes not even this has a peer that does not listen.
        let _ = self.inner().poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}

impl<S: AsyncBufRead + Unpin> Watch for Half<'_, S> {
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        // What it has sent stays with the session until it is read.
        let mut stream = self.0.borrow_mut();
        let seen = Pin::new(&mut *stream).poll_fill_buf(cx);
        seen.map(|seen| seen.map_or(true, <[u8]>::is_empty))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Half<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_session(&mut *self.0.borrow_mut(), cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Half<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secure<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_session(self.0.get_mut(), cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Secure<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
