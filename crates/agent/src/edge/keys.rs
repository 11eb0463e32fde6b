//! Files with certificates and keys that somebody else keeps up to date, where the edge's user may not read them.
//!
//! An agent that is root gives the edge copies that are the edge's user's, in a directory that is not: whoever takes over the
//! edge gets nothing else read, and nothing written. The edge looks at the copies as it looks at files of its own, and finds
//! them when it starts without an agent. Knows nothing about what is in them.

use mainstay_edge::User;
use mainstay_model::{CertificateFiles, sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often originals are looked at: as often as the edge looks at files.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Largest file: a hundred times a chain of certificates.
const MOST_BYTES: u64 = 1024 * 1024;

/// The copies, and how their originals looked when they were made.
pub(super) struct Keys {
    directory: PathBuf,
    user: User,
    seen: Mutex<BTreeMap<PathBuf, Option<Stamp>>>,
}

/// What tells that a file is another than before.
type Stamp = (u64, i64, i64, u64);

impl Keys {
    pub(super) fn new(state_dir: &Path, user: User) -> Self {
        Self { directory: state_dir.join("keys"), user, seen: Mutex::default() }
    }

    /// Where the copies of these files are.
    pub(super) fn copies_of(&self, files: &CertificateFiles) -> CertificateFiles {
        let CertificateFiles { cert, key } = files;
        CertificateFiles { cert: self.copy_of(cert), key: self.copy_of(key) }
    }

    /// Sees to it that there are copies of these files, as they are now. What cannot be read is said, and its last copy stays.
    pub(super) fn refresh(&self, wanted: &[CertificateFiles]) {
        let wanted: BTreeSet<&Path> =
            wanted.iter().flat_map(|f| [f.cert.as_path(), f.key.as_path()]).collect();
        let mut seen = self.lock();
        if wanted.is_empty() {
            return;
        }
        if let Err(error) = self.make_directory() {
            return tracing::error!(%error, directory = %self.directory.display(), "no keys for the edge");
        }
        for path in &wanted {
            let stamp = stamp(path);
            if seen.get(*path) == Some(&stamp) && (stamp.is_none() || self.copy_of(path).exists()) {
                continue;
            }
            if let Err(error) = self.copy(path) {
                tracing::error!(%error, file = %path.display(), "cannot be given to the edge");
            }
            seen.insert(path.to_path_buf(), stamp);
        }
    }

    /// Takes away the copies of all files but these.
    pub(super) fn forget_others(&self, wanted: &[CertificateFiles]) {
        let wanted: Vec<_> = wanted.iter().flat_map(|files| [&files.cert, &files.key]).collect();
        self.lock().retain(|path, _| wanted.contains(&path));
        let copies: BTreeSet<_> = wanted.into_iter().map(|path| self.copy_of(path)).collect();
        let there = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        for other in there.map(|entry| entry.path()).filter(|path| !copies.contains(path)) {
            if let Err(error) = fs::remove_file(&other) {
                tracing::warn!(%error, file = %other.display(), "a key that nobody needs stays");
            }
        }
    }

    /// The edge's user may pass through, and neither look around nor write.
    fn make_directory(&self) -> io::Result<()> {
        match fs::create_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => {
                made.and_then(|()| fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o711)))
            }
        }
    }

    fn copy(&self, path: &Path) -> io::Result<()> {
        // What is no file, a pipe say, must not be waited for.
        let mut options = OpenOptions::new();
        let file =
            options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(io::Error::other("it is too large for a certificate or a key"));
        }
        let copy = self.copy_of(path);
        let fresh = copy.with_extension("new");
        let mut out: File =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        out.write_all(&bytes)?;
        fchown(&out, Some(self.user.uid), Some(self.user.gid))?;
        out.sync_all()?;
        fs::rename(&fresh, &copy)
    }

    fn copy_of(&self, path: &Path) -> PathBuf {
        let name = sha256(path.as_os_str().as_encoded_bytes());
        self.directory.join(format!("{}.pem", &name[..32]))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<Stamp>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|facts| (facts.ino(), facts.mtime(), facts.mtime_nsec(), facts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Copies for whoever runs the test.
    fn keys(dir: &Path) -> Keys {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Keys::new(dir, User { uid, gid })
    }

    #[test]
    fn copies_follow_their_originals_and_outlive_them() {
        let dir = tempfile::tempdir().unwrap();
        let keys = keys(dir.path());
        let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
        let files = CertificateFiles { cert: cert.clone(), key: key.clone() };
        let copies = keys.copies_of(&files);
        keys.refresh(std::slice::from_ref(&files));
        assert!(!copies.cert.exists(), "there is nothing yet");
        fs::write(&cert, "one").unwrap();
        fs::write(&key, "secret").unwrap();
        keys.refresh(std::slice::from_ref(&files));
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!((read(&copies.cert).as_str(), read(&copies.key).as_str()), ("one", "secret"));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&copies.key), mode(copies.key.parent().unwrap())), (0o600, 0o711));
        let first = fs::metadata(&copies.cert).unwrap().ino();
        keys.refresh(std::slice::from_ref(&files));
        assert_eq!(fs::metadata(&copies.cert).unwrap().ino(), first, "nothing has changed");

        // As people with care replace it; and by a link that is pointed elsewhere, as certbot does.
        fs::write(dir.path().join("next"), "two").unwrap();
        fs::remove_file(&cert).unwrap();
        symlink("next", &cert).unwrap();
        keys.refresh(std::slice::from_ref(&files));
        assert_eq!(read(&copies.cert), "two");
        fs::remove_file(&cert).unwrap();
        keys.refresh(std::slice::from_ref(&files));
        assert_eq!(read(&copies.cert), "two", "better the last than none");
        // An agent that starts finds the copies of the one before it.
        let again = self::keys(dir.path());
        again.forget_others(std::slice::from_ref(&files));
        assert_eq!(read(&copies.key), "secret");
        again.forget_others(&[]);
        assert!(!copies.cert.exists() && !copies.key.exists(), "nobody needs them any more");
    }

    #[test]
    fn what_is_no_key_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let keys = keys(dir.path());
        let (pipe, large) = (dir.path().join("pipe"), dir.path().join("large"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        fs::write(&large, vec![b'a'; 1024 * 1024 + 1]).unwrap();
        let files = CertificateFiles { cert: pipe, key: large };
        keys.refresh(std::slice::from_ref(&files));
        let copies = keys.copies_of(&files);
        assert!(!copies.cert.exists() && !copies.key.exists());
    }
}
