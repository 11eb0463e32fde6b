//! Tasks that answer streams, one after the other.
//!
//! The state of an answer is large: to make and free it for each stream would cost as much as passing the request on. Each
//! thread keeps some for whichever connection has a stream next. Knows nothing about what is asked.

use super::Open;
use super::answer;
use crate::fair::Member;
use crate::h1::Peer;
use crate::worker::Worker;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Free ones that a thread keeps: half a megabyte.
const KEEP: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Rc<Seat>>> = const { RefCell::new(Vec::new()) };
}

/// A stream to be answered.
pub(super) struct Job {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: Peer,
    pub(super) request: Box<Request<RecvStream>>,
    pub(super) respond: SendResponse<Bytes>,
    pub(super) member: Member,
    pub(super) counted: Counted,
}

impl Job {
    /// Has a task of this thread answer it: a free one, or another.
    pub(super) fn begin(self) {
        match FREE.with_borrow_mut(Vec::pop) {
            Some(seat) => seat.give(self),
            None => drop(tokio::task::spawn_local(serve(self))),
        }
    }

    async fn run(self) {
        let Self { worker, peer, request, respond, member, counted } = self;
        let was_answered = answer(&worker, peer, *request, respond, member).await;
        counted.end(was_answered);
    }
}

/// Where a free task waits.
struct Seat {
    next: RefCell<Option<Job>>,
    waker: RefCell<Waker>,
}

impl Seat {
    fn give(&self, job: Job) {
        self.next.replace(Some(job));
        self.waker.borrow().wake_by_ref();
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Job> {
        if let Some(job) = self.next.take() {
            return Poll::Ready(job);
        }
        self.waker.borrow_mut().clone_from(cx.waker());
        Poll::Pending
    }
}

async fn serve(first: Job) {
    let seat = Rc::new(Seat { next: RefCell::new(Some(first)), waker: RefCell::new(Waker::noop().clone()) });
    loop {
        poll_fn(|cx| seat.poll_next(cx)).await.run().await;
        if !keep(&seat) {
            return;
        }
    }
}

/// Puts a free one where the next stream finds it, unless there are enough.
fn keep(seat: &Rc<Seat>) -> bool {
    FREE.with_borrow_mut(|free| {
        let is_wanted = free.len() < KEEP;
        if is_wanted {
            free.push(seat.clone());
        }
        is_wanted
    })
}

/// A stream that is being answered, until dropped.
pub(super) struct Counted(Rc<Open>);

impl Counted {
    pub(super) fn new(open: Rc<Open>) -> Self {
        Self(open)
    }

    /// Counts it as answered, or as cancelled by its client.
    fn end(self, was_answered: bool) {
        let count = if was_answered { &self.0.answered } else { &self.0.cancelled };
        count.set(count.get() + 1);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.end_one();
    }
}
