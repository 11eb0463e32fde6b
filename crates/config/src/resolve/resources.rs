//! Limits, reservations, sizes and times.

use super::Cx;
use crate::diagnostic::Code;
use crate::node::{Node, Value};
use crate::units;
use mainstay_model::Resources;
use std::time::Duration;

/// Time between the stop signal and SIGKILL (Compose Specification, "stop_grace_period").
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// Docker refuses less memory for a container.
const LEAST_MEMORY: u64 = 6 << 20;

/// Limits and reservations; `deploy.resources` and the older keys have been found to agree.
pub fn resources(cx: &mut Cx<'_>) -> Resources {
    let deploy = cx.child("deploy").and_then(|d| d.get("resources"));
    let limits = deploy.and_then(|r| r.get("limits"));
    let reservations = deploy.and_then(|r| r.get("reservations"));
    let new_size = |section: Option<&Node>| section.and_then(|s| size(s, "memory"));
    let memory = new_size(limits).or_else(|| size(cx.node, "mem_limit")).filter(|m| *m > 0);
    if memory.is_some_and(|m| m < LEAST_MEMORY) {
        let node = limits.and_then(|l| l.get("memory")).or_else(|| cx.child("mem_limit"));
        if let Some(node) = node {
            cx.error(Code::InvalidValue, "the least possible memory limit is 6m", node, "mem_limit");
        }
    }
    let positive = |number: i64| (number != 0).then_some(number);
    Resources {
        memory,
        memory_reservation: new_size(reservations)
            .or_else(|| size(cx.node, "mem_reservation"))
            .filter(|m| *m > 0),
        memory_swap: cx.node.get_int("memswap_limit").and_then(positive),
        nano_cpus: nano_cpus(limits.and_then(|l| l.get("cpus"))).or_else(|| nano_cpus(cx.child("cpus"))),
        nano_cpus_reservation: nano_cpus(reservations.and_then(|r| r.get("cpus"))),
        cpu_shares: cx.node.get_int("cpu_shares").and_then(positive),
        pids: limits
            .and_then(|l| l.get_int("pids"))
            .or_else(|| cx.node.get_int("pids_limit"))
            .and_then(positive),
    }
}

/// CPUs in billionths; absent and 0 mean no limit.
fn nano_cpus(node: Option<&Node>) -> Option<u64> {
    #[allow(clippy::cast_precision_loss)] // Numbers of CPUs are small.
    let cpus = match node?.value {
        Value::Int(cpus) => cpus as f64,
        Value::Float(cpus) => cpus,
        _ => return None,
    };
    // More than a million CPUs is a slip; the bound keeps the product in range.
    if !(cpus > 0.0 && cpus < 1e6) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked above.
    Some((cpus * 1e9).round() as u64)
}

/// A size in bytes under `key`.
pub fn size(node: &Node, key: &str) -> Option<u64> {
    node.get_int(key).and_then(|bytes| u64::try_from(bytes).ok())
}

/// A duration under `key`.
pub fn duration(node: &Node, key: &str) -> Option<Duration> {
    units::duration(node.get_text(key)?).ok()
}
