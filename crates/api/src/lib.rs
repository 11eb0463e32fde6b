//! The control API: what the agent answers and accepts on its unix socket, and the client that asks.
//!
//! HTTP/1.1 with JSON bodies; answers that take time are streams of JSON lines ([`Progress`], [`LogEntry`]). `exec`
//! and `run` upgrade the connection to [`frame`]s. Knows nothing about how anything is done. No view holds a secret.

mod client;
pub mod frame;
mod progress;
mod request;
mod view;

pub use client::{Client, ClientError, Lines, Pieces};
pub use progress::{Outcome, Progress, StepState};
pub use request::{
    AttachRequest, CommandRequest, CommitRequest, CopyQuery, DeployRequest, DownRequest, EventQuery,
    ExecRequest, ImagesRequest, InstanceQuery, LogQuery, PortQuery, PullWish, Recreate, RemoveImagesRequest,
    RollbackRequest, RunRequest, ServicesRequest, SignalRequest,
};
pub use view::{
    AgentInfo, EngineView, ExitView, ImageView, InstanceView, LogEntry, PathView, PlanView, PlannedStep,
    ProcessesView, ReleaseStatus, ReleaseView, RouteView, ServiceView, StackSummary, StackView, VolumeView,
};
