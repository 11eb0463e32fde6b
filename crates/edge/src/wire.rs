//! A connection to an instance, whatever it is spoken through: a socket, or TLS over one; and both its directions, which a
//! stream of a connection has too.
//!
//! An enum, as one instance is spoken to in one way and the next in another; what is plain pays one comparison for it.
//! Knows nothing about requests.

use crate::call::Call;
use crate::client::{Half, Secure};
use crate::clock::{Deadline, Millis};
use crate::h1::Framing;
use crate::sink::{Piece, Sink};
use crate::source::Source;
use crate::transport::{self, TransportError};
use http::HeaderMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_rustls::client::TlsStream;

/// A connection to an instance.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    /// A request is on its way, or its answer.
    is_engaged: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Secure(Secure<TlsStream<TcpStream>>),
}

/// What is read from while something is written to.
pub(crate) enum Reader<'w> {
    Plain(ReadHalf<'w>),
    Secure(Half<'w, TlsStream<TcpStream>>),
    Call(&'w Call),
}

/// What is written to while something is read from.
pub(crate) enum Writer<'w> {
    Plain(WriteHalf<'w>),
    Secure(Half<'w, TlsStream<TcpStream>>),
    Call(&'w Call),
}

impl Wire {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), is_engaged: false }
    }

    pub(crate) fn secure(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Stream::Secure(Secure::new(stream)), is_engaged: false }
    }

    /// The socket that all bytes go through as they are, if one does.
    pub(crate) fn as_plain(&self) -> Option<&TcpStream> {
        match &self.stream {
            Stream::Plain(stream) => Some(stream),
            Stream::Secure(_) => None,
        }
    }

    /// From now on it is reset when it is dropped, for a request or its answer would be cut off: the instance need not finish
    /// it, and the kernel keeps no port for a connection that nobody wants (as HAProxy does).
    pub(crate) fn engaged(mut self) -> Self {
        self.is_engaged = true;
        self
    }

    /// From now on it is closed in order.
    pub(crate) fn released(mut self) -> Self {
        self.is_engaged = false;
        self
    }

    /// Both directions at once.
    pub(crate) fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match &mut self.stream {
            Stream::Plain(stream) => {
                let (reader, writer) = stream.split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            Stream::Secure(stream) => {
                let (reader, writer) = stream.halves();
                (Reader::Secure(reader), Writer::Secure(writer))
            }
        }
    }

    pub(crate) fn socket(&mut self) -> &TcpStream {
        match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Secure(stream) => stream.get_mut().get_ref().0,
        }
    }

    /// Whether it cannot be used again. An idle connection has nothing to say: when its socket became readable, the instance
    /// closed it or broke the protocol; of TLS there may be a late ticket, which is taken in.
    pub(crate) fn is_stale(&mut self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        match &mut self.stream {
            Stream::Plain(stream) => stream.poll_read_ready(cx).is_ready(),
            Stream::Secure(stream) => {
                let stream = stream.get_mut();
                let has_news = stream.get_ref().0.poll_read_ready(cx).is_ready();
                has_news && Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut [0])).is_ready()
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.is_engaged {
            // What failed here is gone anyway.
            let _ = self.socket().set_zero_linger();
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
            Self::Call(call) => call.poll_read(cx, into),
        }
    }
}

impl Source for Reader<'_> {
    fn framing(&self, said: Framing) -> Framing {
        match self {
            // A stream ends where its body does, whatever was said.
            Self::Call(call) if !said.is_done() => {
                if call.is_at_end() {
                    Framing::Length(0)
                } else {
                    Framing::UntilClose
                }
            }
            _ => said,
        }
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Self::Call(call) => call.take_trailers(),
            Self::Plain(_) | Self::Secure(_) => None,
        }
    }
}

impl Sink for Writer<'_> {
    async fn write_piece(
        &mut self,
        head: &mut Vec<u8>,
        piece: Piece<'_>,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(), TransportError> {
        match self {
            Self::Plain(writer) => writer.write_piece(head, piece, deadline, patience).await,
            Self::Secure(writer) => writer.write_piece(head, piece, deadline, patience).await,
            Self::Call(call) => write_to_call(call, head, piece, deadline, patience).await,
        }
    }

    fn keep_trailers(&mut self, trailers: HeaderMap) {
        if let Self::Call(call) = self {
            call.keep_trailers(trailers);
        }
    }
}

async fn write_to_call(
    call: &Call,
    head: &mut Vec<u8>,
    piece: Piece<'_>,
    deadline: &Deadline,
    patience: Millis,
) -> Result<(), TransportError> {
    let Piece { data, coding: _, is_last } = piece;
    if !head.is_empty() {
        let ends = |length| is_last && data.is_empty() && length == head.len();
        let length = call.send_head(head, ends)?;
        let with_head = &head[length..];
        if !with_head.is_empty() {
            let ends = is_last && data.is_empty();
            let send = |done: usize, cx: &mut Context<'_>| call.poll_send(&with_head[done..], ends, cx);
            transport::write_by(with_head.len(), deadline, patience, send).await?;
        }
        head.clear();
        if data.is_empty() {
            return Ok(());
        }
    }
    let send = |done: usize, cx: &mut Context<'_>| call.poll_send(&data[done..], is_last, cx);
    transport::write_by(data.len(), deadline, patience, send).await
}

impl AsyncWrite for Writer<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(writer) => Pin::new(writer).poll_write(cx, bytes),
            Self::Secure(writer) => Pin::new(writer).poll_write(cx, bytes),
            Self::Call(call) => call.poll_send(bytes, false, cx),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(writer) => Pin::new(writer).poll_flush(cx),
            Self::Secure(writer) => Pin::new(writer).poll_flush(cx),
            // The connection's own task sends what it has.
            Self::Call(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(writer) => Pin::new(writer).poll_shutdown(cx),
            Self::Secure(writer) => Pin::new(writer).poll_shutdown(cx),
            Self::Call(call) => call.poll_send(b"", true, cx).map_ok(drop),
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
            Self::Call(call) => {
                let first = parts.iter().find(|part| !part.is_empty());
                call.poll_send(first.map_or(b"", |part| part), false, cx)
            }
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
