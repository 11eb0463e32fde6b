//! What the edge does for all routes of one stack.

use crate::route::is_default;
use crate::{Access, AccessLog, Compression, ErrorPages, HeaderRules, Maintenance, TrustedProxy};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The settings of one stack that count for each of its routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    /// Proxies in front of the edge whose word about the client counts. From anybody else it is dropped.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Only these proxies may send requests at all.
    pub origin_lock: bool,
    /// Response headers.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: HeaderRules,
    /// What is written down about requests; nothing when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub access_log: Option<AccessLog>,
    /// Compression.
    #[serde(skip_serializing_if = "is_default")]
    pub compress: Option<Compression>,
    /// Who may use its routes.
    #[serde(skip_serializing_if = "is_default")]
    pub access: Option<Access>,
    /// All its routes are closed.
    #[serde(skip_serializing_if = "is_default")]
    pub maintenance: Option<Maintenance>,
    /// Pages for what goes wrong.
    #[serde(skip_serializing_if = "is_default")]
    pub errors: ErrorPages,
    /// Cloudflare's networks; those it published when this was built when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub cloudflare: Vec<IpNet>,
    /// PEM: only clients that show a certificate of this authority may send requests.
    #[serde(skip_serializing_if = "is_default")]
    pub client_ca: Option<String>,
}
