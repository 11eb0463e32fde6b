//! How an upstream is spoken to.

use crate::Secret;
use crate::route::is_default;
use serde::{Deserialize, Serialize};

/// What lies between the edge and an upstream. The default is HTTP/1.1 over TCP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Transport {
    /// `scheme:` of a service's route, or that of the addresses under `to:`.
    pub scheme: Scheme,
    /// `upstream_tls:`; counts where TLS is spoken only.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: UpstreamTls,
    /// `send_proxy:`: each connection begins with a header that says who the client is.
    #[serde(skip_serializing_if = "is_default")]
    pub send_proxy: Option<ProxyVersion>,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What is spoken with an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP/1.1.
    #[default]
    Http,
    /// The same through TLS.
    Https,
    /// HTTP/2 by prior knowledge.
    H2c,
    /// The same through TLS, agreed on by ALPN.
    H2,
}

impl Scheme {
    /// Whether TLS is spoken.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::H2)
    }

    /// Whether HTTP/2 is spoken.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::H2c | Self::H2)
    }

    /// The port meant where an address has none.
    pub fn default_port(self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }
}

/// How TLS is spoken with an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamTls {
    /// PEM: the authorities whose certificates are believed; the system's when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub ca: Option<String>,
    /// The name that is asked for and that the certificate must have; the upstream's host when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub server_name: Option<String>,
    /// Any certificate is believed: whoever stands between can read and change everything.
    #[serde(skip_serializing_if = "is_default")]
    pub unverified: bool,
    /// What the edge shows of itself when the upstream asks.
    #[serde(skip_serializing_if = "is_default")]
    pub identity: Option<ClientIdentity>,
}

/// A certificate that the edge shows to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientIdentity {
    /// PEM, the certificate first.
    pub chain: String,
    /// PEM.
    pub key: Secret,
}
