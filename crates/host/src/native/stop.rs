//! Stopping: a signal, some patience, and SIGKILL.

use super::files::{Files, Status};
use super::process::Process;
use super::{Native, NativeError, blocking, signal, sweep};
use mainstay_model::{InstanceId, StackName};
use rustix::process::Signal;
use std::time::Duration;

impl Native {
    /// Stops an instance: `signal` (its `stop_signal` when `None`) to its command, as Docker sends it to process 1;
    /// after `grace` SIGKILL to the command and everything it started. Returns when all of it is gone and its end is
    /// recorded. Nothing when it does not run.
    ///
    /// # Errors
    /// [`NativeError::Signal`] for an unknown signal, [`NativeError::Missing`], and failures to signal.
    pub async fn stop(
        &self,
        stack: &StackName,
        id: &InstanceId,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), NativeError> {
        let files = self.files(stack, id);
        let signal = signal.map(signal::parse).transpose()?;
        let (status, own_signal) = blocking("stop", move || look(&files)).await?;
        let Some(status) = status else { return Ok(()) };
        let signal = match signal {
            Some(signal) => signal,
            None => signal::parse(&own_signal)?,
        };
        if status.is_running() {
            end(&status, signal, grace).await?;
        }
        blocking("stop", move || {
            // A shim that is still there is at its last words and has swept itself.
            if !status.shim.is_alive() {
                sweep::sweep(&status);
            }
            Ok(())
        })
        .await
    }

    /// Sends `signal` to the command of a running instance and does not wait.
    ///
    /// # Errors
    /// As [`stop`](Self::stop), and [`NativeError::NotRunning`].
    pub async fn kill(&self, stack: &StackName, id: &InstanceId, signal: &str) -> Result<(), NativeError> {
        let files = self.files(stack, id);
        let signal = signal::parse(signal)?;
        let (status, _) = blocking("signal", move || look(&files)).await?;
        let child = status.filter(Status::is_running).and_then(|status| status.child);
        let child = child.ok_or_else(|| NativeError::NotRunning(id.to_string()))?;
        send(child, signal)
    }
}

fn look(files: &Files) -> Result<(Option<Status>, String), NativeError> {
    let launch = files.launch()?;
    Ok((files.status()?, launch.stop_signal))
}

/// Returns when shim and command are gone. The shim goes last, after it has killed the rest and recorded the end.
async fn end(status: &Status, signal: Signal, grace: Duration) -> Result<(), NativeError> {
    let Some(child) = status.child else {
        // The shim was caught before it had started the command.
        send(status.shim, Signal::KILL)?;
        return gone(status.shim).await;
    };
    send(child, signal)?;
    let both = async {
        gone(status.shim).await?;
        gone(child).await
    };
    let mut both = std::pin::pin!(both);
    if let Ok(done) = tokio::time::timeout(grace, &mut both).await {
        return done;
    }
    send(child, Signal::KILL)?;
    both.await
}

fn send(process: Process, signal: Signal) -> Result<(), NativeError> {
    process.signal(signal).map(|_| ()).map_err(NativeError::process("signal", process.pid))
}

async fn gone(process: Process) -> Result<(), NativeError> {
    let wait = process.gone().await;
    wait.map_err(|source| NativeError::Process { action: "wait for", pid: process.pid, source })
}
