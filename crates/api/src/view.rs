//! What can be seen.

use mainstay_model::{InstanceId, ReleaseNumber, RuntimeKind, ServiceName, StackName, Timestamp};
use serde::{Deserialize, Serialize};

/// `GET /v1/info`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Version of the agent.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Where its state is.
    pub state_dir: String,
    /// The Docker Engine, where a stack needs one or one was reached.
    pub engine: Option<EngineView>,
    /// The edge's process id, where it runs.
    pub edge_pid: Option<u32>,
    /// Where HTTP is served.
    pub http: Option<String>,
}

/// A Docker Engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineView {
    /// Its version.
    pub version: String,
    /// The API version in use.
    pub api: String,
    /// Why it cannot be reached, if so.
    pub unreachable: Option<String>,
}

/// One entry of `GET /v1/stacks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StackSummary {
    /// Its name.
    pub name: StackName,
    /// `running(3)`, `deploying`, `down` …
    pub status: String,
    /// Files it was read from.
    pub files: Vec<String>,
}

/// `GET /v1/stacks/{stack}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StackView {
    /// Its name.
    pub name: StackName,
    /// The release that serves.
    pub release: Option<ReleaseNumber>,
    /// The deploy under way, in words.
    pub deploy: Option<String>,
    /// The release is on trial since it took over; should it turn out worse, this one is gone back to.
    #[serde(default)]
    pub back_to: Option<ReleaseNumber>,
    /// Why what is shown may be old: the runtime could not be seen.
    pub blind: Option<String>,
    /// Its services, by name.
    pub services: Vec<ServiceView>,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// Where it runs; nowhere, where it is nothing but files.
    pub runtime: Option<RuntimeKind>,
    /// Image, where it has one.
    pub image: Option<String>,
    /// Copies wanted.
    pub replicas: u32,
    /// `crash loop`, `stopped`, waiting for something …; empty when all is as wanted.
    pub note: String,
    /// Its instances.
    pub instances: Vec<InstanceView>,
    /// What it is reached by.
    pub routes: Vec<RouteView>,
}

/// One instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceView {
    /// Which copy.
    pub id: InstanceId,
    /// Container or process name.
    pub name: String,
    /// Container id, or process id as text.
    pub handle: String,
    /// `created`, `running`, `restarting`, `paused`, `exited`, `dead`.
    pub state: String,
    /// `starting`, `ready`, `unhealthy`; empty when not running.
    pub health: String,
    /// Why it is unhealthy, or how it ended.
    pub detail: String,
    /// Since when it is in this state.
    pub since: Option<Timestamp>,
    /// Times it was restarted.
    pub restarts: u32,
    /// Exit status, where it ended.
    pub exit_code: Option<i32>,
    /// Share of one CPU over the last moments, in percent.
    pub cpu_percent: Option<f64>,
    /// Memory in use, bytes.
    pub memory: Option<u64>,
    /// Its limit, bytes.
    pub memory_limit: Option<u64>,
    /// Bytes received and sent on all networks since it started; of containers only.
    #[serde(default)]
    pub network: Option<(u64, u64)>,
    /// Bytes read from and written to block devices since it started; of containers only.
    #[serde(default)]
    pub block: Option<(u64, u64)>,
    /// Processes and threads.
    #[serde(default)]
    pub pids: Option<u64>,
    /// Whether the edge sends it requests.
    pub in_rotation: bool,
}

/// One route or published port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RouteView {
    /// Such as `posthub.work/api/` or `:5432`.
    pub from: String,
    /// A URL that reaches it from this host, for HTTP routes.
    pub url: Option<String>,
}

/// One release.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseView {
    /// Its number.
    pub number: ReleaseNumber,
    /// What became of it.
    pub status: ReleaseStatus,
    /// When it was made.
    pub created: Timestamp,
    /// Services that differ from the release before, in words.
    pub changes: Vec<String>,
    /// Why it failed, if so.
    pub failure: Option<String>,
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseStatus {
    /// It serves.
    Serving,
    /// It is being deployed.
    Deploying,
    /// It served before.
    Superseded,
    /// Its deploy failed and was undone.
    Failed,
    /// It was made and never deployed.
    Unused,
}

/// What a deploy would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanView {
    /// The release that serves now.
    pub from: Option<ReleaseNumber>,
    /// What is done, in order as far as it can be foreseen.
    pub steps: Vec<PlannedStep>,
    /// Services that stay as they are.
    pub unchanged: Vec<ServiceName>,
    /// What is worth knowing beforehand.
    pub notes: Vec<String>,
}

/// One thing a deploy would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedStep {
    /// `pull`, `build`, `create`, `replace`, `swap`, `scale`, `remove`, `job`, `network`, `volume`, `route`.
    pub verb: String,
    /// Service, network or volume.
    pub subject: String,
    /// How and why, in words.
    pub why: String,
}

/// One line of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub at: Timestamp,
    /// Service.
    pub service: ServiceName,
    /// Instance.
    pub instance: String,
    /// True for standard error.
    pub stderr: bool,
    /// The line without its end.
    pub line: String,
}

/// Processes of one instance: `POST …/top`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessesView {
    /// Service.
    pub service: ServiceName,
    /// Instance.
    pub name: String,
    /// Names of the columns.
    pub titles: Vec<String>,
    /// One row a process.
    pub processes: Vec<Vec<String>>,
}

/// The image of one container: `POST …/images`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageView {
    /// Service.
    pub service: ServiceName,
    /// Container.
    pub container: String,
    /// The name that it was made by.
    pub reference: String,
    /// Its id.
    pub id: String,
    /// `os/architecture`.
    pub platform: String,
    /// Bytes; unknown when the image is gone.
    pub size: Option<u64>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// A volume of the stack: `GET …/volumes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeView {
    /// Its name.
    pub name: String,
    /// Its key in the file.
    pub key: String,
    /// Who keeps it.
    pub driver: String,
    /// Where it is on the host of the Engine.
    pub mountpoint: String,
}

/// An instance that has ended: a line of `POST …/wait`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExitView {
    /// Service.
    pub service: ServiceName,
    /// Instance.
    pub name: String,
    /// Exit status.
    pub code: i32,
}

/// What a path inside an instance is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct PathView {
    /// A directory.
    pub is_directory: bool,
}
