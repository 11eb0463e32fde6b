//! One worker thread: its runtime, its listeners, its reference to the table, its pool.
//!
//! Nothing here is shared with another worker but [`Shared`]. Knows nothing about HTTP.

use crate::accept;
use crate::access_log::{Batch, Draft};
use crate::call::Connections;
use crate::clock::{self, TICK};
use crate::fair::Rounds;
use crate::h3;
use crate::pool::Pool;
use crate::send_queue;
use crate::shared::Shared;
use crate::table::Table;
use crate::tally::Tally;
use crate::target::TargetState;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Ticks between two looks at the pool: once a second is often enough for connections that may idle for sixty.
const SWEEP_EVERY: u32 = 10;

/// What the control thread tells a worker.
#[derive(Debug)]
pub(crate) enum Order {
    /// Accept on this socket.
    Listen(SocketAddr, TcpListener),
    /// Speak HTTP/3 on this socket.
    Datagrams(SocketAddr, UdpSocket),
    /// Speak it no longer.
    Silence(SocketAddr),
    /// Accept what already waits on these addresses, then close them.
    Unlisten(SocketAddr),
    /// Say when everything begun under an older table shows in the in-flight counts, and let go of connections
    /// to instances that are leaving.
    Settle(oneshot::Sender<()>),
}

/// The state of one worker, reachable from all its connections.
pub(crate) struct Worker {
    /// Its number, from 0.
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: RefCell<Pool>,
    /// Connections that are shared by many requests.
    pub(crate) calls: Rc<Connections>,
    pub(crate) rounds: Rc<Rounds>,
    /// Connections now open.
    pub(crate) connections: Cell<usize>,
    turn: Cell<usize>,
    table: RefCell<Rc<InForce>>,
    epoch: Cell<u64>,
    date: RefCell<String>,
    /// Lines of access logs that were not handed over yet.
    lines: RefCell<Vec<Batch>>,
}

/// A thread's reference to a table. Requests share it by a counter of the thread's own; the one of the `Arc` is
/// shared with the other threads, and counting there for each request would slow all of them down.
pub(crate) struct InForce(Arc<Table>);

impl Deref for InForce {
    type Target = Table;
    fn deref(&self) -> &Table {
        &self.0
    }
}

impl Worker {
    fn new(index: usize, shared: Arc<Shared>) -> Self {
        Self {
            index,
            pool: RefCell::default(),
            calls: Rc::default(),
            rounds: Rc::default(),
            connections: Cell::new(0),
            turn: Cell::new(index),
            table: RefCell::new(Rc::new(InForce(shared.table()))),
            epoch: Cell::new(0),
            lines: RefCell::default(),
            date: RefCell::new(httpdate::fmt_http_date(SystemTime::now())),
            shared,
        }
    }

    /// Has a task run in its client's share of the thread's time.
    pub(crate) fn spawn(&self, client: IpAddr, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(self.rounds.share(client, task));
    }

    /// The table in force. Cheap: one atomic load, and no shared counter is touched unless it changed.
    pub(crate) fn table(&self) -> Rc<InForce> {
        let epoch = self.shared.epoch();
        if epoch != self.epoch.get() {
            // Read after the epoch: at worst the table is newer than the epoch says, and is read once more.
            self.epoch.set(epoch);
            *self.table.borrow_mut() = Rc::new(InForce(self.shared.table()));
        }
        self.table.borrow().clone()
    }

    /// A number that differs from call to call, to decide between equals.
    pub(crate) fn turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    /// Appends the `Date` field's value, at most a second old.
    pub(crate) fn write_date(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.date.borrow().as_bytes());
    }

    /// Writes a line of an access log; see [`Draft::finish`].
    pub(crate) fn log(&self, draft: Draft, tally: &Tally, service: &str, target: Option<&TargetState>) {
        let mut waiting = self.lines.borrow_mut();
        let log = draft.log().clone();
        let at = waiting.iter().position(|batch| Arc::ptr_eq(&batch.log, &log)).unwrap_or_else(|| {
            waiting.push(self.shared.log.begin(log));
            waiting.len() - 1
        });
        let batch = &mut waiting[at];
        draft.finish(tally, service, target, &mut batch.lines);
        if batch.is_full() {
            self.shared.log.send(waiting.swap_remove(at));
        }
    }

    fn hand_over_lines(&self) {
        let waiting = std::mem::take(&mut *self.lines.borrow_mut());
        let full = waiting.into_iter().filter(|batch| !batch.lines.is_empty());
        full.for_each(|batch| self.shared.log.send(batch));
    }

    fn sweep(&self) {
        self.hand_over_lines();
        self.pool.borrow_mut().sweep();
        self.calls.sweep();
        *self.date.borrow_mut() = httpdate::fmt_http_date(SystemTime::now());
    }

    fn is_over(&self) -> bool {
        let Some(ends_at) = self.shared.ends_at() else { return false };
        self.shared.may_exit() && (self.connections.get() == 0 || clock::now() >= ends_at)
    }
}

/// Runs a worker until the edge ends.
pub(crate) fn run(
    index: usize,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker::new(index, shared));
        tokio::task::spawn_local(obey(worker.clone(), orders));
        tokio::task::spawn_local(worker.rounds.clone().keep());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0_u32;
        while !worker.is_over() {
            tick.tick().await;
            clock::wake_late();
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(SWEEP_EVERY) {
                worker.sweep();
            }
        }
        worker.hand_over_lines();
    });
    Ok(())
}

fn listening(socket: TcpListener) -> io::Result<tokio::net::TcpListener> {
    // Here and not where it was bound: that may have been a former release.
    send_queue::bound(&socket)?;
    tokio::net::TcpListener::from_std(socket)
}

async fn obey(worker: Rc<Worker>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut speaking: Vec<(SocketAddr, JoinHandle<()>)> = Vec::new();
    let mut open: Vec<(SocketAddr, JoinHandle<()>, Rc<tokio::net::TcpListener>)> = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Listen(address, socket) => match listening(socket) {
                Ok(socket) => {
                    let socket = Rc::new(socket);
                    let loop_ = accept::run(worker.clone(), socket.clone(), address);
                    open.push((address, tokio::task::spawn_local(loop_), socket));
                }
                Err(error) => tracing::error!(%address, %error, "cannot listen"),
            },
            Order::Datagrams(address, socket) => {
                speaking.push((address, tokio::task::spawn_local(h3::run(worker.clone(), socket, address))));
            }
            Order::Silence(gone) => {
                speaking.extract_if(.., |(address, _)| *address == gone).for_each(|(_, task)| task.abort());
            }
            Order::Unlisten(gone) => {
                // What is under way goes on until it is told to leave.
                speaking.extract_if(.., |(address, _)| *address == gone).for_each(|(_, task)| task.abort());
                let closing: Vec<_> = open.extract_if(.., |(address, ..)| *address == gone).collect();
                for (_, accepting, socket) in closing {
                    accepting.abort();
                    // It holds the socket until it has really ended.
                    let _ = accepting.await;
                    accept::drain(&worker, &socket, gone);
                }
            }
            // Choosing an instance and counting it happen without a pause in between, so when this runs
            // no request of this thread is between the two.
            Order::Settle(done) => {
                worker.pool.borrow_mut().sweep();
                worker.calls.sweep();
                // Nobody to tell: then nobody waits.
                let _ = done.send(());
            }
        }
    }
}
