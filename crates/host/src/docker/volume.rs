//! Volumes of a stack. They outlive everything else, and are removed only when asked for by name.

use super::Docker;
use super::error::DockerError;
use super::labels;
use super::wire::{Call, escape};
use mainstay_model::{StackName, Volume};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A volume that exists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeInfo {
    /// Its name.
    pub name: String,
    /// Who keeps it.
    #[serde(default)]
    pub driver: String,
    /// Where it is on the host of the Engine.
    #[serde(default)]
    pub mountpoint: String,
    /// Its labels; the one of Compose says which key of the file it is.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

impl Docker {
    /// Makes the volume `key` of `stack`; one of that name stays as it is, whoever made it, as with Compose.
    pub async fn create_volume(
        &self,
        stack: &StackName,
        key: &str,
        volume: &Volume,
    ) -> Result<(), DockerError> {
        let body = json!({
            "Name": volume.name,
            "Driver": volume.driver.as_deref().unwrap_or("local"),
            "DriverOpts": volume.driver_opts,
            "Labels": labels::of_part(stack, labels::VOLUME, key, &volume.labels, &volume.config_hash),
        });
        let call = Call::post("/volumes/create", format!("volume {}", volume.name)).json(&body)?;
        self.wire.done(call).await
    }

    /// The volumes that exist of `stack`, by name.
    pub async fn volumes(&self, stack: &StackName) -> Result<Vec<VolumeInfo>, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            volumes: Option<Vec<VolumeInfo>>,
        }
        let call = Call::get("/volumes", format!("volumes of {stack}"))
            .query("filters", &labels::filter(stack, &[labels::VOLUME]));
        let mut volumes = self.wire.json::<Listed>(call).await?.volumes.unwrap_or_default();
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// Removes the volume called `name` with all that is in it. One that is gone is gone.
    ///
    /// # Errors
    /// [`DockerError::Conflict`] while a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        let call = Call::delete(format!("/volumes/{}", escape(name)), format!("volume {name}"));
        match self.wire.done(call).await {
            Err(DockerError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// Whether a volume called `name` exists, whoever made it: what an `external` one must do.
    pub async fn has_volume(&self, name: &str) -> Result<bool, DockerError> {
        let call = Call::get(format!("/volumes/{}", escape(name)), format!("volume {name}"));
        match self.wire.json::<Value>(call).await {
            Ok(_) => Ok(true),
            Err(DockerError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
