//! Limits, reservations, sizes and times.

use super::Cx;
use crate::diagnostic::Code;
use crate::node::{Node, Value};
use crate::units;
use mainstay_model::{Blkio, DeviceRate, DeviceRequest, DeviceWeight, Resources, Ulimit};
use std::collections::BTreeMap;
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
        cpu_period: cx.node.get_int("cpu_period").and_then(positive),
        cpu_quota: cx.node.get_int("cpu_quota").and_then(positive),
        cpu_rt_period: cx.node.get_int("cpu_rt_period").and_then(positive),
        cpu_rt_runtime: cx.node.get_int("cpu_rt_runtime").and_then(positive),
        cpuset: cx.text("cpuset").filter(|set| !set.is_empty()),
        cpu_count: cx.node.get_int("cpu_count").and_then(positive),
        cpu_percent: percent(cx.child("cpu_percent")),
        mem_swappiness: cx.node.get_int("mem_swappiness"),
        oom_kill_disable: cx.flag("oom_kill_disable"),
        oom_score_adj: cx.node.get_int("oom_score_adj").unwrap_or_default(),
        blkio: cx.child("blkio_config").map(|node| Box::new(blkio(node))),
    }
}

/// Whole percents, as the Engine takes them.
fn percent(node: Option<&Node>) -> Option<i64> {
    match node?.value {
        Value::Int(percent) => Some(percent),
        #[allow(clippy::cast_possible_truncation)] // As Compose does it.
        Value::Float(percent) => Some(percent as i64),
        _ => None,
    }
}

fn blkio(node: &Node) -> Blkio {
    let weight = |node: &Node| node.get_int("weight").and_then(|w| u16::try_from(w).ok()).unwrap_or_default();
    let path = |node: &Node| node.get_text("path").unwrap_or_default().to_owned();
    let rates = |key: &str| {
        let rate = |node| DeviceRate { path: path(node), rate: size(node, "rate").unwrap_or_default() };
        node.items(key).iter().map(rate).collect()
    };
    let weights = node.items("weight_device").iter();
    Blkio {
        weight: weight(node),
        weight_device: weights.map(|n| DeviceWeight { path: path(n), weight: weight(n) }).collect(),
        device_read_bps: rates("device_read_bps"),
        device_read_iops: rates("device_read_iops"),
        device_write_bps: rates("device_write_bps"),
        device_write_iops: rates("device_write_iops"),
    }
}

/// `gpus`, and the devices that `deploy` reserves. Compose asks for the capability `gpu` where `gpus` names none.
pub fn device_requests(cx: &Cx<'_>) -> Vec<DeviceRequest> {
    let request = |node: &Node, implied: &[&str]| {
        let mut capabilities = super::texts(node.items("capabilities"));
        capabilities.extend(
            implied
                .iter()
                .filter(|c| !capabilities.iter().any(|own| own == *c))
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        );
        DeviceRequest {
            driver: node.get_text("driver").map(str::to_owned),
            count: node.get_int("count").unwrap_or_default(),
            device_ids: super::texts(node.items("device_ids")),
            capabilities,
            options: super::dict(node, "options"),
        }
    };
    let reserved = cx.node.at(&["deploy", "resources", "reservations"]).map(|r| r.items("devices"));
    let gpus = cx.node.items("gpus").iter().map(|node| request(node, &["gpu"]));
    gpus.chain(reserved.unwrap_or_default().iter().map(|node| request(node, &[]))).collect()
}

/// Limits of processes by name.
pub fn ulimits(node: &Node) -> BTreeMap<String, Ulimit> {
    let limit = |node: &Node| match node.value {
        Value::Int(both) => Ulimit { soft: both, hard: both },
        _ => Ulimit {
            soft: node.get_int("soft").unwrap_or_default(),
            hard: node.get_int("hard").unwrap_or_default(),
        },
    };
    node.entries("ulimits").map(|(name, entry)| (name.clone(), limit(&entry.node))).collect()
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
