//! The processes of a container.

use super::Docker;
use super::error::DockerError;
use super::lifecycle::shown;
use super::wire::{Call, escape};
use serde::Deserialize;

/// What `ps` says of the processes of a container, seen from its host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Processes {
    /// Names of the columns.
    pub titles: Vec<String>,
    /// One row a process.
    #[serde(default)]
    pub processes: Vec<Vec<String>>,
}

impl Docker {
    /// Its processes, as `ps -ef` shows them.
    ///
    /// # Errors
    /// [`DockerError::Conflict`] when `container` does not run.
    pub async fn top(&self, container: &str) -> Result<Processes, DockerError> {
        let path = format!("/containers/{}/top", escape(container));
        self.wire.json(Call::get(path, shown(container))).await
    }
}
