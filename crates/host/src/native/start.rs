//! Starting: a shim, and through it the command.

use super::files::Files;
use super::shim::Report;
use super::{Native, NativeError, blocking};
use mainstay_model::{InstanceId, StackName};
use std::process::Stdio;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

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
            return Ok(());
        }
        match self.shim(&files).await? {
            // Held: a shim of an earlier start is still at work; what it started is what was asked for.
            Report::Running | Report::Held => Ok(()),
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
