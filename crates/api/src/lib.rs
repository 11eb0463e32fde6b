//! The control API: what the agent answers and accepts on its unix socket, and the client that asks.
//!
//! HTTP/1.1 with JSON bodies; answers that take time are streams of JSON lines ([`Progress`], [`LogEntry`]). `exec`
//! and `run` upgrade the connection to [`frame`]s. Knows nothing about how anything is done. No view holds a secret.

mod client;
pub mod frame;
mod progress;
mod request;
mod view;

pub use client::{Client, ClientError, Lines};
pub use progress::{Outcome, Progress, StepState};
pub use request::{
    CommandRequest, DeployRequest, DownRequest, ExecRequest, LogQuery, PullWish, RollbackRequest,
    ServicesRequest,
};
pub use view::{
    AgentInfo, EngineView, InstanceView, LogEntry, PlanView, PlannedStep, ReleaseStatus, ReleaseView,
    RouteView, ServiceView, StackSummary, StackView,
};
