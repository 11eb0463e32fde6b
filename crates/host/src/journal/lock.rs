//! One agent a state directory.

use super::JournalError;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Name of the lock's file; it holds the agent's pid.
const NAME: &str = "agent.lock";

/// How long to wait for the lock of an agent that is dead: a process that it was just forking has the file open until
/// its exec.
const DEAD_WAIT: Duration = Duration::from_secs(2);

/// Held as long as it lives; the kernel lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Unlocks for good; closing alone leaves the lock to a process that is just being forked.
    fn drop(&mut self) {
        let _closing_unlocks_too = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock of `dir`, and writes our pid into it for whoever comes second.
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(NAME);
        let not_writable = JournalError::file(&path);
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(&not_writable)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) => {
                    let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok());
                    let dead = pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
                    if !dead || begun.elapsed() > DEAD_WAIT {
                        return Err(JournalError::InUse { path: dir.to_owned(), pid });
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(fs::TryLockError::Error(error)) => return Err(not_writable(error)),
            }
        }
        let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        write.map_err(&not_writable)?;
        Ok(Self { file })
    }
}
