//! A connection to an instance, whatever it is spoken through: a socket, or TLS over one.
//!
//! An enum, as one instance is spoken to in one way and the next in another; what is plain pays one comparison for it.
//! Knows nothing about HTTP.

use crate::client::{Half, Secure};
use crate::sink::Sink;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_rustls::client::TlsStream;

/// A connection to an instance.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Secure(Box<Secure<TlsStream<TcpStream>>>),
}

/// What is read from while something is written to.
pub(crate) enum Reader<'w> {
    Plain(ReadHalf<'w>),
    Secure(Half<'w, TlsStream<TcpStream>>),
}

/// What is written to while something is read from.
pub(crate) enum Writer<'w> {
    Plain(WriteHalf<'w>),
    Secure(Half<'w, TlsStream<TcpStream>>),
}

impl Wire {
    pub(crate) fn secure(stream: TlsStream<TcpStream>) -> Self {
        Self::Secure(Box::new(Secure::new(stream)))
    }

    /// Both directions at once.
    pub(crate) fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Self::Plain(stream) => {
                let (reader, writer) = stream.split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            Self::Secure(stream) => {
                let (reader, writer) = stream.halves();
                (Reader::Secure(reader), Writer::Secure(writer))
            }
        }
    }

    pub(crate) fn socket(&mut self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => stream.get_mut().get_ref().0,
        }
    }

    /// Whether it cannot be used again. An idle connection has nothing to say: when its socket became readable, the instance
    /// closed it or broke the protocol; of TLS there may be a late ticket, which is taken in.
    pub(crate) fn is_stale(&mut self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx).is_ready(),
            Self::Secure(stream) => {
                let stream = stream.get_mut();
                let has_news = stream.get_ref().0.poll_read_ready(cx).is_ready();
                has_news && Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut [0])).is_ready()
            }
        }
    }
}

impl AsyncRead for Reader<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(reader) => Pin::new(reader).poll_read(cx, into),
            Self::Secure(reader) => Pin::new(reader).poll_read(cx, into),
        }
    }
}

impl Sink for Writer<'_> {}

impl AsyncWrite for Writer<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(writer) => Pin::new(writer).poll_write(cx, bytes),
            Self::Secure(writer) => Pin::new(writer).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(writer) => Pin::new(writer).poll_flush(cx),
            Self::Secure(writer) => Pin::new(writer).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(writer) => Pin::new(writer).poll_shutdown(cx),
            Self::Secure(writer) => Pin::new(writer).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(writer) => Pin::new(writer).poll_write_vectored(cx, parts),
            Self::Secure(writer) => Pin::new(writer).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.split().0).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.split().1).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.split().1).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.split().1).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.split().1).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
