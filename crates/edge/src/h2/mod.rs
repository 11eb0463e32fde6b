//! HTTP/2 towards clients (RFC 9113): frames by the `h2` crate; every stream is a request on the one path that HTTP/1.1
//! takes, written as an HTTP/1.1 head on its way in and read back from one on its way out.
//!
//! Knows nothing about routes and instances.

mod guard;
mod request;
mod response;
mod seat;
mod stream;

use crate::buffer::Buf;
use crate::client::Client;
use crate::clock::{Deadline, Millis};
use crate::fair::Member;
use crate::h1::{Connection, Facts, Next, Peer, Refused};
use crate::turn::Turn;
use crate::worker::Worker;
use bytes::Bytes;
use guard::Guarded;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
pub(crate) use request::read as read_head;
pub(crate) use response::{Head as ResponseHead, read as read_response};
use seat::{Counted, Job};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use stream::Stream;

/// What a client that knows us for an HTTP/2 server begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams a client may have open at once: nginx's `http2_max_concurrent_streams`, and what RFC 9113, 6.5.2 asks for at
/// least.
pub(crate) const MOST_STREAMS: u32 = 128;
/// Bytes of a request body that may be on their way on one stream; an upload over 100 ms of distance then reaches
/// 20 Mbit/s.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection, which bounds what one connection can make us keep.
pub(crate) const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Largest header list, as an HTTP/1.1 head ([`crate::buffer::HEAD_CAPACITY`]).
pub(crate) const LARGEST_HEAD: u32 = 16 * 1024;
/// Bytes of answers kept for a connection while its client does not take them.
const SEND_BUFFER: usize = 128 * 1024;
/// Streams that are begun for a connection before others have their turn.
const MOST_IN_TURN: usize = 8;
/// Streams a client may cancel beyond those that it let us answer. Browsers cancel what a page no longer needs; opening
/// and cancelling at once is an attack ("rapid reset").
pub(crate) const MOST_CANCELLED: u64 = 100;

/// How long a client has to end a connection after it was told to, and to say its preface.
const GOODBYE_PATIENCE: Millis = 5_000;
const PREFACE_PATIENCE: Millis = 15_000;

/// Serves one client until its connection ends. `input` is what has arrived of it, the preface included.
pub(crate) async fn serve<C: Client>(worker: &Rc<Worker>, mut stream: C, input: Option<Buf>, mut peer: Peer) {
    // Its streams have no socket to ask.
    peer.local = stream.socket().and_then(|socket| socket.local_addr().ok());
    peer.protocol = Some("HTTP/2.0");
    let open = Rc::new(Open::new(worker.rounds.member(peer.ip)));
    open.deadline.arm(PREFACE_PATIENCE);
    let mut handshake = pin!(settings().handshake::<_, Bytes>(Guarded::new(stream, input)));
    let shaken = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.ok()),
        Poll::Pending if open.deadline.passed(cx) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let Some(mut connection) = shaken.await else { return };
    open.idle.set(worker.table().clients.idle);
    open.deadline.arm(open.idle.get());
    let mut ending = pin!(worker.shared.ending());
    let (mut is_leaving, mut turn) = (false, Turn::of(MOST_IN_TURN));
    loop {
        let event = poll_fn(|cx| {
            if let Poll::Ready(event) = open.poll(&mut connection, cx) {
                return Poll::Ready(event);
            }
            if !is_leaving && ending.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Leave);
            }
            if open.deadline.passed(cx) { Poll::Ready(Event::Idle) } else { Poll::Pending }
        });
        match event.await {
            Event::Request(request, respond) => {
                open.begin(worker, &peer, request, respond);
                turn.spend(1).await;
            }
            Event::End => return,
            // Told to leave and did not.
            Event::Idle if is_leaving => return,
            Event::Idle | Event::Leave => {
                is_leaving = true;
                connection.graceful_shutdown();
                open.leave();
            }
            Event::Abuse => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                tracing::debug!("a client cancelled too many requests");
                is_leaving = true;
                open.cancelled.set(0);
                open.deadline.arm(GOODBYE_PATIENCE);
            }
        }
    }
}

fn settings() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MOST_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(LARGEST_HEAD)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// What happens on a connection.
enum Event {
    Request(Box<Request<RecvStream>>, SendResponse<Bytes>),
    /// Nobody is there any more.
    End,
    /// Nothing was asked for a while, or too long after a goodbye.
    Idle,
    /// The edge ends.
    Leave,
    /// Requests are begun to be cancelled.
    Abuse,
}

/// The streams of a connection, as far as the connection must know of them.
struct Open {
    streams: Cell<u32>,
    answered: Cell<u64>,
    cancelled: Cell<u64>,
    is_leaving: Cell<bool>,
    /// How long it may be without streams.
    idle: Cell<Millis>,
    /// For when there are no streams.
    deadline: Deadline,
    /// The connection's task.
    waker: RefCell<Waker>,
    member: Member,
}

impl Open {
    fn new(member: Member) -> Self {
        Self {
            streams: Cell::new(0),
            answered: Cell::new(0),
            cancelled: Cell::new(0),
            is_leaving: Cell::new(false),
            idle: Cell::new(Millis::MAX),
            deadline: Deadline::new(),
            waker: RefCell::new(Waker::noop().clone()),
            member,
        }
    }

    fn poll<C: Client>(
        &self,
        connection: &mut h2::server::Connection<Guarded<C>, Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        if self.cancelled.get() > MOST_CANCELLED + self.answered.get() {
            return Poll::Ready(Event::Abuse);
        }
        // Streams that were cancelled count until their task has ended: the crate's own count does not.
        if self.streams.get() >= MOST_STREAMS {
            self.waker.borrow_mut().clone_from(cx.waker());
            return connection.poll_closed(cx).map(|_| Event::End);
        }
        connection.poll_accept(cx).map(|accepted| match accepted {
            Some(Ok((request, respond))) => Event::Request(Box::new(request), respond),
            Some(Err(_)) | None => Event::End,
        })
    }

    fn leave(&self) {
        self.is_leaving.set(true);
        if self.streams.get() == 0 {
            self.deadline.arm(GOODBYE_PATIENCE);
        } else {
            self.deadline.disarm();
        }
    }

    fn begin(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        peer: &Peer,
        request: Box<Request<RecvStream>>,
        respond: SendResponse<Bytes>,
    ) {
        self.streams.set(self.streams.get() + 1);
        if !self.is_leaving.get() {
            self.deadline.disarm();
        }
        let (worker, peer, counted) = (worker.clone(), peer.clone(), Counted::new(self.clone()));
        Job { worker, peer, request, respond, member: self.member.another(), counted }.begin();
    }

    /// One stream less.
    fn end_one(&self) {
        self.streams.set(self.streams.get() - 1);
        match self.streams.get() {
            0 if self.is_leaving.get() => self.deadline.arm(GOODBYE_PATIENCE),
            0 => self.deadline.arm(self.idle.get()),
            _ => {}
        }
        self.waker.replace(Waker::noop().clone()).wake();
    }
}

/// Answers one request; false when its client cancelled it.
async fn answer(
    worker: &Rc<Worker>,
    peer: Peer,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    mut member: Member,
) -> bool {
    let (parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let stream = Stream::new(body, respond);
    let watched = stream.clone();
    let mut answering = pin!(Some(async move {
        let mut connection = Connection::new(worker, stream, peer);
        let next = match request::read(&parts, has_body, worker.table().clients.head_line) {
            Ok((head, bounds)) => connection.answer_to(head, bounds).await,
            Err(refusal) => {
                let facts = Facts { is_head: parts.method == http::Method::HEAD, ..Facts::default() };
                connection.refuse(Refused::plain(refusal, facts), None).await
            }
        };
        if let Next::Upgraded(upgraded) = next {
            connection.tunnel(*upgraded).await;
        }
    }));
    let mut turn = pin!(poll_fn(|cx| {
        let answered = answering.as_mut().as_pin_mut().map_or(Poll::Ready(()), |task| task.poll(cx));
        if answered.is_ready() || watched.poll_cancelled(cx).is_pending() {
            return answered.map(|()| true);
        }
        // Nothing more is done for a request that nobody waits for. To let go of what was begun costs its client time, too.
        answering.set(None);
        Poll::Ready(false)
    }));
    poll_fn(|cx| member.poll(cx, turn.as_mut())).await
}
