//! What can be done to a container that exists. Everything is the same done twice as once.
//!
//! Containers are named by id (an instance's handle) or by name.

use super::Docker;
use super::engine::ApiVersion;
use super::error::DockerError;
use super::wire::{Call, escape};
use serde::Deserialize;
use std::time::Duration;

impl Docker {
    /// Starts `container`; one that runs stays as it is.
    ///
    /// # Errors
    /// [`DockerError::PortTaken`] when a published port is held by something else.
    pub async fn start(&self, container: &str) -> Result<(), DockerError> {
        self.wire.done(self.act(container, "start")).await
    }

    /// Stops `container` with `signal` (its own stop signal where `None`), and kills it after `grace`. Returns
    /// when it has stopped; one that does not run stays as it is. The Engine counts whole seconds.
    pub async fn stop(
        &self,
        container: &str,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), DockerError> {
        let takes_signal = self.engine.api >= ApiVersion::v1(42);
        match signal {
            // Older Engines know the stop signal of the container only.
            Some(signal) if !takes_signal => {
                self.kill(container, Some(signal)).await?;
                // Whether it stops in time or not: what follows ends it, and ends the restart policy's claim.
                let _ = tokio::time::timeout(grace, self.wait(container)).await;
                self.stop_within(container, None, Duration::ZERO).await
            }
            signal => self.stop_within(container, signal, grace).await,
        }
    }

    async fn stop_within(
        &self,
        container: &str,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), DockerError> {
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let mut call = self.act(container, "stop").query("t", &seconds.to_string()).extra_patience(grace);
        if let Some(signal) = signal {
            call = call.query("signal", signal);
        }
        self.wire.done(call).await
    }

    /// Sends `signal` (SIGKILL where `None`). One that does not run stays as it is.
    pub async fn kill(&self, container: &str, signal: Option<&str>) -> Result<(), DockerError> {
        let call = self.act(container, "kill").query("signal", signal.unwrap_or("SIGKILL"));
        match self.wire.done(call).await {
            Err(DockerError::Conflict { .. }) => Ok(()),
            other => other,
        }
    }

    /// Removes `container` with its anonymous volumes, killing it where it runs. One that is gone is gone.
    pub async fn remove(&self, container: &str) -> Result<(), DockerError> {
        let path = format!("/containers/{}", escape(container));
        let call =
            Call::delete(path, format!("container {container}")).query("v", "true").query("force", "true");
        match self.wire.done(call).await {
            Err(DockerError::NotFound { .. }) => Ok(()),
            // "removal of container … is already in progress": it is gone once `wait` says so.
            Err(DockerError::Conflict { message, .. }) if message.contains("already in progress") => Ok(()),
            other => other,
        }
    }

    /// Gives `container` another name.
    ///
    /// # Errors
    /// [`DockerError::NameInUse`] when another container has it.
    pub async fn rename(&self, container: &str, name: &str) -> Result<(), DockerError> {
        match self.wire.done(self.act(container, "rename").query("name", name)).await {
            Err(DockerError::Conflict { message, .. }) => {
                if self.inspect(name).await.is_ok_and(|there| there.is(container)) {
                    return Ok(());
                }
                Err(DockerError::NameInUse { name: name.to_owned(), holder: message })
            }
            // Engines say 500 or 400 for "renaming a container with the same name as its current name".
            Err(DockerError::Refused { message, .. }) if message.contains("same name") => Ok(()),
            other => other,
        }
    }

    /// Freezes every process of `container`.
    pub async fn pause(&self, container: &str) -> Result<(), DockerError> {
        match self.wire.done(self.act(container, "pause")).await {
            Err(error) if says(&error, "already paused") => Ok(()),
            other => other,
        }
    }

    /// Lets a frozen `container` go on.
    pub async fn unpause(&self, container: &str) -> Result<(), DockerError> {
        match self.wire.done(self.act(container, "unpause")).await {
            Err(error) if says(&error, "is not paused") => Ok(()),
            other => other,
        }
    }

    /// Waits until `container` does not run, and gives its exit status; at once where it has ended before.
    pub async fn wait(&self, container: &str) -> Result<i32, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Waited {
            status_code: i64,
        }
        let waited: Waited = self.wire.json(self.act(container, "wait").patient()).await?;
        Ok(i32::try_from(waited.status_code).unwrap_or(i32::MAX))
    }

    /// Tells the terminal of `container` its size.
    pub async fn resize(&self, container: &str, rows: u16, columns: u16) -> Result<(), DockerError> {
        let call =
            self.act(container, "resize").query("h", &rows.to_string()).query("w", &columns.to_string());
        self.wire.done(call).await
    }

    pub(super) fn act(&self, container: &str, verb: &str) -> Call {
        Call::post(format!("/containers/{}/{verb}", escape(container)), shown(container))
    }
}

/// A container in words. Ids are cut as `docker ps` cuts them.
pub(super) fn shown(container: &str) -> String {
    let is_id = container.len() == 64 && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = if is_id { container.get(..12).unwrap_or(container) } else { container };
    format!("container {short}")
}

fn says(error: &DockerError, words: &str) -> bool {
    match error {
        DockerError::Conflict { message, .. } | DockerError::Refused { message, .. } => {
            message.contains(words)
        }
        _ => false,
    }
}
