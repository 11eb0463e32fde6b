//! Files that must outlive the process: certificates, their keys and histories, accounts.
//!
//! Each is replaced whole or not at all, also when power fails in between. Knows nothing about what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why something was not kept or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub(crate) struct StoreError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A directory of ours.
#[derive(Debug, Clone)]
pub(crate) struct Store(PathBuf);

impl Store {
    /// Makes the directory when it is not there.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| StoreError { action: "make", path: directory.to_owned(), source })?;
        Ok(Self(directory.to_owned()))
    }

    /// What is in a file; none when there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, StoreError> {
        let path = self.0.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError { action: "read", path, source }),
        }
    }

    /// Replaces a file that anybody may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.replace(name, text, 0o644)
    }

    /// Replaces a file that is for nobody else.
    pub(crate) fn write_secret(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.replace(name, text, 0o600)
    }

    fn replace(&self, name: &str, text: &str, mode: u32) -> Result<(), StoreError> {
        let path = self.0.join(name);
        let fresh = self.0.join(format!("{name}.new"));
        let write = || {
            // What a crash left there may have other rights.
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| StoreError { action: "write", path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_written_is_read_and_secrets_are_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.read("x").unwrap(), None);
        store.write_secret("x", "one").unwrap();
        store.write_secret("x", "two").unwrap();
        store.write("y", "three").unwrap();
        let again = Store::open(&path).unwrap();
        assert_eq!(again.read("x").unwrap().as_deref(), Some("two"));
        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("x"), mode("")), (0o600, 0o700));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
    }
}
