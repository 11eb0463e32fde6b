//! Connections to instances that speak HTTP/2, kept by each worker thread for itself: few, and each for many requests at once.
//!
//! Each has a task that moves its frames; it ends when nobody holds the connection any more and its last stream has ended.
//! Knows nothing about requests.

use crate::clock::{self, Deadline, Millis};
use crate::connect::{self, ConnectError};
use crate::target::{Phase, TargetState};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// Requests on one connection at once: what servers allow at least (RFC 9113, 6.5.2), and h2's own assumption until the
/// server has said how many.
const MOST_CALLS: usize = 100;
/// Connections to one instance from one thread. A server that allows few requests on each gets several; beyond these,
/// requests wait for a stream.
const MOST_CONNECTIONS: usize = 16;
/// Bytes of an answer that may be on their way on one stream: between neighbours, enough for 1 Gbit/s at a millisecond.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The same for a connection: as much as all its streams together, so that one whose client does not read holds up no
/// other.
#[expect(clippy::cast_possible_truncation, reason = "a hundred")]
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_CALLS as u32;
/// Bytes of a request body that are kept for an instance which does not take them.
const SEND_BUFFER: usize = 64 * 1024;
/// Largest header list, as an HTTP/1.1 head ([`crate::buffer::HEAD_CAPACITY`]).
const LARGEST_HEAD: u32 = 16 * 1024;
/// How long one is kept without requests, as the others are.
const KEEP_FOR: Millis = 60_000;

/// All of a thread.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    by_target: RefCell<HashMap<u64, Vec<Rc<Connection>>>>,
    opening: RefCell<HashMap<u64, Rc<Opening>>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    target: Weak<TargetState>,
    calls: Cell<usize>,
    idle_since: Cell<Millis>,
    /// It takes no more requests.
    is_over: Rc<Cell<bool>>,
}

/// A connection that somebody opens and others wait for.
#[derive(Debug, Default)]
struct Opening {
    done: Notify,
    has_failed: Cell<bool>,
}

impl Connections {
    /// A connection that takes one more request, and whether it had been there. One that is missing is made within
    /// `patience` milliseconds, by the first who asks; the others wait for it.
    pub(crate) async fn obtain(
        &self,
        target: &Arc<TargetState>,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(Taken, bool), ConnectError> {
        let mut was_there = true;
        loop {
            if let Some(taken) = self.take(target) {
                return Ok((taken, was_there));
            }
            was_there = false;
            let opening = self.opening.borrow().get(&target.id).cloned();
            match opening {
                Some(opening) => opening.wait(deadline, patience).await?,
                None => self.open(target, deadline, patience).await?,
            }
        }
    }

    /// The least busy connection that takes one more; with as many connections as there may be, the least busy of all.
    fn take(&self, target: &Arc<TargetState>) -> Option<Taken> {
        let mut by_target = self.by_target.borrow_mut();
        let all = by_target.get_mut(&target.id)?;
        all.retain(|connection| connection.takes_more());
        let least = all.iter().min_by_key(|connection| connection.calls.get())?;
        let has_room = least.calls.get() < least.sender.current_max_send_streams().min(MOST_CALLS);
        (has_room || all.len() >= MOST_CONNECTIONS).then(|| Taken::new(least.clone()))
    }

    async fn open(
        &self,
        target: &Arc<TargetState>,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<(), ConnectError> {
        let opening = Rc::new(Opening::default());
        self.opening.borrow_mut().insert(target.id, opening.clone());
        // Also when whoever opens it goes away: then the next one does.
        let _told = Told { all: self, id: target.id, opening: &opening };
        let opened = Connection::open(target, deadline, patience).await;
        opening.has_failed.set(opened.is_err());
        self.by_target.borrow_mut().entry(target.id).or_default().push(Rc::new(opened?));
        Ok(())
    }

    /// Lets go of connections that are idle for too long, or lead to an instance that is leaving or gone.
    pub(crate) fn sweep(&self) {
        let now = clock::now();
        self.by_target.borrow_mut().retain(|_, all| {
            all.retain(|connection| {
                let stays = connection.target.upgrade().is_some_and(|t| t.phase() == Phase::Active);
                let is_idle = connection.calls.get() == 0;
                let is_stale = is_idle && now.saturating_sub(connection.idle_since.get()) >= KEEP_FOR;
                stays && !is_stale && connection.takes_more()
            });
            !all.is_empty()
        });
    }
}

/// Tells those who wait for a connection that there is one or will be none, when dropped.
struct Told<'o> {
    all: &'o Connections,
    id: u64,
    opening: &'o Opening,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.all.opening.borrow_mut().remove(&self.id);
        self.opening.done.notify_waiters();
    }
}

impl Opening {
    async fn wait(&self, deadline: &Deadline, patience: Millis) -> Result<(), ConnectError> {
        deadline.arm(patience);
        let mut done = pin!(self.done.notified());
        poll_fn(|cx| match done.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if deadline.passed(cx) => Poll::Ready(Err(ConnectError::TimedOut)),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let refused =
            || io::Error::new(io::ErrorKind::ConnectionRefused, "another request could not connect");
        if self.has_failed.get() { Err(refused().into()) } else { Ok(()) }
    }
}

impl Connection {
    async fn open(
        target: &Arc<TargetState>,
        deadline: &Deadline,
        patience: Millis,
    ) -> Result<Self, ConnectError> {
        let wire = connect::connect(target, None, deadline, patience).await?;
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            // Frames of streams that clients have cancelled may still be on their way, any number over the days that a
            // connection lives: an instance is no stranger to be guarded against.
            .max_local_error_reset_streams(None)
            .max_header_list_size(LARGEST_HEAD);
        // It only writes the preface; what the server has to say about itself comes later.
        let (sender, connection) = builder.handshake(wire).await.map_err(io::Error::other)?;
        let is_over = Rc::new(Cell::new(false));
        let (ended, instance) = (is_over.clone(), target.instance.clone());
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(instance, %error, "a connection ended");
            }
            ended.set(true);
        });
        Ok(Self {
            sender,
            target: Arc::downgrade(target),
            calls: Cell::new(0),
            idle_since: Cell::new(clock::now()),
            is_over,
        })
    }

    fn takes_more(&self) -> bool {
        let ready = || self.sender.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        // After GOAWAY the sender says so.
        !self.is_over.get() && !matches!(ready(), Poll::Ready(Err(_)))
    }
}

/// A place on a connection, until dropped.
#[derive(Debug)]
pub(crate) struct Taken(Rc<Connection>);

impl Taken {
    fn new(connection: Rc<Connection>) -> Self {
        connection.calls.set(connection.calls.get() + 1);
        Self(connection)
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.0.sender.clone()
    }

    /// No more requests go this way: the instance did not answer one in time, and nothing says that it hears any.
    pub(super) fn retire(&self) {
        self.0.is_over.set(true);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
        self.0.idle_since.set(clock::now());
    }
}
