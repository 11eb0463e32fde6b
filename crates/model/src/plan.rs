//! What is to be done, each piece with nothing left to choose, and why the rest waits.

use crate::{InstanceId, ReleaseNumber, ServiceName, Timestamp, Transition, table::RouteTable};
use serde::{Deserialize, Serialize};

/// The outcome of one decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Plan {
    /// The state it was decided from; steps of an older generation are refused.
    pub generation: u64,
    /// What can be done now, independent of one another.
    pub steps: Vec<(Step, Reason)>,
    /// What cannot yet, and why.
    pub waiting: Vec<Waiting>,
    /// When to decide again even if nothing happens.
    pub wake: Option<Timestamp>,
}

/// Why a step is taken, for people.
pub type Reason = String;

/// Something that has to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The service that waits.
    pub service: ServiceName,
    /// For what.
    pub why: String,
}

/// One thing to do. Carrying out a step twice is the same as once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// Write a transition to the journal.
    Record { transition: Transition },
    /// Make a network of the release's stack, by key.
    CreateNetwork { release: ReleaseNumber, key: String },
    /// Make a volume, by key.
    CreateVolume { release: ReleaseNumber, key: String },
    /// Make an instance, not yet running. `release` is the one whose definition is used.
    Create { instance: InstanceId, release: ReleaseNumber, name: String, number: u32 },
    /// Start it and run its `post_start:` hooks; with `prepare` the containers of `pre_start:` run before. One that runs
    /// already has the hooks alone left to do.
    Start { instance: InstanceId, prepare: bool },
    /// Run its `pre_stop:` hooks, stop it with its signal, kill it after `grace_ms`.
    Stop { instance: InstanceId, grace_ms: u64 },
    /// Remove what is left of it, anonymous volumes included.
    Remove { instance: InstanceId },
    /// Give it its final name.
    Rename { instance: InstanceId, name: String },
    /// Run the release job of a service to its end.
    RunJob { service: ServiceName, release: ReleaseNumber },
    /// Give the edge this stack's part of the table.
    Route { table: RouteTable },
    /// Remove a network, by key.
    RemoveNetwork { key: String },
    /// Remove a volume, by key.
    RemoveVolume { key: String },
}

/// What a step is about: two steps with the same key never run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKey {
    /// The journal.
    Journal,
    /// The edge.
    Edge,
    /// One instance's life: while a step is about it, it is being made, started, stopped or removed.
    Instance(InstanceId),
    /// One instance's name.
    Name(InstanceId),
    /// The release job of one service.
    Job(ServiceName),
    /// One network.
    Network(String),
    /// One volume.
    Volume(String),
}

impl Step {
    /// What it is about.
    pub fn key(&self) -> StepKey {
        match self {
            Self::Record { .. } => StepKey::Journal,
            Self::Route { .. } => StepKey::Edge,
            Self::CreateNetwork { key, .. } | Self::RemoveNetwork { key } => StepKey::Network(key.clone()),
            Self::CreateVolume { key, .. } | Self::RemoveVolume { key } => StepKey::Volume(key.clone()),
            Self::RunJob { service, .. } => StepKey::Job(service.clone()),
            Self::Create { instance, .. }
            | Self::Start { instance, .. }
            | Self::Stop { instance, .. }
            | Self::Remove { instance } => StepKey::Instance(instance.clone()),
            Self::Rename { instance, .. } => StepKey::Name(instance.clone()),
        }
    }
}
