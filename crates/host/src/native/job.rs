//! Jobs: commands of a service that run to an end, once.

use super::files::Exit;
use super::launch::Launch;
use super::log::LogLine;
use super::{JOB_SLOT, Native, NativeError, blocking, observe};
use mainstay_model::{InstanceId, ReleaseNumber, Service, StackName};
use tokio::sync::mpsc;

/// The id under which the job of `service` for `release` is kept; slot 0 is no copy's.
pub fn job_id(service: &Service, release: ReleaseNumber) -> InstanceId {
    InstanceId { service: service.name.clone(), release, slot: JOB_SLOT }
}

impl Native {
    /// Runs `argv` with everything of `service` but its command, once for `release`, and passes its output on to
    /// `lines`. A second call joins the run under way, or tells of the one that ended: an agent that was killed meanwhile
    /// calls again. Dropping the future stops nothing; [`stop`](Self::stop) and [`remove`](Self::remove) take
    /// [`job_id`].
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`start`](Self::start). A job that fails is no error.
    pub async fn run_job(
        &self,
        stack: &StackName,
        service: &Service,
        release: ReleaseNumber,
        argv: Vec<String>,
        lines: mpsc::Sender<LogLine>,
    ) -> Result<Exit, NativeError> {
        let id = job_id(service, release);
        let files = self.files(stack, &id);
        if argv.first().is_none_or(String::is_empty) {
            return Err(NativeError::NoCommand(service.name.to_string()));
        }
        let mut launch = Launch::running(service, &id, "", None, argv)?;
        launch.name = format!("{}-job", launch.name);
        let made = files.clone();
        let before = blocking("run a job", move || {
            made.create(&launch)?;
            made.status()
        })
        .await?;
        if before.is_none() {
            self.launch(files.clone()).await?;
        }
        let mut log = self.stream(files.clone(), true, None, None).await?;
        while let Some(line) = log.next_line().await {
            let _nobody_listens = lines.send(line?).await;
        }
        let name = files.name();
        let status = blocking("run a job", move || files.status()).await?;
        // The log ends with the job, unless somebody removed it.
        status.and_then(|status| status.exited).ok_or(NativeError::Missing(name))
    }

    /// Jobs of a stack that are kept, running or not.
    ///
    /// # Errors
    /// Failures to read.
    pub async fn jobs(&self, stack: &StackName) -> Result<Vec<InstanceId>, NativeError> {
        let dir = self.root.join(stack.as_str());
        blocking("observe", move || {
            Ok(observe::instances(&dir)?.into_iter().filter(|id| id.slot == JOB_SLOT).collect())
        })
        .await
    }
}
