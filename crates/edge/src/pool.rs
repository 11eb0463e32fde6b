//! Idle connections to instances, kept by each worker thread for itself.
//!
//! Nothing is spawned for an idle connection: the reactor marks it readable when the instance closes it (or
//! speaks out of turn), and that mark is looked at before it is used again. Knows nothing about HTTP.

use crate::clock::{self, Millis};
use crate::target::{Phase, TargetState};
use crate::wire::Wire;
use mainstay_model::Keepalive;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// What a route says about connections that are kept for the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// To one instance, by one thread.
    connections: usize,
    /// How long they may be idle.
    idle: Millis,
    /// Requests that one takes.
    requests: u32,
}

/// Idle connections kept to one instance by one thread. A thread rarely has more requests under way to one
/// instance; those above it pay one connect.
const KEEP_PER_TARGET: usize = 128;

/// How long an idle connection is kept: nginx's default for upstream keep-alive.
const KEEP_FOR: Millis = 60_000;

impl Keeping {
    pub(crate) fn new(rules: &Keepalive) -> Self {
        let Keepalive { connections, idle, requests } = rules;
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            connections: connections.map_or(KEEP_PER_TARGET, count),
            idle: idle.map_or(KEEP_FOR, clock::millis),
            requests: requests.unwrap_or(u32::MAX),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pool {
    by_target: HashMap<u64, Idle>,
}

#[derive(Debug)]
struct Idle {
    target: Weak<TargetState>,
    /// The longest idle first.
    connections: Vec<Kept>,
}

/// An idle connection.
#[derive(Debug)]
struct Kept {
    wire: Wire,
    since: Millis,
    until: Millis,
    /// Requests that it has carried.
    carried: u32,
}

impl Pool {
    /// The most recently used connection that is still open and idle for at most `idle_at_most` milliseconds, and how many
    /// requests it has carried.
    pub(crate) fn take(&mut self, target: &TargetState, idle_at_most: Millis) -> Option<(Wire, u32)> {
        let idle = self.by_target.get_mut(&target.id)?;
        let now = clock::now();
        while let Some(mut kept) = idle.connections.pop() {
            if now >= kept.until || kept.wire.is_stale() {
                continue;
            }
            if now.saturating_sub(kept.since) > idle_at_most {
                // All others are idle for longer.
                idle.connections.push(kept);
                return None;
            }
            return Some((kept.wire, kept.carried));
        }
        None
    }

    /// Keeps a connection for the next request, unless its instance is leaving or `keeping` says otherwise.
    pub(crate) fn put(&mut self, target: &Arc<TargetState>, wire: Wire, carried: u32, keeping: Keeping) {
        let is_spent = carried >= keeping.requests || target.is_told();
        if target.phase() == Phase::Leaving || is_spent {
            return;
        }
        let fresh = || Idle { target: Arc::downgrade(target), connections: Vec::new() };
        let idle = self.by_target.entry(target.id).or_insert_with(fresh);
        if idle.connections.len() < keeping.connections {
            let since = clock::now();
            idle.connections.push(Kept { wire, since, until: since.saturating_add(keeping.idle), carried });
        }
    }

    /// Closes what is closed by the other side, idle for too long, or leads to an instance that is leaving or
    /// gone.
    pub(crate) fn sweep(&mut self) {
        let now = clock::now();
        self.by_target.retain(|_, idle| {
            if !idle.target.upgrade().is_some_and(|target| target.phase() == Phase::Active) {
                return false;
            }
            idle.connections.retain_mut(|kept| now < kept.until && !kept.wire.is_stale());
            !idle.connections.is_empty()
        });
    }
}
