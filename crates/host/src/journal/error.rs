//! What can go wrong with the journal, told apart by what a person has to do about it.

use mainstay_model::{ReleaseNumber, StackName};
use rusqlite::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};

/// A failure of the journal. Nothing was changed when a call fails.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another agent works on this state directory.
    #[error("{} is in use by another agent (pid {})", path.display(), pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()))]
    InUse {
        /// The state directory.
        path: PathBuf,
        /// The other agent, as it wrote it down.
        pid: Option<u32>,
    },
    /// The state directory cannot be made or written.
    #[error("cannot write to {}", path.display())]
    NotWritable {
        /// The directory or file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file system of the journal has no room left.
    #[error("no space left for {}", path.display())]
    Full {
        /// The journal.
        path: PathBuf,
    },
    /// The file is not a journal, or is damaged.
    #[error("{} is damaged: {why}", path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file was written by a newer version of this program.
    #[error("{} has schema version {found}, this program knows versions up to {known}", path.display())]
    TooNew {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The state has moved on since the transition was decided; decide again.
    #[error("stack `{stack}` is at generation {found}, not {expected}")]
    Stale {
        /// The stack.
        stack: StackName,
        /// What the decision was based on.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The state to be recorded does not count its transition.
    #[error("the new state of stack `{stack}` has generation {found} where {expected} was due")]
    Miscounted {
        /// The stack.
        stack: StackName,
        /// The generation after the one recorded.
        expected: u64,
        /// What the new state says.
        found: u64,
    },
    /// No such release.
    #[error("stack `{stack}` has no release {number}")]
    NoRelease {
        /// The stack.
        stack: StackName,
        /// The number.
        number: ReleaseNumber,
    },
    /// A record cannot be written as, or read back from, JSON. The parser's own words are left out: they may quote a
    /// secret.
    #[error("{what} in {} is damaged at line {line}, column {column}", path.display())]
    Record {
        /// The journal.
        path: PathBuf,
        /// Which record.
        what: &'static str,
        /// Where it stops making sense, from 1; 0 when it could not be written.
        line: usize,
        /// In that line, from 1.
        column: usize,
    },
    /// Anything else that SQLite says.
    #[error("{}", path.display())]
    Sqlite {
        /// The journal.
        path: PathBuf,
        /// What it says.
        #[source]
        source: rusqlite::Error,
    },
    /// The journal's thread is gone, because the program is ending.
    #[error("{} is closed", path.display())]
    Closed {
        /// The journal.
        path: PathBuf,
    },
}

impl JournalError {
    /// For `map_err`: tells SQLite's failures apart.
    pub(super) fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| {
            let path = path.clone();
            match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Self::Full { path },
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Self::Corrupt { path, why: source.to_string() }
                }
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    Self::NotWritable { path, source: io::Error::other(source) }
                }
                _ => Self::Sqlite { path, source },
            }
        }
    }

    /// For `map_err`: tells a full disk from the rest.
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path: path.clone() },
            _ => Self::NotWritable { path: path.clone(), source },
        }
    }

    pub(super) fn record(path: &Path, what: &'static str) -> impl Fn(serde_json::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Record { path: path.clone(), what, line: error.line(), column: error.column() }
    }
}
