//! Following what happens on the runtimes, so that a stack's task looks when there is something to see.

use super::Order;
use crate::Agent;
use mainstay_host::docker::{ContainerAction, News as DockerNews};
use mainstay_model::{RuntimeKind, StackName};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Follows the Engine's events for a stack, once there is an Engine, for as long as its task runs.
pub(super) fn docker(agent: Arc<Agent>, stack: StackName, orders: mpsc::WeakUnboundedSender<Order>) {
    tokio::spawn(async move {
        let engine = loop {
            if let Some(docker) = agent.runtimes.connected().await {
                break docker;
            }
            tokio::select! {
                () = agent.shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        };
        let mut events = engine.events(Some(&stack));
        loop {
            let news = tokio::select! {
                () = agent.shutdown.cancelled() => return,
                news = events.next() => news,
            };
            let order = match news {
                DockerNews::Lost(error) => {
                    tracing::debug!(%error, "lost the Engine's events");
                    Order::Hears(RuntimeKind::Docker, false)
                }
                DockerNews::Open => Order::Hears(RuntimeKind::Docker, true),
                // The Engine probes by itself as well; we go by our own.
                DockerNews::Happened(event) if matches!(event.action, ContainerAction::Health { .. }) => {
                    continue;
                }
                DockerNews::Happened(_) => Order::Look,
            };
            match orders.upgrade() {
                Some(orders) => drop(orders.send(order)),
                None => return,
            }
        }
    });
}

/// Follows what happens to native instances of a stack for as long as its task runs.
pub(super) fn native(agent: Arc<Agent>, stack: StackName, orders: mpsc::WeakUnboundedSender<Order>) {
    tokio::spawn(async move {
        let mut changes = match agent.runtimes.native.changes() {
            Ok(changes) => changes,
            Err(error) => {
                tracing::warn!(%error, "cannot watch native instances; they are looked at every few seconds");
                return;
            }
        };
        if let Some(orders) = orders.upgrade() {
            drop(orders.send(Order::Hears(RuntimeKind::Native, true)));
        }
        loop {
            let change = tokio::select! {
                () = agent.shutdown.cancelled() => return,
                change = changes.next() => change,
            };
            match (change, orders.upgrade()) {
                (Ok(change), Some(orders)) if change.stack == stack => drop(orders.send(Order::Look)),
                (Ok(_), Some(_)) => {}
                (Err(error), Some(orders)) => {
                    tracing::warn!(%error, "no longer watch native instances");
                    return drop(orders.send(Order::Hears(RuntimeKind::Native, false)));
                }
                (_, None) => return,
            }
        }
    });
}

/// An edge that was replaced may have lost requests under way, and surely its counts.
pub(super) fn edge(agent: &Agent, orders: mpsc::WeakUnboundedSender<Order>) {
    let mut revivals = agent.edge.revivals();
    tokio::spawn(async move {
        while revivals.changed().await.is_ok() {
            match orders.upgrade() {
                Some(orders) => drop(orders.send(Order::Look)),
                None => return,
            }
        }
    });
}
