//! Who may use a route: networks, passwords, an authentication server, tokens, signatures.

use crate::Secret;
use crate::route::is_default;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `access:` of a route or of the edge. Whatever is said must hold; nothing is asked where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// The first that fits a client decides; a client that none fits may pass, as with nginx's `allow` and `deny`.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: Vec<NetworkRule>,
    /// Names and passwords (RFC 7617).
    #[serde(skip_serializing_if = "is_default")]
    pub basic: Option<BasicAuth>,
    /// A server that is asked about each request.
    #[serde(skip_serializing_if = "is_default")]
    pub forward: Option<ForwardAuth>,
    /// Signed tokens (RFC 7519).
    #[serde(skip_serializing_if = "is_default")]
    pub jwt: Option<Jwt>,
    /// Requests signed by who sends them.
    #[serde(skip_serializing_if = "is_default")]
    pub webhook: Option<Webhook>,
}

/// `allow NETWORK` or `deny NETWORK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRule {
    /// Whether clients from there may pass.
    pub allow: bool,
    /// Where it fits; everywhere when absent (`all`).
    pub network: Option<IpNet>,
}

/// `basic:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicAuth {
    /// What browsers show.
    pub realm: String,
    /// Hashes of passwords by user, in the forms of Argon2 (PHC string) or bcrypt.
    pub users: BTreeMap<String, Secret>,
}

/// `forward:`, the convention of Traefik's ForwardAuth, Authelia and oauth2-proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardAuth {
    /// Who is asked; 2xx lets a request through, everything else is the answer to the client.
    pub server: Asked,
    /// Fields of its answer that the service gets. The client's own of these names are dropped.
    pub headers: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// An HTTP server that the edge itself asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `http://…` or `https://…`.
    pub url: String,
    /// Where the host of an `http` URL is a service of the stack: key of its upstream, as the table has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
}

impl Asked {
    /// Host and port of an `http` URL, which may be a service of the stack.
    pub fn service_and_port(&self) -> Option<(&str, u16)> {
        let rest = self.url.strip_prefix("http://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        match authority.split_once(':') {
            Some((host, port)) => Some((host, port.parse().ok()?)),
            None => Some((authority, 80)),
        }
    }
}

/// `jwt:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwt {
    /// What tokens are verified with.
    pub keys: JwtKeys,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// `aud` must have one of these, where there are any.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Claims that the service gets, by name of the header. The client's own headers of these names are dropped.
    pub claims: BTreeMap<String, String>,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JwtKeys {
    /// One key: a shared secret or the PEM of a public key, and the one algorithm it is for.
    Key { material: Secret, algorithm: String },
    /// A JSON Web Key Set (RFC 7517).
    Set(Secret),
    /// The same, from where it is published.
    Url(Asked),
}

/// `webhook:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Who signs.
    pub sender: WebhookSender,
    /// Secrets that count; several while one replaces another.
    pub secrets: Vec<Secret>,
    /// How old a signature may be that says when it was made.
    pub tolerance: Duration,
    /// Largest body in bytes: it is held until its signature was checked.
    pub max_body: u64,
}

/// Who signs requests, and so how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookSender {
    /// `Stripe-Signature: t=…,v1=…`.
    Stripe,
    /// `X-Hub-Signature-256: sha256=…`.
    GitHub,
}

impl Access {
    /// The servers that are asked.
    pub fn asked(&self) -> impl Iterator<Item = &Asked> {
        let by_token = self.jwt.iter().filter_map(|jwt| match &jwt.keys {
            JwtKeys::Url(asked) => Some(asked),
            JwtKeys::Key { .. } | JwtKeys::Set(_) => None,
        });
        self.forward.iter().map(|forward| &forward.server).chain(by_token)
    }

    /// The same, to be changed.
    pub fn asked_mut(&mut self) -> impl Iterator<Item = &mut Asked> {
        let by_token = self.jwt.iter_mut().filter_map(|jwt| match &mut jwt.keys {
            JwtKeys::Url(asked) => Some(asked),
            JwtKeys::Key { .. } | JwtKeys::Set(_) => None,
        });
        self.forward.iter_mut().map(|forward| &mut forward.server).chain(by_token)
    }
}
