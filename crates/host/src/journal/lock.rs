//! One agent a state directory.

use super::JournalError;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Name of the lock's file; it holds the agent's pid.
const NAME: &str = "agent.lock";

/// Held as long as it lives; the kernel lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `dir`, and writes our pid into it for whoever comes second.
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(NAME);
        let not_writable = JournalError::file(&path);
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(&not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
                return Err(JournalError::InUse { path: dir.to_owned(), pid });
            }
            Err(fs::TryLockError::Error(error)) => return Err(not_writable(error)),
        }
        let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        write.map_err(&not_writable)?;
        Ok(Self { _file: file })
    }
}
