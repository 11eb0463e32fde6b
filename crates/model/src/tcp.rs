//! Connections that are passed on without a look inside.

use crate::{HostPattern, ProxyVersion};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One entry of `x-mainstay: edge: tcp:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpRoute {
    /// Where the edge listens.
    pub listen: SocketAddr,
    /// Names that clients ask for in TLS; empty for all connections, or for those that no other entry on the address takes.
    #[serde(default, skip_serializing_if = "crate::route::is_default")]
    pub names: Vec<HostPattern>,
    /// `host:port` of each upstream; a host that is a service of the stack means its instances.
    pub to: Vec<String>,
    /// Connections begin with a header that says who the client is.
    #[serde(default, skip_serializing_if = "crate::route::is_default")]
    pub send_proxy: Option<ProxyVersion>,
}

impl TcpRoute {
    /// Host and port, where there is one upstream: it may be a service.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let [only] = self.to.as_slice() else { return None };
        let (host, port) = only.rsplit_once(':')?;
        Some((host, port.parse().ok()?))
    }
}
