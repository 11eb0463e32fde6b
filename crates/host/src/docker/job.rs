//! Containers that run a command to its end.
//!
//! A job is found again by name and label, so that an agent that died while it ran sees it to its end instead of
//! running it twice; for the same reason it is not removed here, but by who has written down how it ended.

use super::create::{Draft, networks};
use super::error::DockerError;
use super::exec::{self, ExecInput, ExecOutput};
use super::labels::{self, Identity};
use super::logs::{LogLine, LogRequest};
use super::wire::Call;
use super::{Docker, ports, process};
use mainstay_model::{InstanceState, ReleaseNumber, Service, Stack, StackName};
use serde::Deserialize;
use std::collections::{BTreeSet, VecDeque};

/// Lines of a job's log that are kept for who has to tell of its failure.
pub(super) const LAST_LINES: usize = 20;

/// A job to be run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The stack that defines its service.
    pub stack: &'a Stack,
    /// The service whose image, environment, mounts and networks it has.
    pub service: &'a Service,
    /// What it is for, such as `release`; part of its name.
    pub purpose: &'a str,
    /// The release it belongs to. Together with service and purpose it says which job this is.
    pub release: ReleaseNumber,
    /// Id of its image.
    pub image: &'a str,
    /// The command in place of the service's. Its entrypoint stays, as with `docker compose run`.
    pub argv: &'a [String],
}

/// A container that somebody uses at a terminal and then throws away: `run`.
#[derive(Debug, Clone, Copy)]
pub struct OneOff<'a> {
    /// The stack that defines its service.
    pub stack: &'a Stack,
    /// The service, with command, environment, user, ports, `tty` and `stdin_open` as they are wanted.
    pub service: &'a Service,
    /// Name of the container; Compose's are `<stack>-<service>-run-<random>`.
    pub name: &'a str,
    /// Id of its image.
    pub image: &'a str,
    /// Whether it answers to the names of the service on its networks.
    pub aliases: bool,
}

/// A container with its streams.
pub struct Attached {
    /// Its id.
    pub container: String,
    /// Its standard input; goes nowhere unless the service has `stdin_open`.
    pub input: ExecInput,
    /// Its output: from the first byte, or from when it was attached to.
    pub output: ExecOutput,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// Its container, which is still there.
    pub container: String,
    /// Exit status.
    pub code: i32,
    /// It was killed for lack of memory.
    pub oom: bool,
    /// The last lines that it wrote.
    pub last_lines: Vec<String>,
}

impl Docker {
    /// Runs `job` to its end and tells `news` every line that it writes. When it was begun before, it is not
    /// begun again: its log is told from the start, and its end waited for.
    ///
    /// # Errors
    /// When it could not be run or followed; a job that fails is a [`JobEnd`] with its status.
    pub async fn run_job(
        &self,
        job: &Job<'_>,
        news: impl FnMut(LogLine) + Send,
    ) -> Result<JobEnd, DockerError> {
        let container = self.begun(job).await?;
        self.followed(container, news).await
    }

    /// The log of a container that was started, and how it ended.
    pub(super) async fn followed(
        &self,
        container: String,
        mut news: impl FnMut(LogLine) + Send,
    ) -> Result<JobEnd, DockerError> {
        let mut last_lines = VecDeque::new();
        match self.logs(&container, &LogRequest { follow: true, ..LogRequest::default() }).await {
            Ok(mut log) => {
                while let Some(line) = log.next().await? {
                    if last_lines.len() == LAST_LINES {
                        last_lines.pop_front();
                    }
                    last_lines.push_back(line.text.clone());
                    news(line);
                }
            }
            // A logging driver that cannot be read takes nothing from the job.
            Err(DockerError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        let code = self.wait(&container).await?;
        let oom = matches!(self.inspect(&container).await?.life(), InstanceState::Exited { oom: true, .. });
        Ok(JobEnd { container, code, oom, last_lines: last_lines.into() })
    }

    /// Makes the container of `wanted` and attaches to it. The caller starts it, and removes it in the end.
    ///
    /// # Errors
    /// As [`Docker::create`].
    pub async fn attach_one_off(&self, wanted: &OneOff<'_>) -> Result<Attached, DockerError> {
        let OneOff { stack, service, name, image, aliases } = *wanted;
        let mut alone = process::as_job(service, None);
        (alone.tty, alone.stdin_open) = (service.tty, service.stdin_open);
        let mut draft = self.draft_alone(stack, &alone, name, image).await?;
        if aliases {
            draft.networks = networks(stack, &alone, name)?;
        }
        let ports = ports::of(service, false, &BTreeSet::new());
        draft.body.exposed_ports = ports.exposed;
        draft.body.host_config.port_bindings = ports.bound;
        draft.body.stdin_once = service.stdin_open;
        let container = Box::pin(self.make(draft, &alone, image)).await?;
        match self.attach_streams(&container, service.tty, true).await {
            Ok(attached) => Ok(attached),
            Err(error) => {
                self.remove(&container).await?;
                Err(error)
            }
        }
    }

    /// The streams of a container that runs, from now on. Without `stdin` nothing can be typed.
    ///
    /// # Errors
    /// [`DockerError::NotFound`].
    pub async fn attach(&self, container: &str, stdin: bool) -> Result<Attached, DockerError> {
        let tty = self.inspect(container).await?.config.tty;
        self.attach_streams(container, tty, stdin).await
    }

    async fn attach_streams(&self, container: &str, tty: bool, stdin: bool) -> Result<Attached, DockerError> {
        let call = self.act(container, "attach").query("stream", "true").query("stdout", "true");
        let call = call.query("stderr", "true").query("stdin", if stdin { "true" } else { "false" });
        let (input, output) = exec::streams(self.wire.upgrade(call).await?, tty);
        Ok(Attached { container: container.to_owned(), input, output })
    }

    /// Removes every job of `stack`, killing those that run.
    pub async fn remove_jobs(&self, stack: &StackName) -> Result<(), DockerError> {
        self.remove_labelled(stack, labels::JOB).await
    }

    /// Removes every one-off copy of a service of `stack`, Compose's as well, killing those that run. As long as one
    /// runs, the networks of the stack cannot be removed.
    pub async fn remove_one_offs(&self, stack: &StackName) -> Result<(), DockerError> {
        self.remove_labelled(stack, &format!("{}=True", labels::ONEOFF)).await
    }

    async fn remove_labelled(&self, stack: &StackName, label: &str) -> Result<(), DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            id: String,
        }
        let call = Call::get("/containers/json", format!("containers of {stack}"))
            .query("all", "true")
            .query("filters", &labels::filter(stack, &[label]));
        for Listed { id } in self.wire.json::<Vec<Listed>>(call).await? {
            self.remove(&id).await?;
        }
        Ok(())
    }

    /// The job's container, started.
    async fn begun(&self, job: &Job<'_>) -> Result<String, DockerError> {
        let Job { stack, service, purpose, release, .. } = *job;
        let name = format!("{}-{}-{purpose}-{release}", stack.name, service.name);
        let label = format!("{purpose}.{release}");
        let (id, is_new) = match self.inspect(&name).await {
            Ok(there) => (
                there.claimed_by(&name, (labels::JOB, &label), stack)?,
                there.life() == InstanceState::Created,
            ),
            Err(DockerError::NotFound { .. }) => (self.make_job(job, &name, label).await?, true),
            Err(error) => return Err(error),
        };
        if is_new {
            self.start(&id).await?;
        }
        Ok(id)
    }

    async fn make_job(&self, job: &Job<'_>, name: &str, label: String) -> Result<String, DockerError> {
        let Job { stack, service, image, argv, .. } = *job;
        let alone = process::as_job(service, Some(argv));
        let mut draft = self.draft_alone(stack, &alone, name, image).await?;
        draft.body.labels.insert(labels::JOB.to_owned(), label);
        Box::pin(self.make(draft, &alone, image)).await
    }

    async fn draft_alone(
        &self,
        stack: &Stack,
        service: &Service,
        name: &str,
        image: &str,
    ) -> Result<Draft, DockerError> {
        let mut draft = Box::pin(self.draft(stack, service, name, image)).await?;
        for (_, endpoint) in &mut draft.networks {
            // Nobody who asks for the service may be sent here: only the container's own name stays.
            endpoint.aliases.truncate(1);
        }
        let identity = Identity { number: 1, oneoff: true, hash: "", image };
        draft.body.labels = labels::of_container(stack, service, &identity);
        Ok(draft)
    }
}
