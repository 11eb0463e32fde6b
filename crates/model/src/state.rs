//! What the journal holds for a stack: the only memory that a decision may rest on besides what is seen.
//!
//! It changes by [`Transition`]s alone, each written to the journal before anything is done because of it. How
//! a transition changes the state is `plan`'s.

use crate::{InstanceId, ReleaseNumber, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Durable state of one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackState {
    /// Counts transitions; a step planned from an older state is refused.
    pub generation: u64,
    /// The release that serves. `None`: nothing was ever up, or the stack is down.
    pub current: Option<ReleaseNumber>,
    /// The deploy under way.
    pub deploy: Option<Deploy>,
    /// What is wanted of the stack as a whole.
    pub wish: Wish,
    /// Services stopped by command.
    pub stopped: BTreeSet<ServiceName>,
    /// Services that a command wants restarted, and the instances that it meant.
    pub restart: BTreeMap<ServiceName, BTreeSet<InstanceId>>,
    /// Instances of the current release that are being replaced because they are unhealthy.
    pub replace: BTreeSet<InstanceId>,
    /// Restarts of native instances and replacements, for backoff: how many, and when the last one was.
    pub attempts: BTreeMap<ServiceName, (u32, Timestamp)>,
    /// Highest slot handed out, by service and release: slots are never used twice.
    pub slots: BTreeMap<ServiceName, (ReleaseNumber, u32)>,
}

/// What is wanted of a stack as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "wish")]
pub enum Wish {
    /// Run it.
    #[default]
    Up,
    /// Remove its instances and networks, and its volumes where asked.
    Down { volumes: bool },
}

/// The move from one release to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The release to come.
    pub to: ReleaseNumber,
    /// The release that serves until then, and again when this fails.
    pub from: Option<ReleaseNumber>,
    /// When it began.
    pub started: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// Release jobs that ended well, so that none runs twice.
    pub jobs_done: BTreeSet<ServiceName>,
    /// Hold-and-swap services whose old instances may be stopped from now on.
    pub swapping: BTreeSet<ServiceName>,
}

/// How far a deploy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "phase")]
pub enum Phase {
    /// Old instances serve; new ones are made and proven.
    Proving,
    /// All new ones are proven: routes point to them; old ones drain and go. Decided for good.
    Switched { at: Timestamp },
    /// It failed: new instances go, stopped old ones come back.
    Undoing { failure: Failure },
}

/// Why a deploy failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The service at fault, where one is.
    pub service: Option<ServiceName>,
    /// The instance at fault, where one is.
    pub instance: Option<InstanceId>,
    /// One sentence.
    pub why: String,
    /// Last lines of its log.
    pub log: Vec<String>,
}

/// A change of [`StackState`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "transition")]
pub enum Transition {
    /// A command asked for release `to`.
    Begin { to: ReleaseNumber, at: Timestamp },
    /// The release job of `service` ended well.
    JobDone { service: ServiceName },
    /// The swap of `service` begins.
    Swap { service: ServiceName },
    /// Everything new is proven.
    Switch { at: Timestamp },
    /// The deploy failed.
    Fail { failure: Failure },
    /// Nothing of the other release is left: done, or undone.
    Settle,
    /// A command asked for the stack to go.
    Down { volumes: bool },
    /// Nothing is left of it.
    Gone,
    /// A command stopped services.
    Stop { services: BTreeSet<ServiceName> },
    /// A command started services again.
    Start { services: BTreeSet<ServiceName> },
    /// A command asked for a restart of these instances.
    Restart { instances: BTreeSet<InstanceId> },
    /// A restart asked for is done.
    Restarted { instance: InstanceId },
    /// An unhealthy instance is to be replaced.
    Replace { instance: InstanceId, at: Timestamp },
    /// It has been.
    Replaced { instance: InstanceId },
    /// A slot was given to a new instance.
    Slot { instance: InstanceId },
    /// A native instance is started again.
    Attempt { service: ServiceName, at: Timestamp },
    /// A service has been well for long enough to forget its attempts.
    Calm { service: ServiceName },
}
