//! How the requests of a route are spread over the instances of its service.

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

/// `eject:` of a route: instances that fail again and again get no requests for a while, unless all do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    /// Failures in a row: answers with 5xx, and requests that got no answer.
    pub after: u32,
    /// How long at first. It doubles with each time that follows soon.
    pub pause: Duration,
}
