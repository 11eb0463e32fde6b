//! The body of `POST /containers/create`, in the Engine's words. `None` is sent as `null`, which the Engine
//! reads as absent.

use super::labels::Labels;
use serde::Serialize;
use std::collections::BTreeMap;

/// Go's way to write a set.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Empty {}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerBody {
    pub(super) image: String,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) env: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) working_dir: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) domainname: Option<String>,
    pub(super) tty: bool,
    /// Compose asks for both, attached or not.
    pub(super) attach_stdout: bool,
    pub(super) attach_stderr: bool,
    pub(super) open_stdin: bool,
    /// Input ends when who is attached closes it.
    pub(super) stdin_once: bool,
    pub(super) stop_signal: Option<String>,
    /// Seconds.
    pub(super) stop_timeout: Option<u64>,
    pub(super) healthcheck: Option<HealthcheckBody>,
    pub(super) labels: Labels,
    pub(super) exposed_ports: BTreeMap<String, Empty>,
    pub(super) host_config: HostConfigBody,
    pub(super) networking_config: NetworkingBody,
}

/// Times in nanoseconds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthcheckBody {
    pub(super) test: Vec<String>,
    pub(super) interval: Option<u64>,
    pub(super) timeout: Option<u64>,
    pub(super) retries: Option<u32>,
    pub(super) start_period: Option<u64>,
    pub(super) start_interval: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfigBody {
    pub(super) binds: Vec<String>,
    pub(super) mounts: Vec<MountBody>,
    /// Options of `mount -t tmpfs`, by path.
    pub(super) tmpfs: BTreeMap<String, String>,
    pub(super) port_bindings: BTreeMap<String, Vec<PortBinding>>,
    pub(super) network_mode: String,
    pub(super) restart_policy: RestartBody,
    pub(super) init: Option<bool>,
    pub(super) memory: Option<u64>,
    pub(super) memory_reservation: Option<u64>,
    pub(super) memory_swap: Option<i64>,
    pub(super) nano_cpus: Option<u64>,
    pub(super) cpu_shares: Option<i64>,
    pub(super) pids_limit: Option<i64>,
    pub(super) cpu_period: Option<i64>,
    pub(super) cpu_quota: Option<i64>,
    pub(super) cpu_realtime_period: Option<i64>,
    pub(super) cpu_realtime_runtime: Option<i64>,
    pub(super) cpuset_cpus: Option<String>,
    pub(super) cpu_count: Option<i64>,
    pub(super) cpu_percent: Option<i64>,
    pub(super) memory_swappiness: Option<i64>,
    pub(super) oom_kill_disable: bool,
    pub(super) oom_score_adj: i64,
    pub(super) blkio_weight: Option<u16>,
    pub(super) blkio_weight_device: Vec<WeightBody>,
    pub(super) blkio_device_read_bps: Vec<RateBody>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub(super) blkio_device_read_iops: Vec<RateBody>,
    pub(super) blkio_device_write_bps: Vec<RateBody>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub(super) blkio_device_write_iops: Vec<RateBody>,
    pub(super) device_cgroup_rules: Vec<String>,
    pub(super) device_requests: Vec<DeviceRequestBody>,
    pub(super) cgroup_parent: Option<String>,
    #[serde(rename = "CgroupnsMode")]
    pub(super) cgroupns_mode: Option<String>,
    pub(super) userns_mode: Option<String>,
    #[serde(rename = "UTSMode")]
    pub(super) uts_mode: Option<String>,
    pub(super) runtime: Option<String>,
    pub(super) isolation: Option<String>,
    pub(super) storage_opt: BTreeMap<String, String>,
    /// Known from API 1.43 on; older Engines ignore it.
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) volumes_from: Vec<String>,
    pub(super) log_config: Option<LogBody>,
    pub(super) extra_hosts: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) dns_search: Vec<String>,
    pub(super) dns_options: Vec<String>,
    pub(super) group_add: Vec<String>,
    pub(super) cap_add: Vec<String>,
    pub(super) cap_drop: Vec<String>,
    pub(super) privileged: bool,
    pub(super) readonly_rootfs: bool,
    pub(super) security_opt: Vec<String>,
    pub(super) sysctls: BTreeMap<String, String>,
    pub(super) ulimits: Vec<UlimitBody>,
    pub(super) shm_size: Option<u64>,
    pub(super) devices: Vec<DeviceBody>,
    pub(super) pid_mode: Option<String>,
    pub(super) ipc_mode: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RestartBody {
    pub(super) name: &'static str,
    pub(super) maximum_retry_count: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogBody {
    pub(super) r#type: String,
    pub(super) config: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UlimitBody {
    pub(super) name: String,
    pub(super) soft: i64,
    pub(super) hard: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WeightBody {
    pub(super) path: String,
    pub(super) weight: u16,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RateBody {
    pub(super) path: String,
    pub(super) rate: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeviceRequestBody {
    pub(super) driver: String,
    pub(super) count: i64,
    #[serde(rename = "DeviceIDs")]
    pub(super) device_ids: Vec<String>,
    /// All of one of these lists.
    pub(super) capabilities: Vec<Vec<String>>,
    pub(super) options: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeviceBody {
    pub(super) path_on_host: String,
    pub(super) path_in_container: String,
    pub(super) cgroup_permissions: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PortBinding {
    pub(super) host_ip: String,
    /// Empty: the Engine picks one.
    pub(super) host_port: String,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountBody {
    pub(super) r#type: &'static str,
    pub(super) source: Option<String>,
    pub(super) target: String,
    pub(super) read_only: bool,
    pub(super) bind_options: Option<BindOptions>,
    pub(super) volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tmpfs_options: Option<TmpfsOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_options: Option<ImageOptions>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BindOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) propagation: Option<String>,
    /// Known from API 1.43 on; older Engines ignore it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) create_mountpoint: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only_force_recursive: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TmpfsOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<u32>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageOptions {
    pub(super) subpath: String,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VolumeOptions {
    pub(super) no_copy: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subpath: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkingBody {
    pub(super) endpoints_config: BTreeMap<String, EndpointBody>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EndpointBody {
    pub(super) aliases: Vec<String>,
    #[serde(rename = "IPAMConfig")]
    pub(super) ipam_config: Option<EndpointIpam>,
    pub(super) links: Vec<String>,
    pub(super) mac_address: String,
    pub(super) driver_opts: BTreeMap<String, String>,
    /// Known from API 1.48 on.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) gw_priority: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct EndpointIpam {
    #[serde(rename = "IPv4Address", skip_serializing_if = "Option::is_none")]
    pub(super) ipv4_address: Option<String>,
    #[serde(rename = "IPv6Address", skip_serializing_if = "Option::is_none")]
    pub(super) ipv6_address: Option<String>,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    pub(super) link_local_ips: Vec<String>,
}
