//! Which requests a service gets.

use crate::{Access, Balance, Compression, Cors, Ejection, Files, HeaderRules, Keepalive, Site, Transport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
#[serde(default)]
pub struct RouteTimeouts {
    /// Time to connect to an instance.
    pub connect: Duration,
    /// Time between two reads from the instance (nginx's `proxy_read_timeout`).
    pub read: Duration,
    /// Time between two writes to the instance (nginx's `proxy_send_timeout`).
    pub write: Duration,
    /// Time between two reads of the client's body (nginx's `client_body_timeout`).
    pub body: Duration,
    /// Time to the first byte of the answer, where it differs from `read`.
    #[serde(skip_serializing_if = "is_default")]
    pub first_byte: Option<Duration>,
    /// Time for the whole request, from its head to the last byte of the answer; upgraded connections are exempt.
    #[serde(skip_serializing_if = "is_default")]
    pub request: Option<Duration>,
    /// Time that a request waits for an instance to have room; ten seconds when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub queue: Option<Duration>,
}

impl RouteTimeouts {
    /// How long requests wait where nothing is said. Whoever waits longer for a page has given up.
    const QUEUE: Duration = Duration::from_secs(10);

    /// Time that a request waits for an instance to have room.
    pub fn queue_or_default(&self) -> Duration {
        self.queue.unwrap_or(Self::QUEUE)
    }
}

impl Default for RouteTimeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            connect: minute,
            read: minute,
            write: minute,
            body: minute,
            first_byte: None,
            request: None,
            queue: None,
        }
    }
}

/// What is done with the requests of a route, besides passing them on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoutePolicy {
    /// The path must be equal, not begin so.
    #[serde(skip_serializing_if = "is_default")]
    pub exact: bool,
    /// What else must be true of a request. A route with conditions goes before one without on the same path.
    #[serde(skip_serializing_if = "is_default")]
    pub when: Conditions,
    /// Share of the clients, against the other routes on the same host, path and conditions that have a weight.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: Option<u32>,
    /// Takes the prefix off before the instance sees the path.
    pub strip_prefix: bool,
    /// Stands in the place of the prefix that matched (nginx's `proxy_pass` with a path).
    #[serde(skip_serializing_if = "is_default")]
    pub rewrite: Option<String>,
    /// Is put before the path.
    #[serde(skip_serializing_if = "is_default")]
    pub add_prefix: Option<String>,
    /// Answered with this, and never passed on.
    #[serde(skip_serializing_if = "is_default")]
    pub redirect: Option<Redirect>,
    /// Answered with files, and never passed on.
    #[serde(skip_serializing_if = "is_default")]
    pub files: Option<Files>,
    /// Limits that count, by name in the table.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Vec<String>,
    /// Largest request body in bytes (nginx's `client_max_body_size`); any size when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub max_body: Option<u64>,
    /// Deadlines.
    pub timeouts: RouteTimeouts,
    /// Response headers; the site's when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Option<HeaderRules>,
    /// Request headers that the instance gets.
    #[serde(skip_serializing_if = "is_default")]
    pub request_headers: RequestHeaders,
    /// Other origins that may read responses.
    #[serde(skip_serializing_if = "is_default")]
    pub cors: Option<Cors>,
    /// Compression: the site's when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub compress: Option<Choice<Compression>>,
    /// Cookies get `Secure`, `HttpOnly` and `SameSite=Lax` where they say nothing of the kind.
    #[serde(skip_serializing_if = "is_default")]
    pub harden_cookies: bool,
    /// Who may use it; the site's rules when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub access: Option<Choice<Access>>,
    /// How requests are spread over instances.
    #[serde(skip_serializing_if = "is_default")]
    pub balance: Balance,
    /// Requests under way on one instance at once.
    #[serde(skip_serializing_if = "is_default")]
    pub max_in_flight: Option<u32>,
    /// Requests that wait while all instances have so many; beyond that they are turned away.
    #[serde(skip_serializing_if = "is_default")]
    pub queue: u32,
    /// Connections to instances that are kept for the next request.
    #[serde(skip_serializing_if = "is_default")]
    pub keepalive: Keepalive,
    /// How long the share of an instance grows that is new, or back after it was away (nginx's `slow_start`).
    #[serde(skip_serializing_if = "is_default")]
    pub slow_start: Option<Duration>,
    /// Instances that fail again and again get no requests for a while.
    #[serde(skip_serializing_if = "is_default")]
    pub eject: Option<Ejection>,
}

/// Something that can be switched off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice<T> {
    /// Not at all, whatever holds elsewhere.
    Off,
    /// Like this.
    On(T),
}

/// What is changed about the header fields of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestHeaders {
    /// Fields with this value, whatever the client says.
    pub set: BTreeMap<String, String>,
    /// Fields that are taken off.
    pub remove: Vec<String>,
}

impl RoutePolicy {
    /// Who may use it, where it is a route of `site`.
    pub fn access_within<'a>(&'a self, site: &'a Site) -> Option<&'a Access> {
        match &self.access {
            Some(Choice::Off) => None,
            Some(Choice::On(access)) => Some(access),
            None => site.access.as_ref(),
        }
    }

    /// Whether the edge answers by itself.
    pub fn is_answered_here(&self) -> bool {
        self.redirect.is_some() || self.files.is_some()
    }
}

/// What must be true of a request besides host and path.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// It has one of these methods; any when empty.
    pub methods: Vec<String>,
    /// It has these header fields: with this value, or with any where the value is absent.
    pub headers: BTreeMap<String, Option<String>>,
}

impl Conditions {
    /// How many there are.
    pub fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len()
    }
}

/// Another address for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Where to; `{host}`, `{path}`, `{query}` and `{uri}` (path and query) stand for what was asked for.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
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
    /// `www: redirect`: the same host with `www.` before it, or without, is redirected here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub www: bool,
    /// How the instance is spoken to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transport: Transport,
    /// `tls: passthrough`: TLS for its host is passed on as it comes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub passthrough: bool,
    /// What is done with its requests.
    #[serde(flatten)]
    pub policy: RoutePolicy,
}

/// One entry of top-level `x-mainstay: edge: routes:`: to something outside the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalRoute {
    /// Host pattern.
    pub host: HostPattern,
    /// Path prefix.
    pub path: String,
    /// `host:port` of each upstream, without scheme. Empty for a redirect.
    pub to: Vec<String>,
    /// How they are spoken to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transport: Transport,
    /// `tls: passthrough`: TLS for its host is passed on as it comes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub passthrough: bool,
    /// What is said of some of the upstreams, by their address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shares: BTreeMap<String, UpstreamShare>,
    /// How the upstreams are asked whether they are well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub health: Option<UpstreamHealth>,
    /// What is done with its requests.
    #[serde(flatten)]
    pub policy: RoutePolicy,
}

/// What one of several upstreams gets of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamShare {
    /// Against the others; 1 where nothing is said (nginx's `weight`).
    pub weight: u32,
    /// Only when those that are none are away (nginx's `backup`).
    #[serde(default)]
    pub is_backup: bool,
}

/// `health:` of a route to something outside the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamHealth {
    /// Is asked for; 2xx and 3xx are well.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Whether a value says nothing: it is left out of what is stored, which so stays readable and the same as before.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
