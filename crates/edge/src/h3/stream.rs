//! One stream of an HTTP/3 connection as a client: its request's body to be read, its answer to be written.
//!
//! Knows nothing about what is asked and answered.

use crate::client::{Client, Watch};
use crate::clock::{Deadline, Millis};
use crate::h2::{ResponseHead, read_response};
use crate::sink::{Piece, Sink};
use crate::source::Source;
use crate::transport::{self, TransportError};
use bytes::{Buf, Bytes};
use h2::Reason;
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use http::{HeaderMap, Response, StatusCode};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes handed over at once, as over HTTP/2.
const LARGEST_PIECE: usize = 64 * 1024;

/// A stream, both its directions.
pub(super) struct Stream {
    body: Body,
    answer: Answer,
}

/// The request's body.
pub(super) struct Body {
    stream: RequestStream<h3_quinn::RecvStream, Bytes>,
    /// Arrived and not yet read.
    piece: Bytes,
    is_at_end: bool,
    trailers: Option<HeaderMap>,
}

/// The answer.
pub(super) struct Answer {
    stream: RequestStream<h3_quinn::SendStream<Bytes>, Bytes>,
    /// What is to come behind its body.
    trailers: Option<HeaderMap>,
    /// It was ended as it should be.
    is_whole: Rc<Cell<bool>>,
    /// Nothing more can be said.
    is_over: bool,
}

impl Stream {
    pub(super) fn new(stream: RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>) -> Self {
        let (answer, body) = stream.split();
        Self {
            body: Body { stream: body, piece: Bytes::new(), is_at_end: false, trailers: None },
            answer: Answer { stream: answer, trailers: None, is_whole: Rc::default(), is_over: false },
        }
    }

    /// Whether a body follows the head, which a stream shows only by what comes next.
    pub(super) async fn has_body(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.body.poll_piece(cx)).await
    }

    /// Tells whether the answer has been given whole, then or later.
    pub(super) fn is_whole(&self) -> Rc<Cell<bool>> {
        self.answer.is_whole.clone()
    }
}

impl Body {
    /// Waits for some of the body; false at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.piece.is_empty() {
            if self.is_at_end {
                return Poll::Ready(Ok(false));
            }
            match ready!(self.stream.poll_recv_data(cx)).map_err(io::Error::other)? {
                Some(mut piece) => self.piece = piece.copy_to_bytes(piece.remaining()),
                None => {
                    self.trailers = ready!(self.stream.poll_recv_trailers(cx)).map_err(io::Error::other)?;
                    self.is_at_end = true;
                }
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl Drop for Body {
    /// Whoever sends what nobody reads is told that no more is needed.
    fn drop(&mut self) {
        if !self.is_at_end {
            self.stream.stop_sending(Code::H3_NO_ERROR);
        }
    }
}

impl AsyncRead for Body {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if ready!(self.poll_piece(cx))? {
            let count = self.piece.len().min(into.remaining());
            into.put_slice(&self.piece[..count]);
            self.piece.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl Source for &mut Body {
    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

impl Watch for &mut Body {
    fn poll_ended(&mut self, _: &mut Context<'_>) -> Poll<bool> {
        // A client that has gone shows when something is written to it, or by its connection, which is watched.
        Poll::Pending
    }
}

impl Answer {
    async fn send(&mut self, mut bytes: &[u8], time: Time<'_>) -> Result<(), TransportError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(LARGEST_PIECE));
            time.limit(self.stream.send_data(Bytes::copy_from_slice(now))).await?;
            bytes = later;
        }
        Ok(())
    }

    async fn end(&mut self, time: Time<'_>) -> Result<(), TransportError> {
        if let Some(trailers) = self.trailers.take() {
            time.limit(self.stream.send_trailers(trailers)).await?;
        }
        time.limit(self.stream.finish()).await?;
        self.is_over = true;
        self.is_whole.set(true);
        Ok(())
    }

    fn break_off(&mut self, code: Code) {
        if !self.is_over {
            self.stream.stop_stream(code);
            self.is_over = true;
        }
    }
}

impl Drop for Answer {
    /// What was not ended must not look whole.
    fn drop(&mut self) {
        self.break_off(Code::H3_INTERNAL_ERROR);
    }
}

/// How long a step may take.
#[derive(Clone, Copy)]
struct Time<'d> {
    deadline: &'d Deadline,
    patience: Millis,
}

impl Time<'_> {
    async fn limit(self, step: impl Future<Output = Result<(), StreamError>>) -> Result<(), TransportError> {
        let mut step = pin!(step);
        let poll = |cx: &mut Context<'_>| step.as_mut().poll(cx).map_err(io::Error::other);
        transport::patiently(self.deadline, self.patience, poll).await
    }
}

impl Sink for &mut Answer {
    const IS_FRAMED: bool = true;

    async fn write_piece(
        &mut self,
        head: &mut Vec<u8>,
        piece: Piece<'_>,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(), TransportError> {
        let Piece { data, coding: _, is_last } = piece;
        let time = Time { deadline, patience };
        if self.is_over {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        if !head.is_empty() {
            let malformed = || io::Error::other("a head that is none");
            let ResponseHead { response, length, .. } = read_response(head).ok_or_else(malformed)?;
            time.limit(self.stream.send_response(response)).await?;
            self.send(&head[length..], time).await?;
            head.clear();
        }
        self.send(data, time).await?;
        if is_last { self.end(time).await } else { Ok(()) }
    }

    fn keep_trailers(&mut self, trailers: HeaderMap) {
        self.trailers = Some(trailers);
    }

    async fn say_continue(&mut self, deadline: &Deadline, patience: Millis) -> Result<(), TransportError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        Time { deadline, patience }.limit(self.stream.send_response(response)).await
    }
}

/// Bytes without a head are those of another protocol, and there is none to change to.
impl AsyncWrite for Answer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task sends what it has.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Client for Stream {
    type Reader<'c> = &'c mut Body;
    type Writer<'c> = &'c mut Answer;

    fn split(&mut self) -> (&mut Body, &mut Answer) {
        (&mut self.body, &mut self.answer)
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        None
    }

    fn say_end(&mut self) {}

    fn say_broken(&mut self, reason: Reason) {
        let code = match reason {
            Reason::CANCEL => Code::H3_REQUEST_CANCELLED,
            Reason::REFUSED_STREAM => Code::H3_REQUEST_REJECTED,
            _ => Code::H3_INTERNAL_ERROR,
        };
        self.answer.break_off(code);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.body).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.answer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.answer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.answer).poll_shutdown(cx)
    }
}
