//! An image made of a container as it is.

use super::Docker;
use super::error::DockerError;
use super::image::split_reference;
use super::lifecycle::shown;
use super::wire::Call;
use serde::{Deserialize, Serialize};

/// What the image is called, and what it says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// `repository[:tag]`; without one the image has no name.
    pub reference: Option<String>,
    /// Who made it.
    pub author: String,
    /// What it is for.
    pub message: String,
    /// Instructions of a Dockerfile to apply, such as `CMD` or `ENV`.
    pub changes: Vec<String>,
    /// Freeze the container meanwhile.
    pub pause: bool,
}

impl Docker {
    /// Makes an image of `container` and gives its id.
    pub async fn commit(&self, container: &str, commit: &Commit) -> Result<String, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Made {
            id: String,
        }
        let Commit { reference, author, message, changes, pause } = commit;
        let mut call = Call::post("/commit", shown(container))
            .query("container", container)
            .query("author", author)
            .query("comment", message)
            .query("pause", if *pause { "true" } else { "false" })
            .patient();
        if let Some(reference) = reference {
            let (repository, tag) = split_reference(reference);
            call = call.query("repo", repository).query("tag", tag);
        }
        for change in changes {
            call = call.query("changes", change);
        }
        Ok(self.wire.json::<Made>(call).await?.id)
    }
}
