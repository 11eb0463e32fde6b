//! How an instance proves that it works.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A Compose healthcheck with the Compose Specification's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// The command: argv of `CMD`, or `["/bin/sh", "-c", text]` for `CMD-SHELL`. Run inside the instance.
    pub test: Vec<String>,
    /// `true` where the file used `CMD-SHELL` (or a plain string), so that Docker is told the same form.
    pub shell: bool,
    /// Time between two probes once settled (30 s by default).
    pub interval: Duration,
    /// Time after which a probe has failed (30 s by default).
    pub timeout: Duration,
    /// Consecutive failures until the instance is unhealthy (3 by default).
    pub retries: u32,
    /// Failures during this time after the start do not count (0 by default).
    pub start_period: Duration,
    /// Probe interval during the start period, where the file gives one.
    pub start_interval: Option<Duration>,
}

/// What `x-mainstay: ready:` says; asked by the agent from outside (http, tcp) or inside (exec).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Probe {
    /// GET `path` on `port` (the service's first routed or exposed port when absent); 2xx and 3xx are ready.
    Http { path: String, port: Option<u16> },
    /// A TCP connection to `port` is accepted.
    Tcp { port: Option<u16> },
    /// The command exits 0 inside the instance.
    Exec { command: Vec<String> },
}

/// How readiness of a service is decided. Exactly one applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "by")]
pub enum Readiness {
    /// `ready:` of `x-mainstay`, probed by the agent.
    Probe { probe: Probe },
    /// The Compose healthcheck of the file.
    Healthcheck { check: Healthcheck },
    /// The image may declare one of its own; when it does not, running is ready.
    Image,
    /// `healthcheck: { disable: true }`: running is ready.
    Running,
}
