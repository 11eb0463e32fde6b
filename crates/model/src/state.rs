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
    /// When a command last asked for a service to be started: what ended before that is started again.
    pub started: BTreeMap<ServiceName, Timestamp>,
    /// Stopped services whose instances are to be made.
    #[serde(default)]
    pub make: BTreeSet<ServiceName>,
    /// Instances on their way out, and since when: they drain, stop, and (unless needed again) are removed.
    pub leaving: BTreeMap<InstanceId, Timestamp>,
    /// Instances to be replaced, because they are unhealthy or a command said so, and since when.
    pub replace: BTreeMap<InstanceId, Timestamp>,
    /// Restarts and replacements in a row, for backoff: how many, and when the last one was.
    pub attempts: BTreeMap<ServiceName, (u32, Timestamp)>,
    /// Instances of services with hooks that are being started: their start is over when the hooks have run, however often
    /// the agent dies in between.
    #[serde(default)]
    pub starting: BTreeSet<InstanceId>,
    /// The current release has just taken over and still has to show that it is no worse than the one before.
    #[serde(default)]
    pub watch: Option<Watch>,
}

impl StackState {
    /// The releases it speaks of: whoever decides has to know their definitions.
    pub fn releases(&self) -> BTreeSet<ReleaseNumber> {
        let deploy = self.deploy.iter().flat_map(|deploy| [Some(deploy.to), deploy.from]);
        let watched = self.watch.iter().map(|watch| Some(watch.back_to));
        deploy.chain(watched).chain([self.current]).flatten().collect()
    }
}

/// A release on trial after its switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The release to go back to.
    pub back_to: ReleaseNumber,
    /// When the watched one took the traffic.
    pub since: Timestamp,
    /// What the edge had answered until then, by upstream key.
    pub before: BTreeMap<String, Answers>,
}

/// Requests that the edge has answered for one upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// All of them.
    pub all: u64,
    /// Those with a status of 500 or more, the edge's own 502 to 504 included.
    pub failed: u64,
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
    /// Leave it as Docker Compose would have made it, and alone from then on.
    Eject,
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
    /// Hold-and-swap services whose swap has begun, and when.
    pub swapping: BTreeMap<ServiceName, Timestamp>,
    /// Why it goes back to an older release without having been asked to.
    #[serde(default)]
    pub back: Option<Failure>,
}

/// How far a deploy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "phase")]
pub enum Phase {
    /// Old instances serve; new ones are made and proven.
    Proving,
    /// All new ones are proven: routes point to them; old ones drain and go. Decided for good.
    Switched {
        at: Timestamp,
        /// What the edge had answered until then, by upstream key.
        #[serde(default)]
        answers: BTreeMap<String, Answers>,
    },
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
    /// The swap of `service` begins: these old instances leave.
    Swap { service: ServiceName, leaving: BTreeSet<InstanceId>, at: Timestamp },
    /// Everything new is proven: routes move, and these old instances leave.
    Switch { leaving: BTreeSet<InstanceId>, at: Timestamp, answers: BTreeMap<String, Answers> },
    /// The deploy failed.
    Fail { failure: Failure },
    /// Nothing of the other release is left: done, or undone.
    Settle,
    /// The release that took over has been well for a while: it is on trial no more.
    Trust,
    /// The release that took over is worse than the one before, which is deployed again.
    GoBack { failure: Failure, at: Timestamp },
    /// A command asked for the stack to go.
    Down { volumes: bool, at: Timestamp },
    /// Nothing is left of it.
    Gone,
    /// A command asked for the stack to be given to Docker Compose.
    Eject,
    /// A command stopped services.
    Stop { services: BTreeSet<ServiceName> },
    /// A command asked for instances of `services` to be made as release `to` has them, and not started. `leaving` are those
    /// in whose place they are made.
    Make { to: ReleaseNumber, services: BTreeSet<ServiceName>, leaving: BTreeSet<InstanceId>, at: Timestamp },
    /// These services have their instances.
    Made { services: BTreeSet<ServiceName> },
    /// A command started services again.
    Start { services: BTreeSet<ServiceName>, at: Timestamp },
    /// Instances are to be replaced.
    Replace { instances: BTreeSet<InstanceId>, at: Timestamp },
    /// Instances are no longer needed.
    Leave { instances: BTreeSet<InstanceId>, at: Timestamp },
    /// Instances with hooks are about to be started.
    Starting { instances: BTreeSet<InstanceId> },
    /// An instance was started and its hooks have run, well or not.
    Started { instance: InstanceId },
    /// Instances have gone, or run again: nothing is remembered of them.
    Forget { instances: BTreeSet<InstanceId> },
    /// A service is started once more after it ended by itself.
    Attempt { service: ServiceName, at: Timestamp },
    /// A service has been well for long enough to forget its attempts.
    Calm { service: ServiceName },
}
