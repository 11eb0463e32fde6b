//! The outside world, as this crate sees it: files to read and variables to look up.
//!
//! The program implements [`Source`] with the real file system and environment; tests with [`MapSource`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is nothing at this path.
    #[error("no such file")]
    NotFound,
    /// The path names a directory.
    #[error("it is a directory")]
    IsDirectory,
    /// Anything else, in the words of the operating system.
    #[error("{0}")]
    Other(String),
}

/// Where text and variables come from. Paths are absolute, save `-` for standard input.
pub trait Source {
    /// The bytes of a file.
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError>;
    /// Whether a file (not a directory) is there.
    fn is_file(&self, path: &Path) -> bool;
    /// A variable of the environment the program was started with.
    fn variable(&self, name: &str) -> Option<String>;
    /// All of them.
    fn variables(&self) -> BTreeMap<String, String>;
}

/// A source held in memory.
#[derive(Debug, Clone, Default)]
pub struct MapSource {
    /// Files by absolute path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Variables by name.
    pub variables: BTreeMap<String, String>,
}

impl MapSource {
    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, text: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.into(), text.as_ref().to_vec());
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Source for MapSource {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        self.files.get(path).cloned().ok_or(ReadError::NotFound)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn variables(&self) -> BTreeMap<String, String> {
        self.variables.clone()
    }
}
