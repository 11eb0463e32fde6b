//! Whose word counts about who the client is.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One entry of `trusted_proxies:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustedProxy {
    /// The networks Cloudflare publishes; from there `CF-Connecting-IP` names the client.
    Cloudflare,
    /// A network; from there `X-Forwarded-For` or `Forwarded` names the client.
    Net(IpNet),
}
