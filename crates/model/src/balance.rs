//! How the requests of a route are spread over the instances of its service.

use crate::route::is_default;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `balance:` of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// To the instance with the fewest open requests (nginx's `least_conn`).
    #[default]
    LeastConn,
    /// To one after the other.
    RoundRobin,
    /// To the less busy of two that chance picks (nginx's `random two least_conn`).
    Random,
    /// All with the same key to the same instance as long as it is there; when instances come or go, only keys of
    /// those move (nginx's `hash … consistent`).
    Hash(HashKey),
    /// Clients stay with the instance that answered them first: a signed cookie of this name says which (nginx's
    /// `sticky`). Those without one go to the least busy.
    Sticky(String),
}

/// What requests of one instance have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashKey {
    /// The client's address.
    Client,
    /// The value of this request header. Requests without it go to the least busy instance.
    Header(String),
    /// The value of this cookie; likewise.
    Cookie(String),
}

/// `keepalive:` of a route: connections to instances that are kept for the next request. What is absent is the edge's own
/// choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keepalive {
    /// So many to one instance, for each thread of the edge (nginx's `keepalive`, for each of its processes).
    #[serde(skip_serializing_if = "is_default")]
    pub connections: Option<u32>,
    /// How long they are kept without a request (nginx's `keepalive_timeout`).
    #[serde(skip_serializing_if = "is_default")]
    pub idle: Option<Duration>,
    /// Requests that one takes (nginx's `keepalive_requests`).
    #[serde(skip_serializing_if = "is_default")]
    pub requests: Option<u32>,
}

/// `eject:` of a route: instances that fail again and again get no requests for a while, unless all do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    /// Failures in a row: answers with 5xx, and requests that got no answer.
    pub after: u32,
    /// How long at first. It doubles with each time that follows soon.
    pub pause: Duration,
}
