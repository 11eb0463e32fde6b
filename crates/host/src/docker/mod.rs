//! The Docker Engine, as one of the two places where instances run.
//!
//! Carries out what is asked and reports what is there. Knows nothing about plans, releases to come, readiness
//! or the journal: it decides nothing, retries nothing (but the event stream's connection) and probes only when
//! told to. What it creates carries Compose's labels and names, so that `docker compose` sees it as its own.
//!
//! Speaks the Engine's API itself (see `wire`), in the newest version that both sides know; no type of an HTTP
//! library leaves this module.

mod archive;
mod base_images;
mod build;
mod build_context;
mod build_trace;
mod buildx;
mod commit;
mod create;
mod credentials;
mod endpoint;
mod engine;
mod error;
mod events;
mod exec;
mod frames;
mod hook;
mod ignore;
mod image;
mod job;
mod labels;
mod lifecycle;
mod logs;
mod network;
mod observe;
mod plugin;
mod ports;
mod process;
mod push;
mod spec;
mod stats;
mod storage;
mod time;
mod top;
mod volume;
mod wire;

pub use archive::{Archive, PathStat};
pub use build::{BuildOrder, BuildProgress, StepState};
pub use commit::Commit;
pub use create::Creation;
pub use engine::{ApiVersion, CgroupVersion, EngineInfo, Reach};
pub use error::{DockerError, Unreachable};
pub use events::{ContainerAction, ContainerEvent, Events, News};
pub use exec::{ExecInput, ExecOutput, ExecRequest, ExecSession, Probed};
pub use frames::Output;
pub use hook::{HookEnd, PreStart};
pub use ignore::Ignore;
pub use image::{ImageInfo, PullProgress};
pub use job::{Attached, Job, JobEnd, OneOff};
pub use logs::{LogLine, LogRequest, LogStream};
pub use plugin::{Given, ProviderPlugin};
pub use stats::Stats;
pub use top::Processes;
pub use volume::VolumeInfo;

use std::path::Path;
use std::sync::Arc;

/// A way to one Engine. Cheap to clone; every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Docker {
    wire: Arc<wire::Wire>,
    engine: Arc<EngineInfo>,
    /// Directory of the `config.json` that has the logins for registries.
    logins: Option<Arc<Path>>,
}

impl Docker {
    /// Finds the Engine and agrees with it on the version of the API. `host` has the form of `DOCKER_HOST`;
    /// without it that variable counts, then the usual sockets (the system's, rootless, Docker Desktop's).
    ///
    /// # Errors
    /// [`DockerError::BadHost`], [`DockerError::Unreachable`], [`DockerError::ApiTooOld`],
    /// [`DockerError::ApiTooNew`].
    pub async fn connect(host: Option<&str>) -> Result<Self, DockerError> {
        let endpoint = match host {
            Some(host) => endpoint::Endpoint::parse(host)?,
            None => endpoint::Endpoint::from_environment()?,
        };
        let (wire, engine) = engine::greet(endpoint).await?;
        let logins = credentials::usual_directory().map(Into::into);
        Ok(Self { wire: Arc::new(wire), engine: Arc::new(engine), logins })
    }

    /// Takes the logins for registries from `config.json` in `directory`, rather than from where `docker login` of
    /// this process's user keeps them. An agent is often another user than who logged in.
    #[must_use]
    pub fn with_logins(mut self, directory: &Path) -> Self {
        self.logins = Some(directory.into());
        self
    }

    /// What the Engine said about itself when it was connected to.
    pub fn engine(&self) -> &EngineInfo {
        &self.engine
    }
}
