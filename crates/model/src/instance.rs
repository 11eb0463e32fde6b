//! One running copy of a service.

use crate::{InvalidName, ReleaseNumber, RuntimeKind, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Which copy: `api.7.1` is the first copy of `api` made for release 7. Never used twice.
/// Serialises as that text, so that it can be a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// Its service.
    pub service: ServiceName,
    /// The release it was made for (later releases may keep it, when nothing in it changed).
    pub release: ReleaseNumber,
    /// Counted from 1 within service and release.
    pub slot: u32,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.service, self.release, self.slot)
    }
}

impl InstanceId {
    /// Reads what `Display` wrote. Service names may contain dots; the last two parts are numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '.');
        let slot = parts.next()?.parse().ok()?;
        let release = parts.next()?.parse().ok()?;
        let service = ServiceName::new(parts.next()?).ok()?;
        Some(Self { service, release, slot })
    }
}

impl TryFrom<String> for InstanceId {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text).ok_or_else(|| InvalidName::new("instance", text, "must be `service.release.slot`"))
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> String {
        id.to_string()
    }
}

/// What is known about one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which copy.
    pub id: InstanceId,
    /// Where it runs.
    pub runtime: RuntimeKind,
    /// Hash of what it was made from (see `Stack::instance_hash`).
    pub hash: String,
    /// The adapter's own handle: container id, or shim directory name.
    pub handle: String,
    /// Name shown to people: container name, or the id.
    pub name: String,
    /// Compose's container number; 0 for native instances.
    pub number: u32,
    /// Life-cycle state.
    pub state: InstanceState,
    /// Result of readiness probes; meaningful while running.
    pub health: Health,
    /// How often it was restarted since it was made.
    pub restarts: u32,
    /// Where the edge and probes reach it.
    pub address: Option<IpAddr>,
    /// For native instances with routes, the `PORT` they were given.
    pub port: Option<u16>,
    /// Where its own address cannot be reached: ports at `address` that lead to it, by the port inside.
    #[serde(default)]
    pub published: BTreeMap<u16, u16>,
    /// It was made by Docker Compose, before us or beside us.
    #[serde(default)]
    pub compose: Option<MadeByCompose>,
}

/// What Docker Compose wrote on a container that it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeByCompose {
    /// Its hash of the configuration.
    pub config_hash: String,
    /// Id of the image.
    pub image: String,
    /// The Engine listens on the TCP ports that it publishes, so that the edge cannot.
    pub holds_ports: bool,
}

/// Life-cycle state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum InstanceState {
    /// Made, never started.
    Created,
    /// Running since.
    Running { since: Timestamp },
    /// Between two runs, by the Engine's restart policy.
    Restarting,
    /// Paused by command.
    Paused,
    /// Ended.
    Exited { code: i32, oom: bool, at: Timestamp },
    /// The Engine could not remove it or it is being removed.
    Dead,
}

/// What readiness probes say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "health")]
pub enum Health {
    /// No probe has succeeded since the start.
    Starting,
    /// The last probe succeeded.
    Ready,
    /// `retries` probes in a row failed; the last one's output, shortened.
    Unhealthy { why: String },
}

impl Instance {
    /// Where the edge and probes reach `port` of it; `None` where they cannot.
    pub fn reach(&self, port: u16) -> Option<SocketAddr> {
        let port = match self.port {
            Some(given) => given,
            None if self.published.is_empty() => port,
            None => *self.published.get(&port)?,
        };
        Some(SocketAddr::new(self.address?, port))
    }

    /// Running, in whatever health.
    pub fn is_running(&self) -> bool {
        matches!(self.state, InstanceState::Running { .. })
    }

    /// Running and ready.
    pub fn is_ready(&self) -> bool {
        self.is_running() && self.health == Health::Ready
    }

    /// Ran to an end with exit status 0.
    pub fn has_completed(&self) -> bool {
        matches!(self.state, InstanceState::Exited { code: 0, .. })
    }
}
