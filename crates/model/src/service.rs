//! One service, resolved: every default filled in, every variable substituted, every path absolute.

use crate::{
    Build, ConfigHash, FileGrant, ImageRef, Mount, MountKind, Readiness, Resources, Route, Secret,
    ServiceMore, ServiceName, Ulimit,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// A service of a stack. Field names are Compose's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its key under `services:`.
    pub name: ServiceName,
    /// `image:`; with `build:` the tag that the result gets.
    pub image: Option<ImageRef>,
    /// `build:`.
    pub build: Option<Build>,
    /// `pull_policy: always|missing|never|build|refresh|daily|weekly|every_…` as text; `None` is `missing`.
    pub pull_policy: Option<String>,
    /// `platform:`.
    pub platform: Option<String>,
    /// `command:`, split into argv. `None`: the image's. Empty: none at all.
    pub command: Option<Vec<String>>,
    /// `entrypoint:`, split into argv. `None`: the image's. Empty: cleared.
    pub entrypoint: Option<Vec<String>>,
    /// Hash that Docker Compose gives the service, for the label `com.docker.compose.config-hash`; `None` for what
    /// Compose would not run, a native service.
    #[serde(default)]
    pub config_hash: Option<ConfigHash>,
    /// `environment:` over `env_file:`. A variable without a value and unknown to the shell is absent.
    pub environment: BTreeMap<String, Secret>,
    /// `ports:`.
    pub ports: Vec<PublishedPort>,
    /// `expose:`, as `port/protocol`.
    pub expose: Vec<String>,
    /// `volumes:` and `tmpfs:`.
    pub mounts: Vec<Mount>,
    /// `networks:`, by key under top-level `networks:`; `default` when the file names none.
    pub networks: BTreeMap<String, NetworkAttachment>,
    /// `network_mode:`; then `networks` is empty.
    pub network_mode: Option<String>,
    /// `depends_on:`.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// How it is known to be ready.
    pub readiness: Readiness,
    /// `restart:`, or `deploy.restart_policy:`.
    pub restart: RestartPolicy,
    /// `deploy.resources`, `mem_limit`, `cpus`, `pids_limit`.
    pub resources: Resources,
    /// `deploy.replicas` or `scale`; 1 by default.
    pub replicas: u32,
    /// `logging:`.
    pub logging: Option<Logging>,
    /// `labels:`.
    pub labels: BTreeMap<String, String>,
    /// `user:`.
    pub user: Option<String>,
    /// `group_add:`.
    pub group_add: Vec<String>,
    /// `working_dir:`. For a native service an absolute path of the host (the project directory by default).
    pub working_dir: Option<String>,
    /// `init:`.
    pub init: Option<bool>,
    /// `stop_signal:`; SIGTERM when neither file nor image says otherwise.
    pub stop_signal: Option<String>,
    /// `stop_grace_period:`; 10 s by default.
    pub stop_grace_period: Duration,
    /// `container_name:`.
    pub container_name: Option<String>,
    /// `hostname:`.
    pub hostname: Option<String>,
    /// `domainname:`.
    pub domainname: Option<String>,
    /// `extra_hosts:`, host to addresses (`host-gateway` passes through).
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    /// `dns:`, addresses of name servers.
    pub dns: Vec<String>,
    /// `dns_search:`, domains to search.
    #[serde(default)]
    pub dns_search: Vec<String>,
    /// `dns_opt:`, options of the resolver.
    #[serde(default)]
    pub dns_opt: Vec<String>,
    /// `cap_add:`.
    pub cap_add: Vec<String>,
    /// `cap_drop:`.
    pub cap_drop: Vec<String>,
    /// `privileged:`.
    pub privileged: bool,
    /// `read_only:`.
    pub read_only: bool,
    /// `security_opt:`.
    pub security_opt: Vec<String>,
    /// `sysctls:`.
    pub sysctls: BTreeMap<String, String>,
    /// `ulimits:`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// `shm_size:`, bytes.
    pub shm_size: Option<u64>,
    /// `tty:`.
    pub tty: bool,
    /// `stdin_open:`.
    pub stdin_open: bool,
    /// `devices:`, as written.
    pub devices: Vec<String>,
    /// `pid:` mode, as written.
    pub pid: Option<String>,
    /// `ipc:` mode, as written.
    pub ipc: Option<String>,
    /// Keys that few files use.
    #[serde(default)]
    pub more: Box<ServiceMore>,
    /// `secrets:`.
    pub secrets: Vec<FileGrant>,
    /// `configs:`.
    pub configs: Vec<FileGrant>,
    /// `profiles:`, kept for `config`; inactive services are not in the stack.
    pub profiles: Vec<String>,
    /// `x-mainstay: routes:`.
    pub routes: Vec<Route>,
    /// `x-mainstay: release:`, argv of the job that runs once per deploy, in the new image, before traffic moves.
    pub release_job: Option<Vec<String>>,
}

/// Where a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// A container of the Docker Engine.
    Docker,
    /// A process of this host, under a shim.
    Native,
}

impl Service {
    /// A service with neither `image` nor `build` is native.
    pub fn runtime(&self) -> RuntimeKind {
        if self.image.is_none() && self.build.is_none() { RuntimeKind::Native } else { RuntimeKind::Docker }
    }

    /// Images besides its own: of `pre_start:` containers, and mounted ones.
    pub fn more_images(&self) -> impl Iterator<Item = &ImageRef> {
        let hooks = self.more.pre_start.iter().filter_map(|hook| hook.image.as_ref());
        let mounted = self.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Foreign(foreign) if foreign.kind == "image" => foreign.source.as_ref(),
            _ => None,
        });
        hooks.chain(mounted).filter(|image| self.image.as_ref() != Some(*image))
    }

    /// The port a route, probe or `PORT` means when it names none: the first route's, published or exposed one.
    pub fn main_port(&self) -> Option<u16> {
        let routed = self.routes.iter().find_map(|r| r.port);
        let published = self.ports.iter().find(|p| p.protocol == Protocol::Tcp).map(|p| p.target.start);
        let exposed = || self.expose.iter().find_map(|e| e.split(['/', '-']).next()?.parse().ok());
        routed.or(published).or_else(exposed)
    }
}

/// `tcp` or `udp` (or `sctp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// An inclusive range of ports; one port has `start == end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// First port.
    pub start: u16,
    /// Last port.
    pub end: u16,
}

/// One entry of `ports:`. Short forms with ranges of equal length are split into one entry a port, as Compose does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address of the host; `None`: all of them.
    pub host_ip: Option<IpAddr>,
    /// Port or range of the host; `None`: Docker picks one.
    pub published: Option<PortRange>,
    /// Port inside the instance.
    pub target: PortRange,
    /// Protocol.
    pub protocol: Protocol,
    /// `name:`, for people.
    #[serde(default)]
    pub name: Option<String>,
    /// `app_protocol:`, for people.
    #[serde(default)]
    pub app_protocol: Option<String>,
}

/// How a service hangs on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// Extra names; the service's own name is always one.
    pub aliases: Vec<String>,
    /// Fixed addresses.
    pub ipv4_address: Option<String>,
    /// Fixed IPv6 address.
    pub ipv6_address: Option<String>,
    /// Order in which networks are attached, highest first.
    pub priority: i64,
    /// `gw_priority:`, which network's gateway is the default one.
    #[serde(default)]
    pub gw_priority: i64,
    /// `interface_name:`.
    #[serde(default)]
    pub interface_name: Option<String>,
    /// `link_local_ips:`.
    #[serde(default)]
    pub link_local_ips: Vec<String>,
    /// `mac_address:` on this network.
    #[serde(default)]
    pub mac_address: Option<String>,
    /// `driver_opts:`.
    #[serde(default)]
    pub driver_opts: BTreeMap<String, String>,
}

/// One entry of `depends_on:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// What must hold before the dependant starts.
    pub condition: DependencyCondition,
    /// Restart the dependant when the dependency is restarted by a command.
    pub restart: bool,
    /// `false`: a missing dependency is a warning only.
    pub required: bool,
}

/// Compose's three conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// It was started.
    ServiceStarted,
    /// It is ready.
    ServiceHealthy,
    /// It ran to an end with exit status 0.
    ServiceCompletedSuccessfully,
}

/// `restart:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "policy")]
pub enum RestartPolicy {
    /// Never (the default of Compose).
    No,
    /// When the exit status is not 0, at most `max_retries` times where given.
    OnFailure { max_retries: Option<u32> },
    /// Whatever the exit status.
    Always,
    /// Like `always`, but a service stopped by command stays stopped over a reboot.
    UnlessStopped,
}

/// `logging:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// Driver; the Engine's default when absent.
    pub driver: Option<String>,
    /// Its options, `max-size` and `max-file` among them.
    pub options: BTreeMap<String, String>,
}
