//! Directories under watch, by inotify: tells the path of everything that is made, written, moved or removed below them.
//!
//! inotify watches one directory each, so every directory is added as it appears, and told of itself: what was put into
//! it before it was watched would be missed otherwise.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Bytes of events read at once: some two hundred, with names of ordinary length.
const BUFFER: usize = 16 * 1024;

/// What is told of. A file is told when whoever wrote it closes it.
const EVENTS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// Everything that changes at or below `roots`, from now on. Directories called `.git` are left out: they change all the
/// time, and are nobody's sources.
///
/// # Errors
/// A root is not there, or the system allows no more watches.
pub fn changes(roots: &BTreeSet<PathBuf>) -> io::Result<UnboundedReceiver<io::Result<PathBuf>>> {
    let mut tree = Tree {
        inotify: inotify::init(CreateFlags::CLOEXEC)?,
        directories: BTreeMap::new(),
        roots: roots.clone(),
    };
    for root in roots {
        if root.is_dir() {
            tree.add(root)?;
        } else {
            // Editors put another file in its place: its directory is told of that.
            root.symlink_metadata()?;
            tree.add_one(root.parent().unwrap_or(Path::new("/")))?;
        }
    }
    let (tell, told) = mpsc::unbounded_channel();
    // It ends with the process, or when nobody listens at its next event.
    std::thread::spawn(move || tree.read(&tell));
    Ok(told)
}

struct Tree {
    inotify: OwnedFd,
    directories: BTreeMap<i32, PathBuf>,
    roots: BTreeSet<PathBuf>,
}

impl Tree {
    /// Watches `directory` and those in it.
    fn add(&mut self, directory: &Path) -> io::Result<()> {
        match self.add_one(directory) {
            // It went, or became something else.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            added => added?,
        }
        for entry in std::fs::read_dir(directory)?.flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && entry.file_name() != ".git" {
                self.add(&entry.path())?;
            }
        }
        Ok(())
    }

    fn add_one(&mut self, directory: &Path) -> io::Result<()> {
        let flags = EVENTS | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        let watch = inotify::add_watch(&self.inotify, directory, flags)?;
        self.directories.insert(watch, directory.to_owned());
        Ok(())
    }

    fn read(mut self, tell: &UnboundedSender<io::Result<PathBuf>>) {
        loop {
            match self.next() {
                Ok(paths) => {
                    for path in paths {
                        if tell.send(Ok(path)).is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    // Whoever listened may have gone.
                    let _ = tell.send(Err(error));
                    return;
                }
            }
        }
    }

    /// Waits for events, and gives the paths that they are about.
    fn next(&mut self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        let mut appeared = Vec::new();
        {
            let mut buffer = [MaybeUninit::uninit(); BUFFER];
            let mut reader = Reader::new(&self.inotify, &mut buffer);
            loop {
                let event = match reader.next() {
                    Err(Errno::INTR) => continue,
                    event => event?,
                };
                let flags = event.events();
                if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                    // Something was missed: everything may have changed.
                    paths.extend(self.roots.iter().cloned());
                } else if flags.contains(ReadFlags::IGNORED) {
                    self.directories.remove(&event.wd());
                } else if let (Some(directory), Some(name)) =
                    (self.directories.get(&event.wd()), event.file_name())
                {
                    let path = directory.join(OsStr::from_bytes(name.to_bytes()));
                    let is_new = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                    if flags.contains(ReadFlags::ISDIR)
                        && is_new
                        && path.file_name() != Some(OsStr::new(".git"))
                    {
                        appeared.push(path.clone());
                    }
                    paths.push(path);
                }
                if reader.is_buffer_empty() {
                    break;
                }
            }
        }
        for directory in appeared {
            self.add(&directory)?;
        }
        paths.retain(|path| self.roots.iter().any(|root| path.starts_with(root)));
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads until everything in `wanted` was told.
    fn told(changes: &mut UnboundedReceiver<io::Result<PathBuf>>, wanted: &[PathBuf]) {
        let mut missing: BTreeSet<_> = wanted.iter().cloned().collect();
        while !missing.is_empty() {
            let path = changes.blocking_recv().expect("the watch ended").unwrap();
            missing.remove(&path);
        }
    }

    #[test]
    fn everything_below_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("src");
        std::fs::create_dir_all(root.join("old")).unwrap();
        let alone = dir.path().join("alone");
        std::fs::write(&alone, "x").unwrap();
        let mut changes = changes(&[root.clone(), alone.clone()].into()).unwrap();
        std::fs::write(root.join("old/a"), "x").unwrap();
        told(&mut changes, &[root.join("old/a")]);
        std::fs::create_dir_all(root.join("new/deep")).unwrap();
        told(&mut changes, &[root.join("new")]);
        // Watched by now, or told of with the directory it is in.
        std::fs::write(root.join("new/b"), "x").unwrap();
        told(&mut changes, &[root.join("new/b")]);
        std::fs::remove_dir_all(root.join("new")).unwrap();
        std::fs::write(dir.path().join("other"), "x").unwrap();
        std::fs::write(dir.path().join("fresh"), "y").unwrap();
        std::fs::rename(dir.path().join("fresh"), &alone).unwrap();
        told(&mut changes, &[root.join("new"), alone]);
    }
}
