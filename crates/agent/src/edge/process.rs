//! Starting the edge's process, and what it said when it died at once.

use crate::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Lines of its log that are told when it died.
const SHOWN: usize = 5;

/// An edge that was just started. It outlives the agent; dropping this leaves it running.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
    /// Where in the log it began to write.
    from: u64,
}

impl Process {
    /// A process group of its own, output to a file.
    pub fn start(exe: &Path, dir: &Path, workers: usize, user: Option<&str>) -> Result<Self, Error> {
        let log = dir.join("edge.log");
        let file = |source| Error::File { what: "write", path: log.clone(), source };
        let out = OpenOptions::new().create(true).append(true).open(&log).map_err(file)?;
        let from = out.metadata().map_err(file)?.len();
        let err = out.try_clone().map_err(file)?;
        let mut command = Command::new(exe);
        command.arg("edge").arg("--control").arg(dir.join("control.sock"));
        command.arg("--table").arg(dir.join("table.json")).arg("--workers").arg(workers.to_string());
        if let Some(user) = user {
            command.arg("--user").arg(user);
        }
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0).current_dir("/");
        let failed = |source| Error::File { what: "start", path: exe.to_owned(), source };
        Ok(Self { child: command.spawn().map_err(failed)?, log, from })
    }

    /// Waits for it to end, which it should not; the error says why it did.
    pub async fn death(&mut self) -> Error {
        let how = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Error::Edge(format!("it ended at its start ({how}): {}", self.words()))
    }

    /// It runs, and does not answer.
    pub fn mute(&self) -> Error {
        Error::Edge(format!("it was started and does not answer; see {}", self.log.display()))
    }

    fn words(&self) -> String {
        let read = || {
            let mut text = String::new();
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.from))?;
            file.read_to_string(&mut text).map(|_| text)
        };
        let text = read().unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match lines.len() {
            0 => format!("it wrote nothing to {}", self.log.display()),
            count => lines[count.saturating_sub(SHOWN)..].join("; "),
        }
    }
}
