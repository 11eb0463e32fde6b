//! The table on disk, from which the edge can start without an agent.
//!
//! Knows nothing about what a table means.

use mainstay_model::table::RouteTable;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why the table could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The file is not a table.
    #[error("{} is not a route table", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
}

/// Replaces the file, whole or not at all, also when power fails in between.
pub(crate) fn store(path: &Path, table: &RouteTable) -> Result<(), PersistError> {
    let temporary = path.with_extension("tmp");
    let fail = |action, path: &Path| {
        let path = path.to_owned();
        move |source| PersistError::Io { action, path, source }
    };
    let text = serde_json::to_vec(table)
        .map_err(|source| PersistError::Malformed { path: path.to_owned(), source })?;
    let write = || {
        // Keys of accounts and providers are in it.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(fail("write", &temporary))?;
    fs::rename(&temporary, path).map_err(fail("replace", path))?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|d| d.sync_all()).map_err(fail("sync", directory))
}

/// Reads the file; none when there is none.
pub(crate) fn load(path: &Path) -> Result<Option<RouteTable>, PersistError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| PersistError::Malformed { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PersistError::Io { action: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.json");
        assert!(load(&path).unwrap().is_none());
        let table = RouteTable { version: 7, ..RouteTable::default() };
        store(&path, &table).unwrap();
        store(&path, &table).unwrap();
        assert_eq!(load(&path).unwrap(), Some(table));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::write(&path, "{").unwrap();
        assert!(matches!(load(&path), Err(PersistError::Malformed { .. })));
        assert!(store(&dir.path().join("none/table.json"), &RouteTable::default()).is_err());
    }
}
