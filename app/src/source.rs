//! The real file system and environment, as the stack file's reader sees them.

use mainstay_config::{ReadError, Source};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;

/// This process's files and variables.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Source for Host {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let read = if path == Path::new("-") {
            let mut text = Vec::new();
            io::stdin().lock().read_to_end(&mut text).map(|_| text)
        } else {
            std::fs::read(path)
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::NotFound,
            io::ErrorKind::IsADirectory => ReadError::IsDirectory,
            _ => ReadError::Other(error.to_string()),
        })
    }

    fn is_file(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|file| !file.is_dir())
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        std::env::vars_os().filter_map(text).collect()
    }
}
