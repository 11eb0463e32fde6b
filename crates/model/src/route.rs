//! Which requests a service gets.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The host part of a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// One host name, lower case, without port.
    Exact(String),
    /// `*.example.com`: any name with at least one more label. Holds the suffix with its dot, `.example.com`.
    Wildcard(String),
    /// `*`: whatever no other pattern matched.
    Any,
}

impl TryFrom<String> for HostPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim_end_matches('.').to_ascii_lowercase();
        let name = match text.strip_prefix('*') {
            Some("") => return Ok(Self::Any),
            Some(suffix) => suffix
                .strip_prefix('.')
                .ok_or("a wildcard must be a whole first label, as in *.example.com")?,
            None => text.as_str(),
        };
        let label =
            |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let is_v6 = name.starts_with('[') && name.ends_with(']');
        if !is_v6 && (name.len() > 253 || !name.split('.').all(label)) {
            return Err(format!("`{text}` is not a host name"));
        }
        Ok(if text.starts_with('*') { Self::Wildcard(format!(".{name}")) } else { Self::Exact(text) })
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.pad(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.pad("*"),
        }
    }
}

/// Deadlines of a route. Defaults are nginx's: 60 s each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTimeouts {
    /// Time to connect to an instance.
    pub connect: Duration,
    /// Time between two reads from the instance (nginx's `proxy_read_timeout`).
    pub read: Duration,
    /// Time between two writes to the instance (nginx's `proxy_send_timeout`).
    pub write: Duration,
}

impl Default for RouteTimeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { connect: minute, read: minute, write: minute }
    }
}

/// One entry of a service's `x-mainstay: routes:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Host pattern.
    pub host: HostPattern,
    /// Path prefix, starting with `/`. `/api/` matches what begins with it; the longest one wins.
    pub path: String,
    /// Port inside the instance; the service's first port when absent.
    pub port: Option<u16>,
    /// Takes the prefix off before the instance sees the path.
    pub strip_prefix: bool,
    /// Deadlines.
    pub timeouts: RouteTimeouts,
}

/// One entry of top-level `x-mainstay: edge: routes:`: to something outside the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalRoute {
    /// Host pattern.
    pub host: HostPattern,
    /// Path prefix.
    pub path: String,
    /// Takes the prefix off.
    pub strip_prefix: bool,
    /// Deadlines.
    pub timeouts: RouteTimeouts,
    /// `host:port` of each upstream, without scheme (only `http://` is spoken).
    pub to: Vec<String>,
}
