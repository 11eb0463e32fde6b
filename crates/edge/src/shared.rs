//! What all threads of the edge share: the table in force, the registry behind it, and whether the edge is
//! shutting down.
//!
//! Knows nothing about who changes it; see [`crate::control`].

use crate::access::Memory;
use crate::access_log;
use crate::clock::{Millis, NEVER};
use crate::connections::Connections;
use crate::table::{Registry, Table};
use crate::target::UpstreamState;
use crate::tls::Tls;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Key under which answers are counted that no upstream was chosen for (400, 404, 421 …).
pub(crate) const UNROUTED: &str = "-";

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) tls: Tls,
    pub(crate) log: access_log::Writer,
    /// What was found out about who may use routes.
    pub(crate) access: Memory,
    pub(crate) connections: Connections,
    /// Answers without an upstream.
    pub(crate) unrouted: Arc<UpstreamState>,
    /// Requests and connections now held, over all upstreams.
    pub(crate) held: AtomicUsize,
    /// Grows with each swap, so that a thread sees with one load whether its own reference is current.
    epoch: AtomicU64,
    table: Mutex<Arc<Table>>,
    changed: watch::Sender<u64>,
    /// When the process ends; [`NEVER`] while nobody asked for that.
    ends_at: AtomicU64,
    ending: watch::Sender<bool>,
    /// Whoever asked for the end has been told that it comes.
    may_exit: AtomicBool,
}

impl Shared {
    pub(crate) fn new(workers: usize, tls: Tls) -> Self {
        Self {
            registry: Registry::new(workers),
            tls,
            log: access_log::Writer::default(),
            access: Memory::default(),
            connections: Connections::new(workers),
            unrouted: Arc::new(UpstreamState::new(UNROUTED, workers)),
            held: AtomicUsize::new(0),
            epoch: AtomicU64::new(0),
            table: Mutex::default(),
            changed: watch::channel(0).0,
            ends_at: AtomicU64::new(NEVER),
            ending: watch::Sender::new(false),
            may_exit: AtomicBool::new(false),
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a table in force and tells those who wait for one.
    pub(crate) fn swap(&self, table: Arc<Table>) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = table;
        let epoch = self.epoch.fetch_add(1, Ordering::Release) + 1;
        self.changed.send_replace(epoch);
    }

    /// Tells of each new table.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Begins the end: no new connections, and none at all after `at`.
    pub(crate) fn end_at(&self, at: Millis) {
        self.ends_at.fetch_min(at, Ordering::Release);
        self.ending.send_replace(true);
    }

    /// Becomes ready when the end has begun, for whoever must say goodbye.
    pub(crate) fn ending(&self) -> impl Future<Output = ()> + use<> {
        let mut ending = self.ending.subscribe();
        async move {
            // An error would mean that the sender, which is ours, has gone.
            let _ = ending.wait_for(|ending| *ending).await;
        }
    }

    /// Lets the threads exit once they have nothing left to do.
    pub(crate) fn allow_exit(&self) {
        self.may_exit.store(true, Ordering::Release);
    }

    pub(crate) fn may_exit(&self) -> bool {
        self.may_exit.load(Ordering::Acquire)
    }

    /// When the process ends, if somebody asked for that.
    pub(crate) fn ends_at(&self) -> Option<Millis> {
        let at = self.ends_at.load(Ordering::Acquire);
        (at != NEVER).then_some(at)
    }
}
