//! How much a client may ask for: rates, and requests at once.

use serde::{Deserialize, Serialize};

/// One entry of `x-mainstay: edge: limits:`, shared by all routes that name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    pub kind: LimitKind,
    /// Whose requests are counted together.
    #[serde(default)]
    pub key: LimitKey,
    /// Keys remembered at once; beyond that the least recently seen one is forgotten (nginx's zone size).
    pub keys: u32,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitKind {
    /// A leaky bucket, with the meaning of nginx's `limit_req`.
    Rate(Rate),
    /// Requests under way at once, as nginx's `limit_conn` counts them.
    Connections(u32),
}

/// A rate and how far it may be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Thousandths of a request per second. nginx computes with these too: `5r/m` is 83, not 83.3.
    pub millis: u32,
    /// Requests above the rate that are taken before any is refused.
    pub burst: u32,
    /// Of these, how many pass at once; the others wait until the rate allows them. Equal to `burst` for `nodelay`.
    pub undelayed: u32,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitKey {
    /// Those of one client: an IPv4 address or an IPv6 /64, which is the least a subscriber is given.
    #[default]
    Client,
    /// Those with one value of this request header. Requests without it are not counted, as an empty key is not in nginx.
    Header(String),
    /// All of one route.
    Route,
}
