//! Where a container's file system comes from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An image reference as the user wrote it, such as `redis:7-alpine`.
pub type ImageRef = String;

/// `build:` of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Absolute path of the context directory.
    pub context: PathBuf,
    /// Path of the Dockerfile, relative to the context unless absolute.
    pub dockerfile: PathBuf,
    /// `dockerfile_inline`: the text that stands in for the file.
    pub dockerfile_inline: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The stage to build; the last one when absent.
    pub target: Option<String>,
}
