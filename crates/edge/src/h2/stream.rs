//! One stream of an HTTP/2 connection as a client: its request's body to be read, its answer to be written.
//!
//! Knows nothing about what is asked and answered.

use super::response::{self, Head};
use crate::client::{Client, Watch};
use crate::clock::{Deadline, Millis};
use crate::sink::{Piece, Sink};
use crate::source::Source;
use crate::transport::{self, TransportError};
use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes handed over at once: what fills a few frames, so that streams of a connection take turns.
const LARGEST_PIECE: usize = 64 * 1024;

/// A stream; copies are the same one.
#[derive(Clone)]
pub(super) struct Stream(Rc<RefCell<State>>);

struct State {
    body: RecvStream,
    /// Arrived and not yet read.
    piece: Bytes,
    /// What came behind the body.
    request_trailers: Option<HeaderMap>,
    answer: Answer,
    /// What is to come behind the answer's body.
    answer_trailers: Option<HeaderMap>,
}

enum Answer {
    Waiting(SendResponse<Bytes>),
    Begun(SendStream<Bytes>),
    Ended,
}

impl Stream {
    pub(super) fn new(body: RecvStream, respond: SendResponse<Bytes>) -> Self {
        let state = State {
            body,
            piece: Bytes::new(),
            request_trailers: None,
            answer: Answer::Waiting(respond),
            answer_trailers: None,
        };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Ready when the client no longer waits for the answer.
    pub(super) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().poll_cancelled(cx)
    }
}

impl State {
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.answer {
            Answer::Waiting(respond) => respond.poll_reset(cx).map(drop),
            Answer::Begun(answer) => answer.poll_reset(cx).map(drop),
            Answer::Ended => Poll::Pending,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(self.body.poll_data(cx)) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => {
                    let trailers = ready!(self.body.poll_trailers(cx)).map_err(io::Error::other)?;
                    self.request_trailers = trailers.or(self.request_trailers.take());
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let count = self.piece.len().min(into.remaining());
        into.put_slice(&self.piece[..count]);
        self.piece.advance(count);
        let released = self.body.flow_control().release_capacity(count);
        Poll::Ready(released.map_err(io::Error::other))
    }

    /// Sends some of `bytes`, as much as the client has room for.
    fn poll_send(&mut self, bytes: &[u8], is_last: bool, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Answer::Begun(answer) = &mut self.answer else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if bytes.is_empty() {
            if is_last {
                let ended = match self.answer_trailers.take() {
                    Some(trailers) => answer.send_trailers(trailers),
                    None => answer.send_data(Bytes::new(), true),
                };
                ended.map_err(io::Error::other)?;
                self.answer = Answer::Ended;
            }
            return Poll::Ready(Ok(0));
        }
        answer.reserve_capacity(bytes.len().min(LARGEST_PIECE));
        let mut room = answer.capacity();
        while room == 0 {
            match ready!(answer.poll_capacity(cx)) {
                Some(granted) => room = granted.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = room.min(bytes.len());
        let is_last = is_last && count == bytes.len();
        let trailers = self.answer_trailers.take_if(|_| is_last);
        let piece = Bytes::copy_from_slice(&bytes[..count]);
        answer.send_data(piece, is_last && trailers.is_none()).map_err(io::Error::other)?;
        if let Some(trailers) = trailers {
            answer.send_trailers(trailers).map_err(io::Error::other)?;
        }
        if is_last {
            self.answer = Answer::Ended;
        }
        Poll::Ready(Ok(count))
    }

    fn begin(&mut self, response: Response<()>, is_last: bool) -> io::Result<()> {
        let Answer::Waiting(respond) = &mut self.answer else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let begun = respond.send_response(response, is_last).map_err(io::Error::other)?;
        self.answer = if is_last { Answer::Ended } else { Answer::Begun(begun) };
        Ok(())
    }
}

impl Drop for State {
    /// What was not ended must not look whole.
    fn drop(&mut self) {
        match &mut self.answer {
            Answer::Waiting(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Begun(answer) => answer.send_reset(Reason::INTERNAL_ERROR),
            Answer::Ended => {}
        }
    }
}

impl Client for Stream {
    type Reader<'c> = Self;
    type Writer<'c> = Self;

    fn split(&mut self) -> (Self, Self) {
        (self.clone(), self.clone())
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        None
    }

    fn say_end(&mut self) {}

    fn say_broken(&mut self, reason: Reason) {
        let mut state = self.0.borrow_mut();
        match &mut state.answer {
            Answer::Waiting(respond) => respond.send_reset(reason),
            Answer::Begun(answer) => answer.send_reset(reason),
            Answer::Ended => {}
        }
        state.answer = Answer::Ended;
    }
}

impl Watch for Stream {
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.0.borrow_mut().poll_cancelled(cx).map(|()| true)
    }
}

impl Sink for Stream {
    const IS_FRAMED: bool = true;

    async fn write_piece(
        &mut self,
        head: &mut Vec<u8>,
        piece: Piece<'_>,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(), TransportError> {
        let Piece { data, coding: _, is_last } = piece;
        if head.is_empty() {
            return self.send_all(data, is_last, deadline, patience).await;
        }
        let malformed = || io::Error::other("a head that is none");
        let Head { response, length, is_switch } = response::read(head).ok_or_else(malformed)?;
        let with_head = &head[length..];
        let is_last = is_last && !is_switch;
        let is_whole = is_last && with_head.is_empty() && data.is_empty();
        self.0.borrow_mut().begin(response, is_whole)?;
        if !with_head.is_empty() {
            self.send_all(with_head, is_last && data.is_empty(), deadline, patience).await?;
        }
        head.clear();
        match is_whole || (is_last && data.is_empty()) {
            true => Ok(()),
            false => self.send_all(data, is_last, deadline, patience).await,
        }
    }

    fn keep_trailers(&mut self, trailers: HeaderMap) {
        self.0.borrow_mut().answer_trailers = Some(trailers);
    }

    async fn say_continue(&mut self, _: &Deadline, _: Millis) -> Result<(), TransportError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        match &mut self.0.borrow_mut().answer {
            Answer::Waiting(respond) => Ok(respond.send_informational(response).map_err(io::Error::other)?),
            Answer::Begun(_) | Answer::Ended => Ok(()),
        }
    }
}

impl Stream {
    async fn send_all(
        &self,
        bytes: &[u8],
        is_last: bool,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(), TransportError> {
        let send =
            |done: usize, cx: &mut Context<'_>| self.0.borrow_mut().poll_send(&bytes[done..], is_last, cx);
        transport::write_by(bytes.len(), deadline, patience, send).await
    }
}

impl Source for Stream {
    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.0.borrow_mut().request_trailers.take()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_send(bytes, false, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task sends what it has.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        match state.answer {
            Answer::Begun(_) => state.poll_send(b"", true, cx).map_ok(drop),
            Answer::Waiting(_) | Answer::Ended => Poll::Ready(Ok(())),
        }
    }
}
