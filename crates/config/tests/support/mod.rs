//! The real file system as a source, with a fixed environment.

use mainstay_config::{ReadError, Source};
use std::collections::BTreeMap;
use std::path::Path;

/// Files of the disk; variables of a list.
pub struct Disk(pub BTreeMap<String, String>);

impl Source for Disk {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadError::NotFound,
            std::io::ErrorKind::IsADirectory => ReadError::IsDirectory,
            _ => ReadError::Other(error.to_string()),
        })
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}
