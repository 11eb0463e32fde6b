//! What the agent tells the edge: the whole routing state at once, and what the edge says back.
//!
//! A table is complete in itself. The edge applies it atomically, keeps it on disk, and can start from it
//! without an agent.

use crate::{
    ClientRules, HostPattern, Limit, RoutePolicy, Site, TableTls, Timestamp, Transport, UpstreamHealth,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Everything the edge knows about where requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Grows with every change; the edge refuses a table older than the one it has.
    pub version: u64,
    /// Sockets to listen on.
    pub listeners: Vec<Listener>,
    /// HTTP routes, in no particular order: matching picks exact host, then longest wildcard, then `*`, and
    /// within a host the longest path prefix.
    pub routes: Vec<TableRoute>,
    /// Names whose TLS is passed on as it comes, in no particular order: an exact name goes before the longest wildcard, that
    /// before any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passthrough: Vec<Passthrough>,
    /// What routes and TCP listeners point to, by key (`stack/service:port`).
    pub upstreams: BTreeMap<String, Upstream>,
    /// Certificates.
    #[serde(default)]
    pub tls: TableTls,
    /// What counts for all routes of a stack, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sites: BTreeMap<String, Site>,
    /// What routes are limited by, by key (`stack/name`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Limit>,
    /// What every connection of a client is held to.
    #[serde(default, skip_serializing_if = "crate::route::is_default")]
    pub clients: Box<ClientRules>,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// What is spoken on it.
    pub kind: ListenerKind,
    /// Every connection begins with a PROXY header that says who the client is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
}

impl Listener {
    /// Whether HTTP/3 is spoken beside what is spoken over TCP.
    pub fn speaks_http3(&self) -> bool {
        matches!(self.kind, ListenerKind::Https { http3: true })
    }
}

/// What a listener does with a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum ListenerKind {
    /// HTTP, by the routes of the table.
    Http,
    /// The same through TLS.
    Https {
        /// And over QUIC, at the UDP port of the same number.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        http3: bool,
    },
    /// Bytes, to one upstream: a published port.
    Tcp { upstream: String },
    /// TLS, passed on as it comes by the name it asks for; see [`RouteTable::passthrough`].
    Sni,
}

/// Where TLS connections go that nobody looks into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passthrough {
    /// The [`ListenerKind::Sni`] listener; every one of the kind [`ListenerKind::Https`] when absent.
    pub on: Option<SocketAddr>,
    /// Whom clients ask for.
    pub host: HostPattern,
    /// Key into [`RouteTable::upstreams`].
    pub upstream: String,
}

/// One route, resolved to an upstream key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRoute {
    /// Host pattern.
    pub host: HostPattern,
    /// Path prefix.
    pub path: String,
    /// Key into [`RouteTable::upstreams`]; none for a route that answers by itself.
    pub upstream: Option<String>,
    /// Key into [`RouteTable::sites`]; the defaults count where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub site: String,
    /// Requests that come without TLS are sent to this port, with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<u16>,
    /// What is done with its requests.
    #[serde(flatten)]
    pub policy: RoutePolicy,
}

/// The instances behind a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Instances that take new requests, by least connections.
    pub targets: Vec<Target>,
    /// Instances that take no new request but finish those they have. At `until` what is still open (upgraded
    /// connections, endless streams) is closed.
    pub draining: Vec<Draining>,
    /// While the service is being swapped: requests wait until this time for a table with targets, then 503.
    pub hold_until: Option<Timestamp>,
    /// The edge itself asks its targets how they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<UpstreamHealth>,
    /// How its targets are spoken to.
    #[serde(default, skip_serializing_if = "crate::route::is_default")]
    pub transport: Transport,
}

/// One instance, as the edge sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Name for logs, metrics and the in-flight report (`stack/api.7.1`).
    pub instance: String,
    /// Where it listens: `ip:port`, or `name:port` for an upstream outside the stack.
    pub address: String,
    /// Share of the requests, against the others; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// It gets requests only when those that are none are away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_backup: bool,
}

/// A target on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// The target it was.
    pub target: Target,
    /// When what is left is closed.
    pub until: Timestamp,
}

/// What the edge reports when asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeStatus {
    /// Version of the table in force.
    pub version: u64,
    /// The edge's process id.
    pub pid: u32,
    /// Requests, tunnels and TCP connections now open, by instance. Absent means none.
    pub in_flight: BTreeMap<String, u64>,
    /// Requests now waiting for a held upstream, by upstream key.
    pub held: BTreeMap<String, u64>,
    /// Answered requests since the edge started, by upstream key and status class (`2xx` …).
    /// Under `-` those that no upstream was chosen for.
    pub requests: BTreeMap<String, BTreeMap<String, u64>>,
    /// Certificates that are served or to be had.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
}

/// A certificate, as the edge sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Host names it is for.
    pub names: Vec<String>,
    /// When it ends; none while there is none yet.
    pub not_after: Option<Timestamp>,
    /// Why there is none, or no newer one.
    pub problem: Option<String>,
}
