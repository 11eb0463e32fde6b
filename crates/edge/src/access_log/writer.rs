//! The thread that writes access logs, and their files.
//!
//! Knows nothing about lines.

use super::AccessLog;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Batches that may wait: some 16 MiB, a few seconds of a slow disk.
const MOST_WAITING: usize = 256;
/// Bytes handed over at once: a write of this size costs the disk as much as one of a single line.
const FULL_BATCH: usize = 64 * 1024;
/// Room in a batch: it is handed over when it has grown to this, by a line that may be long.
const CAPACITY: usize = FULL_BATCH + FULL_BATCH / 4;
/// Emptied batches kept for the threads that fill them: memory that is used for the first time costs the kernel's time too.
const KEEP_EMPTY: usize = 8;
/// A file that has grown to this is put aside.
const ROTATE_AT: u64 = 64 * 1024 * 1024;
/// Files put aside that are kept, `.1` the newest.
const KEEP: usize = 4;

/// Lines of one log.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) log: Arc<AccessLog>,
    pub(crate) lines: Vec<u8>,
}

impl Batch {
    /// Whether it is to be handed over.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= FULL_BATCH
    }
}

/// Where batches go.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    running: Mutex<Option<Running>>,
    dropped: AtomicU64,
    empty: Arc<Empty>,
}

#[derive(Debug)]
struct Running {
    queue: SyncSender<Batch>,
    thread: JoinHandle<()>,
}

/// Batches that were written.
#[derive(Debug, Default)]
struct Empty(Mutex<Vec<Vec<u8>>>);

impl Empty {
    fn take(&self) -> Vec<u8> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        found.unwrap_or_else(|| Vec::with_capacity(CAPACITY))
    }

    fn put(&self, mut lines: Vec<u8>) {
        lines.clear();
        let mut empty = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if empty.len() < KEEP_EMPTY && lines.capacity() <= CAPACITY {
            empty.push(lines);
        }
    }
}

impl Writer {
    /// Starts the thread; `directory` is made when there is something to write.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(&self, directory: PathBuf) -> io::Result<()> {
        let (queue, batches) = sync_channel(MOST_WAITING);
        let empty = self.empty.clone();
        let work = move || write(&batches, &directory, &empty);
        let thread = thread::Builder::new().name("edge-log".into()).spawn(work)?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running { queue, thread });
        Ok(())
    }

    /// Returns when everything that was handed over has been written; what comes later is dropped.
    pub(crate) fn finish(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { queue, thread }) = running {
            // The thread ends when nothing more can come.
            drop(queue);
            let _ = thread.join();
        }
    }

    /// Begins a batch.
    pub(crate) fn begin(&self, log: Arc<AccessLog>) -> Batch {
        Batch { log, lines: self.empty.take() }
    }

    /// Hands a batch over, or drops it when too many wait.
    pub(crate) fn send(&self, batch: Batch) {
        let lines = memchr::memchr_iter(b'\n', &batch.lines).count() as u64;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_none_or(|running| running.queue.try_send(batch).is_err()) {
            self.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Lines that were never written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn write(batches: &Receiver<Batch>, directory: &Path, empty: &Empty) {
    let mut files: HashMap<Box<str>, Growing> = HashMap::new();
    while let Ok(Batch { log, lines }) = batches.recv() {
        let written = match files.get_mut(&log.name) {
            Some(file) => file.append(&lines),
            None => Growing::open(directory, &log.name).and_then(|mut file| {
                let written = file.append(&lines);
                files.insert(log.name.clone(), file);
                written
            }),
        };
        if let Err(error) = written {
            tracing::warn!(%error, log = %log.name, "cannot write the access log");
            // The disk may have been cleared, or the directory moved: the next batch looks anew.
            files.remove(&log.name);
        }
        empty.put(lines);
    }
}

/// A file that is put aside when it has grown.
struct Growing {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Growing {
    fn open(directory: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Self::open_at(directory.join(format!("{name}.access.log")))
    }

    fn open_at(path: PathBuf) -> io::Result<Self> {
        // Addresses of clients are nobody else's business.
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length })
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        // Moved away by somebody's logrotate: what follows belongs into a new file.
        if self.length >= ROTATE_AT || !self.path.exists() {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.length += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.path.exists() {
            let aside = |number: usize| self.path.with_extension(format!("log.{number}"));
            for number in (1..KEEP).rev() {
                if aside(number).exists() {
                    std::fs::rename(aside(number), aside(number + 1))?;
                }
            }
            std::fs::rename(&self.path, aside(1))?;
        }
        *self = Self::open_at(self.path.clone())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_grown_is_put_aside_and_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Growing::open(dir.path(), "s").unwrap();
        for number in 0..KEEP + 3 {
            file.append(format!("{number}\n").as_bytes()).unwrap();
            file.length = ROTATE_AT;
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["s.access.log", "s.access.log.1", "s.access.log.2", "s.access.log.3", "s.access.log.4"]
        );
        assert_eq!(
            std::fs::read_to_string(dir.path().join("s.access.log")).unwrap(),
            format!("{}\n", KEEP + 2)
        );
        assert_eq!(std::fs::read_to_string(dir.path().join("s.access.log.4")).unwrap(), "2\n");
        std::fs::remove_file(dir.path().join("s.access.log")).unwrap();
        file.append(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("s.access.log")).unwrap(), "after\n");
    }
}
