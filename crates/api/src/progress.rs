//! What a command is told while it waits.

use crate::PlanView;
use mainstay_model::{InstanceId, ReleaseNumber, ServiceName};
use serde::{Deserialize, Serialize};

/// One line of a progress stream. The last line is `Done`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Progress {
    /// Another deploy is under way; this one waits for its end.
    Queued { behind: ReleaseNumber },
    /// What is going to be done.
    Plan { plan: PlanView },
    /// A layer of an image, or the image as a whole.
    Pull { service: ServiceName, image: String, layer: String, status: String, current: u64, total: u64 },
    /// A step of a build began, ended, or was found in the cache; or it printed a line.
    Build { service: ServiceName, step: String, state: StepState, line: Option<String> },
    /// A step of the deploy.
    Step { name: String, subject: String, why: String, state: StepState },
    /// State of one instance changed; with its exit status when it ended.
    Instance {
        instance: InstanceId,
        state: String,
        #[serde(default)]
        exit_code: Option<i32>,
    },
    /// A line that a release job printed.
    Job { service: ServiceName, line: String },
    /// Services that wait, and for what.
    Waiting { services: Vec<(ServiceName, String)> },
    /// The deploy switched: new instances take the traffic.
    Switched { release: ReleaseNumber },
    /// Something worth knowing.
    Note { text: String },
    /// The end.
    Done { outcome: Outcome },
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Was done before.
    Cached,
    /// Failed.
    Failed,
}

/// How a command ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether it did what was asked for.
    pub ok: bool,
    /// The release that serves now.
    pub release: Option<ReleaseNumber>,
    /// One sentence.
    pub message: String,
    /// The service at fault.
    pub service: Option<ServiceName>,
    /// Last lines of its log.
    pub log: Vec<String>,
    /// Stable code of the error, `A0203` say.
    pub code: Option<String>,
}
