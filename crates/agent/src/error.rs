//! What the agent can fail at, with the codes that `docs/errors/` explains.

use mainstay_host::docker::DockerError;
use mainstay_host::journal::JournalError;
use mainstay_host::native::NativeError;
use mainstay_model::{ReleaseNumber, ServiceName, StackName};
use std::io;
use std::path::PathBuf;

/// A failure of the agent, or of what it was asked to do. Nothing was changed, unless the message says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The Docker Engine.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// A native instance.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// The edge.
    #[error("the edge: {0}")]
    Edge(String),
    /// A file or socket of the agent.
    #[error("cannot {what} {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The stack is not known.
    #[error("there is no stack `{0}`")]
    NoStack(StackName),
    /// The service is not known.
    #[error("stack `{stack}` has no service `{service}`")]
    NoService { stack: StackName, service: ServiceName },
    /// No instance of it runs.
    #[error("no instance of `{0}` is running")]
    NotRunning(ServiceName),
    /// It has no instance, running or not.
    #[error("`{0}` has no instance")]
    NoInstance(ServiceName),
    /// There is nothing to go back to.
    #[error("there is no earlier release to go back to")]
    NoEarlierRelease,
    /// A deploy is under way and the caller does not want to wait.
    #[error("release {0} is being deployed")]
    Busy(ReleaseNumber),
    /// The stack is being taken down.
    #[error("the stack is being taken down")]
    GoingDown,
    /// The stack is no longer ours.
    #[error("the stack was given to Docker Compose")]
    Ejected,
    /// The stack has what Docker Compose cannot run.
    #[error("Docker Compose cannot run it: {0}")]
    NotForCompose(String),
    /// The service cannot be had as the file says.
    #[error("service `{service}`: {why}")]
    Service { service: ServiceName, why: String },
    /// A lifecycle hook failed.
    #[error("`{hook}` of `{service}` {why}")]
    Hook { service: ServiceName, hook: String, why: String, log: Vec<String> },
    /// An external network or volume does not exist.
    #[error("{kind} `{name}` is external and does not exist")]
    NoExternal { kind: &'static str, name: String },
    /// A port that is to be published is taken.
    #[error("{0}")]
    Port(String),
    /// The request makes no sense.
    #[error("cannot read the request: {0}")]
    Request(String),
    /// The task of a stack has ended.
    #[error("the agent is ending")]
    Ending,
}

impl Error {
    /// Stable code; `docs/errors/<CODE>.md` says what to do.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Journal(JournalError::InUse { .. }) => "A0101",
            Self::Journal(JournalError::NotWritable { .. }) => "A0102",
            Self::Journal(JournalError::Full { .. }) => "A0103",
            Self::Journal(JournalError::Corrupt { .. } | JournalError::TooNew { .. }) => "A0104",
            Self::Journal(JournalError::NoRelease { .. }) => "A0303",
            Self::Journal(_) => "A0105",
            Self::File { .. } => "A0106",
            Self::Docker(error) => docker_code(error),
            Self::Native(_) => "A0401",
            Self::Edge(_) => "A0501",
            Self::Port(_) => "A0502",
            Self::NoStack(_) => "A0301",
            Self::NoService { .. } => "A0302",
            Self::NotRunning(_) | Self::NoInstance(_) => "A0304",
            Self::NoEarlierRelease => "A0305",
            Self::Busy(_) => "A0306",
            Self::GoingDown => "A0307",
            Self::Service { .. } => "A0308",
            Self::NoExternal { .. } => "A0309",
            Self::Ejected => "A0311",
            Self::NotForCompose(_) => "A0312",
            Self::Hook { .. } => "A0313",
            Self::Ending => "A0107",
            Self::Request(_) => "A0108",
        }
    }

    /// Whether the same thing may well work a moment later: the other side was not there.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Docker(
                DockerError::Unreachable { .. } | DockerError::Silent { .. } | DockerError::Broken { .. }
            ) | Self::Edge(_)
        )
    }

    /// The message with those of its sources.
    pub(crate) fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        text
    }

    /// Last lines of what failed, where there are some.
    pub(crate) fn log(&self) -> Vec<String> {
        match self {
            Self::Docker(DockerError::BuildFailed { log, .. }) | Self::Hook { log, .. } => log.clone(),
            _ => Vec::new(),
        }
    }
}

fn docker_code(error: &DockerError) -> &'static str {
    match error {
        DockerError::Unreachable { .. } | DockerError::BadHost { .. } => "A0201",
        DockerError::ApiTooOld { .. } | DockerError::ApiTooNew { .. } | DockerError::Unsupported { .. } => {
            "A0202"
        }
        DockerError::ImageMissing { .. }
        | DockerError::ImageUnknown { .. }
        | DockerError::PullFailed { .. }
        | DockerError::PushFailed { .. } => "A0203",
        DockerError::BuildFailed { .. } => "A0204",
        DockerError::Plugin { .. } => "A0314",
        DockerError::PortTaken { .. } => "A0502",
        DockerError::NameInUse { .. } => "A0205",
        _ => "A0206",
    }
}
