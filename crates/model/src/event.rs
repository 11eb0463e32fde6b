//! What happened, for the journal and for people.

use crate::{ReleaseNumber, ServiceName, StackName, Timestamp};
use serde::{Deserialize, Serialize};

/// One line of a stack's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Of which stack.
    pub stack: StackName,
    /// Of which service, where it concerns one.
    pub service: Option<ServiceName>,
    /// Of which instance, where it concerns one.
    pub instance: Option<String>,
    /// In which deploy or release, where it concerns one.
    pub release: Option<ReleaseNumber>,
    /// What.
    pub kind: EventKind,
    /// One sentence for people; free of secrets.
    pub message: String,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A deploy began.
    DeployStarted,
    /// All new instances were proven and routes moved.
    DeploySwitched,
    /// A deploy is complete.
    DeployFinished,
    /// A deploy failed and is being undone.
    DeployFailed,
    /// A failed deploy has been undone.
    DeployUndone,
    /// A step began, with its reason.
    StepStarted,
    /// A step is done.
    StepDone,
    /// A step failed.
    StepFailed,
    /// An instance became ready.
    Ready,
    /// An instance became unhealthy.
    Unhealthy,
    /// An instance ended by itself.
    Exited,
    /// An instance was killed for lack of memory.
    OutOfMemory,
    /// An instance was restarted.
    Restarted,
    /// An instance fails again and again.
    CrashLoop,
    /// Progress of a pull, build or job, in its own words.
    Progress,
    /// Anything else worth knowing.
    Note,
}
