//! Requests to instances that speak HTTP/2 (RFC 9113): frames by the `h2` crate; each is a stream of a connection that it
//! shares with others, written to and read from as if it were a connection of HTTP/1.1 of its own.
//!
//! A request that the instance has certainly not looked at (it said so: GOAWAY, REFUSED_STREAM) is put to it again, whatever
//! it is. Knows nothing about routes.

mod connections;
mod head;

pub(crate) use connections::Connections;

use crate::clock::{Deadline, Millis};
use crate::connect::ConnectError;
use crate::target::TargetState;
use crate::wire::Wire;
use bytes::{Buf, Bytes};
use connections::Taken;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::ReadBuf;

/// Bytes handed over at once: what fills a few frames, so that streams of a connection take turns.
const LARGEST_PIECE: usize = 64 * 1024;
/// Bytes of a body that are kept until an answer begins, should the instance not have looked at them.
const MOST_KEPT: usize = 64 * 1024;
/// How often a request is put to an instance that does not look at it: once for a connection that was about to end, and once
/// more for its successor.
const MOST_TRIES: usize = 3;

/// Sends one request over a connection of its own, and says the status of the answer.
pub(crate) async fn status_of(wire: Wire, request: Request<()>) -> Result<StatusCode, h2::Error> {
    let (sender, connection) = h2::client::handshake(wire).await?;
    // It ends with the request; what it could say, the answer says too.
    tokio::task::spawn_local(async move { drop(connection.await) });
    let (answer, _) = sender.ready().await?.send_request(request, true)?;
    Ok(answer.await?.status())
}

/// A request to an instance and its answer.
#[derive(Debug)]
pub(crate) struct Call(RefCell<State>);

#[derive(Debug)]
struct State {
    way: Way,
    taken: Taken,
    takes_trailers: bool,
    sending: Sending,
    receiving: Receiving,
    /// What was sent, until an answer begins; none when it is too much to keep.
    kept: Option<Kept>,
    tries: usize,
    /// Of the request, once its body has ended.
    trailers: Option<HeaderMap>,
    /// What waits to go on sending.
    sender: Waker,
    /// What waits for there to be something to receive.
    receiver: Waker,
}

/// How another connection is had.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) connections: Rc<Connections>,
    pub(crate) target: Arc<TargetState>,
    /// For connecting.
    pub(crate) patience: Millis,
}

#[derive(Debug)]
enum Sending {
    /// Nothing was said yet.
    NotYet,
    Open(SendStream<Bytes>),
    /// The stream is gone, or the body has ended.
    Over,
}

enum Receiving {
    NotYet,
    Head(ResponseFuture),
    /// The head, as text, and what follows it.
    Body {
        head: Bytes,
        piece: Bytes,
        body: RecvStream,
    },
    End(Option<HeaderMap>),
    /// The request is to be put to the instance again.
    Again(Pin<Box<dyn Future<Output = Result<Taken, ConnectError>>>>),
    Failed,
}

#[derive(Debug)]
struct Kept {
    request: Request<()>,
    pieces: Vec<Bytes>,
    length: usize,
    ended: bool,
}

impl Call {
    /// Takes a place on a connection, which is made where there is none; says whether it had been there.
    pub(crate) async fn begin(way: Way, deadline: &Deadline) -> Result<(Self, bool), ConnectError> {
        let (taken, was_there) = way.connections.obtain(&way.target, deadline, way.patience).await?;
        let state = State {
            way,
            taken,
            takes_trailers: false,
            sending: Sending::NotYet,
            receiving: Receiving::NotYet,
            kept: None,
            tries: 1,
            trailers: None,
            sender: Waker::noop().clone(),
            receiver: Waker::noop().clone(),
        };
        Ok((Self(RefCell::new(state)), was_there))
    }

    /// Whether its client understands trailers.
    pub(crate) fn set_takes_trailers(&self, takes: bool) {
        self.0.borrow_mut().takes_trailers = takes;
    }

    /// No more requests go over its connection.
    pub(crate) fn retire(&self) {
        self.0.borrow().taken.retire();
    }

    /// Whether the answer is at its end: when its head is there, whether it is all there is.
    pub(crate) fn is_at_end(&self) -> bool {
        match &self.0.borrow().receiving {
            Receiving::Body { piece, body, .. } => piece.is_empty() && body.is_end_stream(),
            Receiving::End(trailers) => trailers.is_none(),
            _ => false,
        }
    }

    /// Sends the head at the beginning of `bytes`, written for HTTP/1.1. What follows it is the body's and is not sent yet.
    /// Says how long the head is.
    pub(crate) fn send_head(&self, bytes: &[u8], ends: impl FnOnce(usize) -> bool) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        let is_secure = state.way.target.manner.as_ref().is_some_and(|manner| manner.is_secure());
        let unfit = || io::Error::new(io::ErrorKind::InvalidInput, "a request HTTP/2 has no form for");
        let (request, length) = head::request(bytes, is_secure, state.takes_trailers).ok_or_else(unfit)?;
        let ended = ends(length);
        state.kept = Some(Kept { request, pieces: Vec::new(), length: 0, ended });
        state.dispatch()?;
        Ok(length)
    }

    /// Sends some of `bytes`, as much as the instance has room for.
    pub(crate) fn poll_send(
        &self,
        bytes: &[u8],
        is_last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_send(bytes, is_last, cx)
    }

    /// Trailers for the end of the request's body.
    pub(crate) fn keep_trailers(&self, trailers: HeaderMap) {
        self.0.borrow_mut().trailers = Some(trailers);
    }

    /// Those of the answer, once its body has ended.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        match &mut self.0.borrow_mut().receiving {
            Receiving::End(trailers) => trailers.take(),
            _ => None,
        }
    }

    /// Reads the answer: a head as HTTP/1.1 has it, then its body, to the end of input.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, into)
    }
}

impl State {
    /// Puts the request, as far as it is known, to the connection that was taken.
    fn dispatch(&mut self) -> io::Result<()> {
        let Some(kept) = &self.kept else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let is_bare = kept.ended && kept.pieces.is_empty() && self.trailers.is_none();
        match self.taken.sender().send_request(kept.request.clone(), is_bare) {
            Ok((answer, mut body)) => {
                for (place, piece) in kept.pieces.iter().enumerate() {
                    let is_last = kept.ended && place + 1 == kept.pieces.len() && self.trailers.is_none();
                    body.send_data(piece.clone(), is_last).map_err(io::Error::other)?;
                }
                if let (true, Some(trailers)) = (kept.ended, &self.trailers) {
                    body.send_trailers(trailers.clone()).map_err(io::Error::other)?;
                }
                self.sending = if kept.ended { Sending::Over } else { Sending::Open(body) };
                self.receiving = Receiving::Head(answer);
            }
            // It went away between being taken and now, and has seen nothing of this.
            Err(error) => self.again(error)?,
        }
        self.receiver.wake_by_ref();
        self.sender.wake_by_ref();
        Ok(())
    }

    /// Begins again on another connection, if that may be.
    fn again(&mut self, error: h2::Error) -> io::Result<()> {
        self.sending = Sending::NotYet;
        self.receiving = Receiving::Failed;
        if self.tries == MOST_TRIES || self.kept.is_none() {
            return Err(io::Error::other(error));
        }
        self.tries += 1;
        // One that only refused a stream may take the next; opening another for each would be a storm.
        if !error.is_reset() {
            self.taken.retire();
        }
        let Way { connections, target, patience } = self.way.clone();
        self.receiving = Receiving::Again(Box::pin(async move {
            Ok(connections.obtain(&target, &Deadline::new(), patience).await?.0)
        }));
        Ok(())
    }

    fn poll_send(&mut self, bytes: &[u8], is_last: bool, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let is_answered = !matches!(self.receiving, Receiving::Head(_) | Receiving::Again(_));
        let body = match &mut self.sending {
            Sending::Open(body) => body,
            // It is being put to another connection.
            Sending::NotYet if !is_answered => return wait(&mut self.sender, cx),
            Sending::NotYet | Sending::Over => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        body.reserve_capacity(bytes.len().min(LARGEST_PIECE));
        let mut room = body.capacity();
        while room == 0 && !bytes.is_empty() {
            match ready!(body.poll_capacity(cx)) {
                Some(Ok(granted)) => room = granted,
                // What became of the stream shows where the answer is read.
                _ if !is_answered => return wait(&mut self.sender, cx),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = room.min(bytes.len());
        let ends = is_last && count == bytes.len();
        let piece = Bytes::copy_from_slice(&bytes[..count]);
        let with_trailers = ends && self.trailers.is_some();
        let mut sent = match piece.is_empty() && (with_trailers || !ends) {
            true => Ok(()),
            false => body.send_data(piece.clone(), ends && !with_trailers),
        };
        if let (true, Ok(()), Some(trailers)) = (ends, &sent, &self.trailers) {
            sent = body.send_trailers(trailers.clone());
        }
        match sent {
            Err(_) if !is_answered => return wait(&mut self.sender, cx),
            Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            Ok(()) => {}
        }
        if ends {
            self.sending = Sending::Over;
        }
        self.keep(piece, ends);
        Poll::Ready(Ok(count))
    }

    fn keep(&mut self, piece: Bytes, ends: bool) {
        let Some(kept) = &mut self.kept else { return };
        kept.length += piece.len();
        kept.ended |= ends;
        if kept.length > MOST_KEPT {
            self.kept = None;
        } else if !piece.is_empty() || ends {
            kept.pieces.push(piece);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.receiving {
                Receiving::NotYet => return wait(&mut self.receiver, cx),
                Receiving::Again(taking) => {
                    self.taken = ready!(taking.as_mut().poll(cx)).map_err(io::Error::other)?;
                    self.dispatch()?;
                }
                Receiving::Head(answer) => match ready!(Pin::new(answer).poll(cx)) {
                    Ok(answer) => {
                        let (head, body) = (head::response(&answer).into(), answer.into_body());
                        self.receiving = Receiving::Body { head, piece: Bytes::new(), body };
                        self.kept = None;
                        self.sender.wake_by_ref();
                    }
                    Err(error) if is_unseen(&error) => self.again(error)?,
                    Err(error) => {
                        self.receiving = Receiving::Failed;
                        self.sender.wake_by_ref();
                        return Poll::Ready(Err(io::Error::other(error)));
                    }
                },
                Receiving::Body { head, piece, body } => {
                    let from = if head.is_empty() { piece } else { head };
                    if !from.is_empty() {
                        let count = from.len().min(into.remaining());
                        into.put_slice(&from[..count]);
                        from.advance(count);
                        return Poll::Ready(Ok(()));
                    }
                    match ready!(body.poll_data(cx)) {
                        Some(next) => {
                            *from = next.map_err(io::Error::other)?;
                            // Its room is given back as it is taken over: one piece at a time waits here.
                            body.flow_control().release_capacity(from.len()).map_err(io::Error::other)?;
                        }
                        None => {
                            let trailers = ready!(body.poll_trailers(cx)).map_err(io::Error::other)?;
                            self.receiving = Receiving::End(trailers);
                        }
                    }
                }
                Receiving::End(_) => return Poll::Ready(Ok(())),
                Receiving::Failed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }
}

/// Whether the instance has said that it did nothing about a request (RFC 9113, 8.7).
fn is_unseen(error: &h2::Error) -> bool {
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (is_refused || error.is_go_away())
}

fn wait<T>(waker: &mut Waker, cx: &Context<'_>) -> Poll<T> {
    waker.clone_from(cx.waker());
    Poll::Pending
}

impl std::fmt::Debug for Receiving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotYet => "NotYet",
            Self::Head(_) => "Head",
            Self::Body { .. } => "Body",
            Self::End(_) => "End",
            Self::Again(_) => "Again",
            Self::Failed => "Failed",
        })
    }
}
