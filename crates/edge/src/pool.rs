//! Idle connections to instances, kept by each worker thread for itself.
//!
//! Nothing is spawned for an idle connection: the reactor marks it readable when the instance closes it (or
//! speaks out of turn), and that mark is looked at before it is used again. Knows nothing about HTTP.

use crate::clock::{self, Millis};
use crate::target::{Phase, TargetState};
use crate::wire::Wire;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Idle connections kept to one instance by one thread. A thread rarely has more requests under way to one
/// instance; those above it pay one connect.
const KEEP_PER_TARGET: usize = 128;

/// How long an idle connection is kept: nginx's default for upstream keep-alive.
const KEEP_FOR: Millis = 60_000;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    by_target: HashMap<u64, Idle>,
}

#[derive(Debug)]
struct Idle {
    target: Weak<TargetState>,
    /// The longest idle first.
    connections: Vec<(Wire, Millis)>,
}

impl Pool {
    /// The most recently used connection that is still open and idle for at most `idle_at_most` milliseconds.
    pub(crate) fn take(&mut self, target: &TargetState, idle_at_most: Millis) -> Option<Wire> {
        let idle = self.by_target.get_mut(&target.id)?;
        while let Some((mut stream, since)) = idle.connections.pop() {
            if stream.is_stale() {
                continue;
            }
            if clock::now().saturating_sub(since) > idle_at_most {
                // All others are idle for longer.
                idle.connections.push((stream, since));
                return None;
            }
            return Some(stream);
        }
        None
    }

    /// Keeps a connection for the next request, unless its instance is leaving.
    pub(crate) fn put(&mut self, target: &Arc<TargetState>, stream: Wire) {
        if target.phase() == Phase::Leaving || target.is_told() {
            return;
        }
        let fresh = || Idle { target: Arc::downgrade(target), connections: Vec::new() };
        let idle = self.by_target.entry(target.id).or_insert_with(fresh);
        if idle.connections.len() < KEEP_PER_TARGET {
            idle.connections.push((stream, clock::now()));
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
            idle.connections
                .retain_mut(|(stream, since)| now.saturating_sub(*since) < KEEP_FOR && !stream.is_stale());
            !idle.connections.is_empty()
        });
    }
}
