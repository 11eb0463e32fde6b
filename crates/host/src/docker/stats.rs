//! What a container uses.

use super::error::DockerError;
use super::lifecycle::shown;
use super::wire::{Call, escape};
use super::{Docker, time};
use mainstay_model::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A reading of what a running container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// When it was read.
    pub at: Timestamp,
    /// Memory in use, bytes, without the page cache that could be given up: what `docker stats` shows.
    pub memory: u64,
    /// Most memory that it may use, bytes; the host's where it has no limit.
    pub memory_limit: u64,
    /// Processor time used since it started. Two readings make a rate.
    pub cpu: Duration,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes received on all networks since it started.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes read from block devices since it started.
    pub block_read: u64,
    /// Bytes written.
    pub block_written: u64,
}

/// Answer of `GET /containers/{id}/stats`, as far as it matters.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    read: String,
    memory_stats: Memory,
    cpu_stats: Cpu,
    pids_stats: Pids,
    networks: Option<BTreeMap<String, Interface>>,
    blkio_stats: Option<Block>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    io_service_bytes_recursive: Option<Vec<Moved>>,
}

/// Bytes moved by one kind of operation on one device.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Moved {
    op: String,
    value: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Memory {
    usage: u64,
    limit: u64,
    stats: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cpu {
    cpu_usage: CpuUsage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    /// Nanoseconds.
    total_usage: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pids {
    current: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Interface {
    rx_bytes: u64,
    tx_bytes: u64,
}

impl Docker {
    /// One reading, taken at once. `None` when `container` does not run.
    pub async fn stats(&self, container: &str) -> Result<Option<Stats>, DockerError> {
        let call = Call::get(format!("/containers/{}/stats", escape(container)), shown(container))
            .query("stream", "false")
            .query("one-shot", "true");
        Ok(self.wire.json::<Answer>(call).await?.read())
    }
}

impl Answer {
    fn read(self) -> Option<Stats> {
        let at = time::parse(&self.read)?;
        let Memory { usage, limit, ref stats } = self.memory_stats;
        // cgroups v1 say `total_inactive_file`, v2 `inactive_file`; v1 has a key of that name too, which counts
        // the container's own processes only.
        let stat = |key: &str| stats.as_ref()?.get(key)?.as_u64();
        let cache = stat("total_inactive_file").or_else(|| stat("inactive_file")).unwrap_or(0);
        let interfaces = || self.networks.iter().flatten().map(|(_, interface)| interface);
        let moved = self.blkio_stats.and_then(|block| block.io_service_bytes_recursive).unwrap_or_default();
        let moved = |op: &str| {
            moved.iter().filter(|one| one.op.eq_ignore_ascii_case(op)).map(|one| one.value).sum::<u64>()
        };
        let running = usage > 0 || self.cpu_stats.cpu_usage.total_usage > 0;
        running.then(|| Stats {
            at,
            memory: usage.saturating_sub(cache),
            memory_limit: limit,
            cpu: Duration::from_nanos(self.cpu_stats.cpu_usage.total_usage),
            pids: self.pids_stats.current,
            received: interfaces().map(|interface| interface.rx_bytes).sum(),
            sent: interfaces().map(|interface| interface.tx_bytes).sum(),
            block_read: moved("read"),
            block_written: moved("write"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(stats: &str) -> u64 {
        let text = format!(
            r#"{{"read":"2026-01-01T00:00:00Z","memory_stats":{{"usage":100,"stats":{stats}}},"networks":null}}"#
        );
        serde_json::from_str::<Answer>(&text).unwrap().read().unwrap().memory
    }

    #[test]
    fn the_page_cache_is_not_counted_in_either_version_of_control_groups() {
        assert_eq!(memory(r#"{"inactive_file":30}"#), 70);
        assert_eq!(memory(r#"{"inactive_file":30,"total_inactive_file":40}"#), 60);
        assert_eq!(memory("null"), 100);
    }
}
