//! Asking upstreams outside the stack how they are. Those inside are watched by the agent.
//!
//! One that does not answer well is the last choice until its next answers count; alone, it is better than nobody. Knows
//! nothing about routes and requests.

use crate::call;
use crate::clock::{self, Deadline, Millis};
use crate::connect;
use crate::issue::https;
use crate::manner::Manner;
use crate::shared::Shared;
use crate::target::{Address, TargetState};
use bytes::Bytes;
use http::Request;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whom to ask: well under the shortest interval that a file can have.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How an upstream is asked.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    path: Box<str>,
    interval: Millis,
    timeout: Duration,
}

impl Health {
    pub(crate) fn new(settings: &mainstay_model::UpstreamHealth) -> Self {
        let mainstay_model::UpstreamHealth { path, interval, timeout } = settings;
        Self { path: path.as_str().into(), interval: clock::millis(*interval), timeout: *timeout }
    }
}

/// Asks all that are to be asked, for ever.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut asked: HashMap<u64, Millis> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (table, now) = (shared.table(), clock::now());
        let mut current = HashMap::new();
        for upstream in &table.upstreams {
            let Some(health) = &upstream.health else { continue };
            for target in &upstream.targets {
                let last = asked.get(&target.id).copied();
                let is_due = last.is_none_or(|last| now.saturating_sub(last) >= health.interval);
                current.insert(target.id, if is_due { now } else { last.unwrap_or(now) });
                if is_due {
                    tokio::task::spawn_local(ask(target.clone(), health.clone()));
                }
            }
        }
        asked = current;
    }
}

async fn ask(target: Arc<TargetState>, health: Health) {
    let is_well = tokio::time::timeout(health.timeout, is_well(&target, &health)).await.unwrap_or(false);
    if is_well {
        return;
    }
    tracing::warn!(instance = target.instance, path = &*health.path, "does not answer its health check");
    // Until the next answer is there, and a little longer.
    let until_next = health.interval.saturating_add(clock::millis(health.timeout));
    target.avoid(clock::now().saturating_add(until_next).saturating_add(health.interval / 2));
}

/// Whether it answers with 2xx or 3xx.
async fn is_well(target: &TargetState, health: &Health) -> bool {
    let authority = match &target.address {
        Address::Ip(address) => address.to_string(),
        Address::Name { name, .. } => name.clone(),
    };
    let is = |of: fn(&Manner) -> bool| target.manner.as_ref().is_some_and(|manner| of(manner));
    let scheme = if is(Manner::is_secure) { "https" } else { "http" };
    let request = Request::get(format!("{scheme}://{authority}{}", health.path));
    let Ok(wire) = connect::connect(target, None, &Deadline::new(), clock::NEVER).await else { return false };
    let status = if is(Manner::is_http2) {
        let Ok(request) = request.body(()) else { return false };
        call::status_of(wire, request).await.ok()
    } else {
        let Ok(request) = request.body(Bytes::new()) else { return false };
        https::over(wire, request).await.ok().map(|answer| answer.status())
    };
    status.is_some_and(|status| matches!(status.as_u16(), 200..400))
}
