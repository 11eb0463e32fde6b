//! What the edge says about itself when asked.
//!
//! Knows nothing about who asks.

use crate::shared::Shared;
use mainstay_model::table::EdgeStatus;
use std::cell::RefCell;
use std::sync::atomic::Ordering;

/// Sums up what all threads have counted.
pub(crate) fn report(shared: &Shared) -> EdgeStatus {
    let status = RefCell::new(EdgeStatus {
        version: shared.table().version,
        pid: std::process::id(),
        certificates: shared.tls.report(),
        ..EdgeStatus::default()
    });
    let add = |upstream: &crate::target::UpstreamState| {
        let mut status = status.borrow_mut();
        let held = upstream.held.load(Ordering::Relaxed);
        if held > 0 {
            status.held.insert(upstream.key.clone(), held);
        }
        let totals = upstream.totals();
        if !totals.is_empty() {
            status.requests.insert(upstream.key.clone(), totals);
        }
    };
    shared.registry.visit(
        |target| match target.in_flight() {
            0 => {}
            open => *status.borrow_mut().in_flight.entry(target.instance.clone()).or_default() += open,
        },
        add,
    );
    add(&shared.unrouted);
    status.into_inner()
}
