//! Starting: a shim, and through it the command.

use super::files::Files;
use super::shim::Report;
use super::{Native, NativeError, blocking};
use mainstay_model::{InstanceId, StackName};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Between two looks at what another shim is doing. It needs some milliseconds from its lock to a running command.
const OTHER_LOOK: Duration = Duration::from_millis(20);

/// Looks at another shim before it is given up: ten seconds' worth.
const OTHER_LOOKS: u32 = 500;

impl Native {
    /// Starts an instance and returns once its command runs. Nothing when it runs already. Counts as a restart when
    /// it ran before.
    ///
    /// # Errors
    /// [`NativeError::Start`] says which command, user or directory is at fault, with Docker's exit code, which the
    /// instance then shows as its own.
    pub async fn start(&self, stack: &StackName, id: &InstanceId) -> Result<(), NativeError> {
        self.launch(self.files(stack, id)).await
    }

    pub(super) async fn launch(&self, files: Files) -> Result<(), NativeError> {
        let name = files.name();
        let looked = files.clone();
        let status = blocking("start", move || looked.launch().and_then(|_| looked.status())).await?;
        if status.is_some_and(|status| status.is_running()) {
            return wait_for_other(files).await;
        }
        match self.shim(&files).await? {
            Report::Running => Ok(()),
            Report::Held => wait_for_other(files).await,
            Report::Refused { why, code } => Err(NativeError::Start { instance: name, why, code }),
            Report::Broken { why } => Err(NativeError::Start { instance: name, why, code: 128 }),
        }
    }

    /// Starts a shim and hears its report. It outlives us: it makes its own session and lets go of our streams; the
    /// runtime buries it when it ends before we do.
    async fn shim(&self, files: &Files) -> Result<Report, NativeError> {
        let mut shim = Command::new(&self.exe)
            .arg("shim")
            .arg(files.dir())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(NativeError::file("run", &self.exe))?;
        let mut report = Vec::new();
        if let Some(stdout) = &mut shim.stdout {
            stdout.read_to_end(&mut report).await.map_err(NativeError::file("start", files.dir()))?;
        }
        serde_json::from_slice(&report).map_err(|_| NativeError::ShimDied(files.name()))
    }
}

/// A shim of an earlier start, whose starter was killed, holds the instance. What it starts is what was asked for.
async fn wait_for_other(files: Files) -> Result<(), NativeError> {
    for _ in 0..OTHER_LOOKS {
        let looked = files.clone();
        let status = blocking("start", move || looked.status()).await?;
        if status.is_some_and(|status| status.started.is_some() || status.exited.is_some()) {
            return Ok(());
        }
        tokio::time::sleep(OTHER_LOOK).await;
    }
    Err(NativeError::ShimDied(files.name()))
}
