//! What a service may use of the host.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits and reservations. Memory in bytes, CPUs in billionths of one (Docker's `NanoCPUs`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Hard memory limit.
    pub memory: Option<u64>,
    /// Soft memory limit.
    pub memory_reservation: Option<u64>,
    /// `memswap_limit`: memory plus swap; -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// CPU limit.
    pub nano_cpus: Option<u64>,
    /// CPU reservation (planning only; Docker outside Swarm has no such thing).
    pub nano_cpus_reservation: Option<u64>,
    /// `cpu_shares`.
    pub cpu_shares: Option<i64>,
    /// Most processes.
    pub pids: Option<i64>,
    /// `cpu_period` and `cpu_quota`, microseconds; what `nano_cpus` says in another way.
    #[serde(default)]
    pub cpu_period: Option<i64>,
    /// `cpu_quota`.
    #[serde(default)]
    pub cpu_quota: Option<i64>,
    /// `cpu_rt_period`, microseconds.
    #[serde(default)]
    pub cpu_rt_period: Option<i64>,
    /// `cpu_rt_runtime`, microseconds.
    #[serde(default)]
    pub cpu_rt_runtime: Option<i64>,
    /// `cpuset`, such as `0-2,4`.
    #[serde(default)]
    pub cpuset: Option<String>,
    /// `cpu_count` (Windows).
    #[serde(default)]
    pub cpu_count: Option<i64>,
    /// `cpu_percent` (Windows), whole percents.
    #[serde(default)]
    pub cpu_percent: Option<i64>,
    /// `mem_swappiness`, 0 to 100.
    #[serde(default)]
    pub mem_swappiness: Option<i64>,
    /// `oom_kill_disable`.
    #[serde(default)]
    pub oom_kill_disable: bool,
    /// `oom_score_adj`, -1000 to 1000.
    #[serde(default)]
    pub oom_score_adj: i64,
    /// `blkio_config`.
    #[serde(default)]
    pub blkio: Option<Box<Blkio>>,
}

/// `blkio_config:`, limits of block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blkio {
    /// Share of the time of all devices, 10 to 1000; 0 is the default.
    pub weight: u16,
    /// Shares by device.
    pub weight_device: Vec<DeviceWeight>,
    /// Most bytes read a second.
    pub device_read_bps: Vec<DeviceRate>,
    /// Most reads a second.
    pub device_read_iops: Vec<DeviceRate>,
    /// Most bytes written a second.
    pub device_write_bps: Vec<DeviceRate>,
    /// Most writes a second.
    pub device_write_iops: Vec<DeviceRate>,
}

/// A share of one block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// Path of the device.
    pub path: String,
    /// Its share, 10 to 1000.
    pub weight: u16,
}

/// A rate of one block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Path of the device.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// Devices that a driver hands out: one entry of `gpus:` or of `deploy.resources.reservations.devices:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The driver, such as `nvidia`.
    pub driver: Option<String>,
    /// How many; -1 is all of them, 0 with `device_ids`.
    pub count: i64,
    /// Which ones.
    pub device_ids: Vec<String>,
    /// What they have to be able to do; all of these. An entry of `gpus:` implies `gpu`.
    pub capabilities: Vec<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// One entry of `ulimits:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}
