//! What Compose lets run around the life of a container, and on changes of its source.

use crate::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One entry of `post_start:` or `pre_stop:`, run inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// argv.
    pub command: Vec<String>,
    /// The user it runs as; the container's when absent.
    pub user: Option<String>,
    /// With all rights.
    pub privileged: bool,
    /// Where it runs; the container's when absent.
    pub working_dir: Option<String>,
    /// Variables over those of the container.
    pub environment: BTreeMap<String, Secret>,
}

/// One entry of `develop: watch:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRule {
    /// Absolute path that is watched.
    pub path: String,
    /// What a change leads to.
    pub action: WatchAction,
    /// Where files go in the container.
    pub target: Option<String>,
    /// Patterns of files that count; all when empty.
    pub include: Vec<String>,
    /// Patterns of files that do not count.
    pub ignore: Vec<String>,
    /// Copy everything at the start.
    pub initial_sync: bool,
    /// What `sync+exec` runs.
    pub exec: Option<Hook>,
}

/// What a change of a watched file leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchAction {
    /// Build the image and replace the container.
    #[serde(rename = "rebuild")]
    Rebuild,
    /// Copy the file.
    #[serde(rename = "sync")]
    Sync,
    /// Restart the container.
    #[serde(rename = "restart")]
    Restart,
    /// Copy, then restart.
    #[serde(rename = "sync+restart")]
    SyncRestart,
    /// Copy, then run a command.
    #[serde(rename = "sync+exec")]
    SyncExec,
}
