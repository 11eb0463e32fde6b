//! What was seen, and what could not be seen.

use crate::table::{EdgeStatus, RouteTable};
use crate::{Instance, InstanceId, RuntimeKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An observation of something outside this process. Unknown is not absent: nothing is removed or made on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen<T> {
    /// Seen.
    Known(T),
    /// Could not be seen, and why.
    Unknown(String),
}

impl<T> Seen<T> {
    /// The value, where seen.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// One look at the host, for one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Every instance of the stack, release jobs excluded, by runtime.
    pub instances: BTreeMap<RuntimeKind, Seen<BTreeMap<InstanceId, Instance>>>,
    /// Networks of the stack that exist, by key.
    pub networks: BTreeSet<String>,
    /// Volumes of the stack that exist, by key.
    pub volumes: BTreeSet<String>,
    /// The edge's own report.
    pub edge: Seen<EdgeStatus>,
    /// This stack's part of the table that the edge has in force, where that is known.
    pub table: Option<RouteTable>,
    /// Memory of the host not promised to anything else, bytes; what a second copy has to fit into.
    pub free_memory: Option<u64>,
}

impl Observed {
    /// All instances that were seen.
    pub fn all(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values().filter_map(Seen::known).flat_map(BTreeMap::values)
    }

    /// Why instances of `runtime` could not be seen, if so.
    pub fn blind_to(&self, runtime: RuntimeKind) -> Option<&str> {
        match self.instances.get(&runtime) {
            Some(Seen::Known(_)) => None,
            Some(Seen::Unknown(why)) => Some(why),
            None => Some("not observed yet"),
        }
    }
}
