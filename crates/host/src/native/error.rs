//! What can go wrong with native instances.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the native adapter. No message carries a value of the environment.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// A file or directory of an instance could not be read, written or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of an instance does not hold what was written there. The parser's own words are left out: they may quote
    /// a secret.
    #[error("{} is damaged at line {line}, column {column}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense, from 1.
        line: usize,
        /// In that line, from 1.
        column: usize,
    },
    /// No such instance was made, or it is removed.
    #[error("no native instance `{0}`")]
    Missing(String),
    /// The instance has to run for what was asked.
    #[error("native instance `{0}` is not running")]
    NotRunning(String),
    /// The service asks for what only a container can have.
    #[error("service `{service}` is native (it has neither image nor build) and cannot have {}", keys.join(", "))]
    Unsupported {
        /// The service.
        service: String,
        /// Compose keys, with the offending part where a key is only partly at fault.
        keys: Vec<String>,
    },
    /// The service says nothing that could be run.
    #[error("service `{0}` is native and needs a `command` or an `entrypoint`")]
    NoCommand(String),
    /// `logging:` has an option or a value that is not understood.
    #[error("service `{service}`: {why}")]
    Logging {
        /// The service.
        service: String,
        /// Which option and what is wrong with it.
        why: String,
    },
    /// Not the name or number of a signal.
    #[error("`{0}` is not a signal")]
    Signal(String),
    /// The command could not be started. Recorded as the exit of the instance, too.
    #[error("cannot start `{instance}`: {why}")]
    Start {
        /// Instance or job.
        instance: String,
        /// One sentence that names the command, user or directory at fault.
        why: String,
        /// Docker's exit code for it: 127 not found, 126 not executable, 128 anything else.
        code: i32,
    },
    /// The shim ended without saying whether the command runs.
    #[error("the shim of `{0}` ended before it had started the command")]
    ShimDied(String),
    /// A process could not be looked at, signalled or waited for.
    #[error("cannot {action} process {pid}")]
    Process {
        /// What was tried, as a verb.
        action: &'static str,
        /// The process.
        pid: i32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Every port of the range is taken.
    #[error("no free port on 127.0.0.1 between {first} and {last}")]
    NoPort {
        /// First port tried.
        first: u16,
        /// Last port tried.
        last: u16,
    },
    /// A piece of work on another thread was given up, because the program is ending.
    #[error("interrupted: {0}")]
    Interrupted(&'static str),
}

impl NativeError {
    /// For `map_err`: an I/O failure while trying to `action` the file at `path`.
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// For `map_err`: text at `path` that is not what it should be.
    pub(super) fn damaged(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Damaged { path, line: error.line(), column: error.column() }
    }

    /// For `map_err`: a failed system call about process `pid`.
    pub(super) fn process(action: &'static str, pid: i32) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Process { action, pid, source: errno.into() }
    }
}
