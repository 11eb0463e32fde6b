//! Exit statuses. They are promised to scripts: `docs/exit-codes.md` lists them, and a test holds the two together.

use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked for.
    Done,
    /// It failed in a way that has no status of its own.
    Failed,
    /// It was typed wrongly.
    Usage,
    /// The stack file, its variables or its environment files have errors.
    BadStack,
    /// The agent cannot be reached or started.
    NoAgent,
    /// A deploy failed and was undone, or was cancelled; the release before it serves.
    DeployFailed,
    /// Another deploy is under way, and waiting was not wanted.
    Busy,
    /// No such stack, service, instance or release.
    NotFound,
    /// The host stands in the way: Docker, a port, a disk, a directory.
    Host,
    /// `exec` and `run`: the command could not be run at all.
    NotRun,
    /// Ctrl-C.
    Interrupted,
    /// The reader of the output has gone (`mainstay logs | head`).
    OutputClosed,
    /// `exec` and `run`: the command's own status.
    Command(u8),
}

impl Exit {
    /// Every fixed status.
    #[cfg(test)]
    pub const ALL: [Exit; 12] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::BadStack,
        Exit::NoAgent,
        Exit::DeployFailed,
        Exit::Busy,
        Exit::NotFound,
        Exit::Host,
        Exit::NotRun,
        Exit::Interrupted,
        Exit::OutputClosed,
    ];

    /// The number that the shell sees.
    pub fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::BadStack => 3,
            Exit::NoAgent => 4,
            Exit::DeployFailed => 5,
            Exit::Busy => 6,
            Exit::NotFound => 7,
            Exit::Host => 8,
            // As `docker exec` does, so that it can be told from the command's own statuses.
            Exit::NotRun => 125,
            // 128 + SIGINT and 128 + SIGPIPE, as shells say it.
            Exit::Interrupted => 130,
            Exit::OutputClosed => 141,
            Exit::Command(status) => status,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_documented() {
        let page = include_str!("../../docs/exit-codes.md");
        for exit in Exit::ALL {
            assert!(
                page.contains(&format!("| {} |", exit.status())),
                "{exit:?} is not in docs/exit-codes.md"
            );
        }
    }
}
