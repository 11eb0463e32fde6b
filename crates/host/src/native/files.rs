//! The files of one instance, and how they are written so that a crash leaves the old or the new, never half.
//!
//! ```text
//! <state>/native/<stack>/<instance>/
//!   launch.json   what to run (0600)          written by create
//!   status.json   what became of it           written by the shim alone
//!   lock          held by the shim as long as it lives
//!   reserve       room for the last status when the disk is full
//!   log, log.1 …  its output                  written by the shim alone
//! ```

use super::process::{self, Process};
use super::{Launch, NativeError};
use mainstay_model::{InstanceId, StackName};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the file that tells what became of an instance.
pub(super) const STATUS: &str = "status.json";

/// Name of the file that a shim holds as long as it lives.
pub(super) const LOCK: &str = "lock";

/// Bytes kept for a last status: one block holds it, a second one the directory's entry.
const RESERVE: usize = 2 * 4096;

/// The file `status.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    /// Boot during which this was written.
    pub(super) boot: String,
    /// The shim.
    pub(super) shim: Process,
    /// How often the instance was started, this time included.
    pub(super) runs: u32,
    /// The command, once it runs.
    pub(super) child: Option<Process>,
    /// When it began to run, ms since the epoch.
    pub(super) started: Option<u64>,
    /// Directories of its control groups.
    pub(super) cgroups: Vec<PathBuf>,
    /// What of the file could not be put in force, and why; one sentence each.
    pub(super) not_in_force: Vec<String>,
    /// How it ended.
    pub(super) exited: Option<Exit>,
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Docker's exit code: the command's own; 128 + signal; 127 not found, 126 not executable, 128 not startable.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// A process of it was killed for lack of memory.
    pub oom: bool,
    /// When, ms since the epoch.
    pub at: u64,
    /// Why it could not be started, or what else is to be said about the end.
    pub why: Option<String>,
}

impl Status {
    /// What it is worth now. A status of an earlier boot, or one whose processes are gone without an exit, means that
    /// the shim was killed: the exit status is lost. It counts as SIGKILL's 137, which is what containerd reports when
    /// its shim dies.
    pub(super) fn settled(self, modified: u64) -> Self {
        let lost = self.exited.is_none() && !self.is_running();
        if !lost {
            return self;
        }
        let why = Some("the shim was killed, so the exit status is not known".to_owned());
        Self { exited: Some(Exit { code: 137, signal: None, oom: false, at: modified, why }), ..self }
    }

    /// The shim or the command is alive, and nothing says that it ended.
    pub(super) fn is_running(&self) -> bool {
        let alive = self.shim.is_alive() || self.child.is_some_and(Process::is_alive);
        self.exited.is_none() && alive && self.boot == process::boot_id()
    }
}

/// The directory of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(super) fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    pub(super) fn of(root: &Path, stack: &StackName, id: &InstanceId) -> Self {
        Self::at(root.join(stack.as_str()).join(id.to_string()))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn name(&self) -> String {
        self.dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn launch_path(&self) -> PathBuf {
        self.dir.join("launch.json")
    }

    fn status_path(&self) -> PathBuf {
        self.dir.join(STATUS)
    }

    fn reserve_path(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    /// Keeps room on the disk for a last status. What fills the disk is often the instance itself.
    pub(super) fn keep_reserve(&self) {
        let _full_already = fs::write(self.reserve_path(), [b' '; RESERVE]);
    }

    /// Gives the room up.
    pub(super) fn use_reserve(&self) {
        let _used_already = fs::remove_file(self.reserve_path());
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.dir.join(LOCK)
    }

    /// What to run.
    pub(super) fn launch(&self) -> Result<Launch, NativeError> {
        read_json(&self.launch_path())?.ok_or_else(|| NativeError::Missing(self.name()))
    }

    /// What became of it; `None` when it was never started.
    pub(super) fn status(&self) -> Result<Option<Status>, NativeError> {
        let path = self.status_path();
        let Some(status) = read_json::<Status>(&path)? else { return Ok(None) };
        if status.exited.is_some() || status.is_running() {
            return Ok(Some(status));
        }
        // Nothing runs. The shim may have written its last word between the two looks, so look again.
        let modified = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        let again = read_json::<Status>(&path)?;
        Ok(again.map(|status| status.settled(modified.map_or(0, super::millis))))
    }

    /// Makes the directory with `launch` in it, whole or not at all. `false`: it was there before.
    pub(super) fn create(&self, launch: &Launch) -> Result<bool, NativeError> {
        if self.launch_path().exists() {
            return Ok(false);
        }
        let parent = self.dir.parent().unwrap_or(Path::new("/"));
        make_private_dir(parent)?;
        let draft = parent.join(format!(".making-{}", self.name()));
        remove_dir(&draft)?;
        make_private_dir(&draft)?;
        write_json(&draft.join("launch.json"), launch)?;
        fs::rename(&draft, &self.dir).map_err(NativeError::file("create", &self.dir))?;
        sync_dir(parent).map_err(NativeError::file("sync", parent))?;
        Ok(true)
    }

    /// Writes the status so that a reader, or the machine after a power cut, finds the old one or the new one.
    pub(super) fn write_status(&self, status: &Status) -> Result<(), NativeError> {
        write_json(&self.status_path(), status)
    }

    /// Removes everything. Renamed first, so that no half of an instance is ever seen.
    pub(super) fn remove(&self) -> Result<(), NativeError> {
        let parent = self.dir.parent().unwrap_or(Path::new("/"));
        let doomed = parent.join(format!(".removing-{}", self.name()));
        remove_dir(&doomed)?;
        match fs::rename(&self.dir, &doomed) {
            Ok(()) => {
                remove_dir(&doomed)?;
                // Succeeds for the last instance of a stack.
                let _others_left = fs::remove_dir(parent);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(NativeError::File { action: "remove", path: self.dir.clone(), source }),
        }
    }
}

/// Removes what was being made or removed when its maker died, in all stacks below `root`.
pub(super) fn tidy(root: &Path) -> Result<(), NativeError> {
    for stack in entries(root)? {
        for entry in entries(&stack)? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(".making-") || name.starts_with(".removing-") {
                remove_dir(&entry)?;
            }
        }
        // Succeeds where nothing else is left.
        let _others_left = fs::remove_dir(&stack);
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, NativeError> {
    let found = match fs::read_dir(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(NativeError::File { action: "read", path: dir.to_owned(), source }),
    };
    found.map(|entry| entry.map(|entry| entry.path()).map_err(NativeError::file("read", dir))).collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NativeError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(NativeError::File { action: "read", path: path.to_owned(), source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(NativeError::damaged(path))
}

/// Writes beside, syncs, renames over, syncs the directory.
fn write_json(path: &Path, value: &impl Serialize) -> Result<(), NativeError> {
    let bytes = serde_json::to_vec(value).map_err(NativeError::damaged(path))?;
    let draft = path.with_extension("tmp");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), sync_dir)
    };
    write().map_err(NativeError::file("write", path))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes `dir` and what is missing above it, for the owner only.
pub(super) fn make_private_dir(dir: &Path) -> Result<(), NativeError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(NativeError::file("create", dir))
}

fn remove_dir(dir: &Path) -> Result<(), NativeError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NativeError::File { action: "remove", path: dir.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
