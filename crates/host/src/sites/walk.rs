//! Going through a directory as its files would be served, and the hash of all of it.
//!
//! Everything is opened beneath the root (`openat2`), so that no link leads out of it. Knows nothing about copies.

use super::{MOST_BYTES, MOST_FILES, SiteError};
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;

/// A directory that is gone through.
pub(super) struct Walk<'r> {
    root: &'r Path,
    opened: OwnedFd,
    hash: Sha256,
    files: usize,
    bytes: u64,
}

/// A file on its way.
pub(super) struct Content<'w> {
    file: File,
    path: PathBuf,
    hash: &'w mut Sha256,
    bytes: &'w mut u64,
    is_read: bool,
    pub(super) modified: SystemTime,
}

/// A hash of names and contents.
pub(super) struct Sum([u8; 16]);

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<'r> Walk<'r> {
    pub(super) fn begin(root: &'r Path) -> Result<Self, SiteError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(root, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => SiteError::Missing(root.to_owned()),
            errno => failed("open", root, errno),
        })?;
        Ok(Self { root, opened, hash: Sha256::new(), files: 0, bytes: 0 })
    }

    /// Shows every file to `each`, in an order that depends on names alone, and gives the hash of all.
    pub(super) fn sum(
        mut self,
        mut each: impl FnMut(&Path, &mut Content<'_>) -> Result<(), SiteError>,
    ) -> Result<Sum, SiteError> {
        self.directory(Path::new(""), &mut Vec::new(), &mut each)?;
        let mut sum = [0; 16];
        sum.copy_from_slice(&self.hash.finalize()[..16]);
        Ok(Sum(sum))
    }

    /// `above` are the directories around this one, by what they are: a link may lead back to one of them.
    fn directory(
        &mut self,
        relative: &Path,
        above: &mut Vec<(u64, u64)>,
        each: &mut impl FnMut(&Path, &mut Content<'_>) -> Result<(), SiteError>,
    ) -> Result<(), SiteError> {
        let Some(opened) = self.open(relative)? else { return Ok(()) };
        let facts = opened.metadata().map_err(|e| self.failed("look at", relative, e))?;
        let identity = (facts.dev(), facts.ino());
        if above.contains(&identity) {
            return Ok(());
        }
        above.push(identity);
        for name in self.names(&opened, relative)? {
            let path = relative.join(&name);
            let Some(file) = self.open(&path)? else { continue };
            let facts = file.metadata().map_err(|e| self.failed("look at", &path, e))?;
            if facts.is_dir() {
                self.directory(&path, above, each)?;
            } else if facts.is_file() {
                let modified = facts.modified().map_err(|e| self.failed("look at", &path, e))?;
                self.file(&path, file, modified, each)?;
            }
        }
        above.pop();
        Ok(())
    }

    fn file(
        &mut self,
        relative: &Path,
        file: File,
        modified: SystemTime,
        each: &mut impl FnMut(&Path, &mut Content<'_>) -> Result<(), SiteError>,
    ) -> Result<(), SiteError> {
        self.files += 1;
        let name = relative.as_os_str().as_encoded_bytes();
        self.hash.update((name.len() as u64).to_be_bytes());
        self.hash.update(name);
        let path = self.root.join(relative);
        let before = self.bytes;
        let (hash, bytes) = (&mut self.hash, &mut self.bytes);
        let mut content = Content { file, path, hash, bytes, is_read: false, modified };
        each(relative, &mut content)?;
        if !content.is_read {
            content.copy_to(&mut io::sink())?;
        }
        // Behind it, as it may change while it is read.
        let length = self.bytes - before;
        self.hash.update(length.to_be_bytes());
        if self.files > MOST_FILES || self.bytes > MOST_BYTES {
            return Err(SiteError::TooLarge(self.root.to_owned()));
        }
        Ok(())
    }

    /// Names of what would be served, in their order.
    fn names(&self, directory: &File, relative: &Path) -> Result<Vec<String>, SiteError> {
        let entries = Dir::read_from(directory).map_err(|e| self.failed("read", relative, e.into()))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| self.failed("read", relative, e.into()))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !name.starts_with('.') || name == ".well-known" {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// None for what is not there, or not beneath the root.
    fn open(&self, relative: &Path) -> Result<Option<File>, SiteError> {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // What is no regular file, a pipe say, must not be waited for.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let path = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        match rustix::fs::openat2(&self.opened, path, flags, Mode::empty(), within) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT | Errno::XDEV | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(errno) => Err(self.failed("read", relative, errno.into())),
        }
    }

    fn failed(&self, action: &'static str, relative: &Path, source: io::Error) -> SiteError {
        SiteError::Io { action, path: self.root.join(relative), source }
    }
}

impl Content<'_> {
    /// Writes it to `out`, and counts it.
    pub(super) fn copy_to(&mut self, out: &mut impl Write) -> Result<(), SiteError> {
        self.is_read = true;
        let mut piece = vec![0; PIECE];
        loop {
            let count = self.file.read(&mut piece).map_err(|e| failed("read", &self.path, e))?;
            if count == 0 {
                return Ok(());
            }
            self.hash.update(&piece[..count]);
            *self.bytes += count as u64;
            out.write_all(&piece[..count]).map_err(|e| failed("copy", &self.path, e))?;
            if *self.bytes > MOST_BYTES {
                return Ok(());
            }
        }
    }
}

fn failed(action: &'static str, path: &Path, source: impl Into<io::Error>) -> SiteError {
    SiteError::Io { action, path: path.to_owned(), source: source.into() }
}
