//! What the edge does for all routes of one stack.

use crate::TrustedProxy;
use serde::{Deserialize, Serialize};

/// The settings of one stack that count for each of its routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    /// Proxies in front of the edge whose word about the client counts. From anybody else it is dropped.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Only these proxies may send requests at all.
    pub origin_lock: bool,
}
