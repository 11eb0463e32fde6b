//! What a command can fail with. Rendering is `render::error`'s.

use crate::exit::Exit;
use mainstay_api::{ClientError, Outcome};
use mainstay_config::{Diagnostic, Texts};
use std::io;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stack file has errors; they are shown one by one.
    #[error("the stack cannot be used")]
    Stack(Box<Findings>),
    /// The agent could not be asked, or refused.
    #[error(transparent)]
    Agent(#[from] ClientError),
    /// What the agent did came to a bad end.
    #[error("{}", .0.message)]
    Outcome(Box<Outcome>),
    /// A file or directory stands in the way.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The state directory cannot be used.
    #[error("the state directory {} cannot be used", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The agent ended right after its start; the last lines it wrote.
    #[error("the agent could not be started")]
    AgentDied {
        /// What it wrote.
        log: Vec<String>,
    },
    /// The agent was started and does not answer.
    #[error("the agent was started and does not answer")]
    AgentMute {
        /// Where its log is.
        log: PathBuf,
    },
    /// It is not known which stack is meant.
    #[error("there is no stack file here, so it is not known which stack is meant")]
    WhichStack {
        /// Stacks that the agent knows.
        known: Vec<String>,
    },
    /// A name that cannot be one.
    #[error(transparent)]
    Name(#[from] mainstay_model::InvalidName),
    /// An argument that cannot be understood.
    #[error("`{value}` is not {expected}")]
    Argument {
        /// What was typed.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A template names a field that is not there.
    #[error("there is no field `{name}` to print")]
    Field {
        /// What was typed.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// A flag of Compose that is refused.
    #[error("{command}: `{flag}` is a flag of Compose that Mainstay does not have: {instead}")]
    Refused {
        /// The command.
        command: &'static str,
        /// The flag.
        flag: String,
        /// What to do.
        instead: &'static str,
    },
    /// What was waited for did not come about.
    #[error("not ready within {seconds} seconds; it goes on (`mainstay ps` shows how)")]
    NotInTime {
        /// How long was waited.
        seconds: u64,
    },
    /// `exec` or `run` could not run the command.
    #[error("{0}")]
    NotRun(String),
    /// The terminal refused.
    #[error("the terminal cannot be used")]
    Terminal(#[source] io::Error),
    /// Standard output is closed.
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    /// A process of ours could not be run.
    #[error("{what}")]
    Process {
        /// One sentence.
        what: String,
        /// Why, where the system said so.
        #[source]
        source: io::Error,
    },
    /// A phase of the demo did not go as it should.
    #[error("the demo stopped in phase “{phase}”: {why}")]
    Demo {
        /// Which phase.
        phase: &'static str,
        /// What went wrong.
        why: String,
    },
    /// `install` or `uninstall` could not do its work.
    #[error("{what}")]
    Install {
        /// One sentence.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// A long-running process of ours (agent, edge) failed.
    #[error("{message}")]
    Service {
        /// One sentence.
        message: String,
        /// Its code.
        code: Option<String>,
        /// Causes, outermost first.
        causes: Vec<String>,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Findings of the stack file with the texts they point into.
#[derive(Debug)]
pub struct Findings {
    /// What was found.
    pub diagnostics: Vec<Diagnostic>,
    /// The files.
    pub texts: Texts,
}

impl Error {
    /// For `map_err`: a failure while trying to `action` the file at `path`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Its stable code, which opens `docs/errors/<CODE>.md`.
    pub fn code(&self) -> Option<&str> {
        Some(match self {
            Self::Stack(_) | Self::Interrupted => return None,
            Self::Outcome(outcome) => return outcome.code.as_deref(),
            Self::Service { code, .. } => return code.as_deref(),
            Self::Agent(ClientError::Refused { code, .. }) => return code.as_deref(),
            Self::StateDir { .. } => "X0001",
            Self::AgentDied { .. } => "X0002",
            Self::AgentMute { .. } => "X0003",
            Self::Agent(ClientError::NotRunning { .. }) => "X0004",
            Self::Agent(ClientError::Forbidden { .. }) => "X0005",
            Self::Agent(ClientError::Broken(_)) => "X0006",
            Self::Agent(ClientError::Unreadable(_)) => "X0007",
            Self::WhichStack { .. } => "X0008",
            Self::Name(_) | Self::Argument { .. } | Self::Field { .. } => "X0009",
            Self::Output(_) => "X0010",
            Self::Terminal(_) => "X0011",
            Self::Demo { .. } => "X0012",
            Self::Install { .. } => "X0013",
            Self::File { .. } | Self::Process { .. } => "X0014",
            Self::NotRun(_) => "X0015",
            Self::Refused { .. } => "X0016",
            Self::NotInTime { .. } => "X0017",
        })
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::StateDir { .. } => "choose another one with --state-dir or MAINSTAY_STATE_DIR".into(),
            Self::AgentMute { log } => format!("its log is {}", log.display()),
            Self::Agent(ClientError::NotRunning { .. }) => {
                "`mainstay up` starts it; `mainstay agent` runs it in the foreground".into()
            }
            Self::Agent(ClientError::Forbidden { .. }) => {
                "run as the user who owns the state directory, or choose another one with --state-dir".into()
            }
            Self::Agent(ClientError::Unreadable(_)) => {
                "agent and command are of different versions; restart the agent".into()
            }
            Self::WhichStack { known } if known.is_empty() => {
                "go to its directory, name its file with -f, or give its name with -p".into()
            }
            Self::WhichStack { known } => format!("name one with -p: {}", known.join(", ")),
            Self::Install { hint, .. } => hint.clone(),
            Self::Field { known, .. } => format!("these are: {known}"),
            _ => return None,
        })
    }

    /// The exit status.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Stack(_) => Exit::BadStack,
            Self::Agent(ClientError::Refused { code, .. }) => {
                of_code(code.as_deref()).unwrap_or(Exit::Failed)
            }
            Self::Agent(_) | Self::AgentDied { .. } | Self::AgentMute { .. } => Exit::NoAgent,
            Self::Outcome(outcome) => of_code(outcome.code.as_deref()).unwrap_or(Exit::DeployFailed),
            Self::StateDir { .. } | Self::File { .. } | Self::Process { .. } => Exit::Host,
            Self::WhichStack { .. } => Exit::NotFound,
            Self::Name(_) | Self::Argument { .. } | Self::Field { .. } | Self::Refused { .. } => Exit::Usage,
            Self::NotRun(_) => Exit::NotRun,
            Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => Exit::OutputClosed,
            Self::Interrupted => Exit::Interrupted,
            Self::NotInTime { .. } => Exit::Failed,
            Self::Output(_) | Self::Terminal(_) | Self::Demo { .. } | Self::Install { .. } => Exit::Failed,
            Self::Service { code, .. } => of_code(code.as_deref()).unwrap_or(Exit::Failed),
        }
    }
}

/// What the agent's codes mean for the exit status, where they mean something of their own.
fn of_code(code: Option<&str>) -> Option<Exit> {
    Some(match code? {
        "A0306" | "A0307" | "A0311" => Exit::Busy,
        "A0301" | "A0302" | "A0303" | "A0304" | "A0305" => Exit::NotFound,
        // An image that does not exist or cannot be built is the release's fault, not the host's.
        "A0203" | "A0204" => return None,
        code if ["A01", "A02", "A05"].iter().any(|group| code.starts_with(group)) => Exit::Host,
        _ => return None,
    })
}
