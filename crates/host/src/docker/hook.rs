//! Lifecycle hooks of a service (Compose Specification, "Lifecycle hooks"): commands in its container, and containers
//! that run before it.
//!
//! Knows nothing about when a hook is due, nor what its failure means.

use super::Docker;
use super::create::Draft;
use super::error::DockerError;
use super::exec::ExecRequest;
use super::frames::Output;
use super::job::{JobEnd, LAST_LINES};
use super::labels::{self, Labels};
use super::logs::LogLine;
use super::wire::Call;
use mainstay_model::{Hook, InstanceState, RestartPolicy, Service, ServiceName, Stack, StackName};
use serde::Deserialize;
use std::collections::VecDeque;
use std::time::Duration;

/// Longest line that is told whole, bytes.
const LONGEST_LINE: usize = 64 << 10;

/// A container of `pre_start:`.
#[derive(Debug, Clone, Copy)]
pub struct PreStart<'a> {
    /// The stack that defines its service.
    pub stack: &'a Stack,
    /// What the hook says, with what it has from its service.
    pub hook: &'a Service,
    /// Its place under `pre_start:`, from 0.
    pub index: usize,
    /// Id of its image.
    pub image: &'a str,
    /// The container that is to start after it, whose mounts it shares.
    pub before: &'a str,
}

/// How a command in a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookEnd {
    /// Exit status; `None` when it did not end in time, and was killed where that can be done.
    pub code: Option<i32>,
    /// The last lines that it wrote.
    pub last_lines: Vec<String>,
}

impl Docker {
    /// Runs `hook` inside `container` for at most `patience`, and tells `news` every line that it writes.
    ///
    /// # Errors
    /// [`DockerError::Conflict`] when the container does not run.
    pub async fn run_hook(
        &self,
        container: &str,
        hook: &Hook,
        patience: Duration,
        mut news: impl FnMut(String) + Send,
    ) -> Result<HookEnd, DockerError> {
        let request = ExecRequest {
            argv: hook.command.clone(),
            env: hook.environment.clone(),
            user: hook.user.clone(),
            workdir: hook.working_dir.clone(),
            privileged: hook.privileged,
            ..ExecRequest::default()
        };
        let mut session = self.exec(container, &request).await?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut last_lines = VecDeque::new();
        let mut tell = |line: &[u8]| {
            if last_lines.len() == LAST_LINES {
                last_lines.pop_front();
            }
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            last_lines.push_back(text.clone());
            news(text);
        };
        let to_end = async {
            while let Some((stream, piece)) = session.output.next().await? {
                let partial = if stream == Output::Stdout { &mut out } else { &mut err };
                for piece in piece.split_inclusive(|byte| *byte == b'\n') {
                    partial.extend_from_slice(piece);
                    if piece.ends_with(b"\n") || partial.len() > LONGEST_LINE {
                        tell(partial);
                        partial.clear();
                    }
                }
            }
            [&out, &err].into_iter().filter(|rest| !rest.is_empty()).for_each(|rest| tell(rest));
            self.settled(&session.id).await
        };
        let code = match tokio::time::timeout(patience, to_end).await {
            Ok(code) => Some(code?),
            Err(_) => {
                self.kill_exec(container, &session.id).await?;
                None
            }
        };
        Ok(HookEnd { code, last_lines: last_lines.into() })
    }

    /// Runs a container of `pre_start:` to its end and tells `news` every line that it writes. One that was begun for the
    /// same start is not begun again; it stays there, so that who was interrupted knows, until [`Docker::remove_pre_start`].
    ///
    /// # Errors
    /// When it could not be run or followed; one that fails is a [`JobEnd`] with its status.
    pub async fn run_pre_start(
        &self,
        wanted: &PreStart<'_>,
        news: impl FnMut(LogLine) + Send,
    ) -> Result<JobEnd, DockerError> {
        let PreStart { stack, hook, index, before, .. } = *wanted;
        let name = format!("{}-{}-pre_start-{index}", stack.name, hook.name);
        let label = format!("pre_start.{index}.{before}");
        let there = match self.inspect(&name).await {
            Ok(there) if there.config.labels.contains_key(labels::HOOK) => Some(there),
            Ok(there) => {
                return Err(there.claimed_by(&name, (labels::JOB, &label), stack).err().unwrap_or(
                    DockerError::NameInUse { name, holder: "a container that is no hook".to_owned() },
                ));
            }
            Err(DockerError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let ours = |there: &super::observe::Inspected| {
            let failed = matches!(there.life(), InstanceState::Exited { code, .. } if code != 0);
            !failed && there.config.labels.get(labels::JOB) == Some(&label)
        };
        let id = match there {
            Some(there) if ours(&there) => there.id,
            earlier => {
                if let Some(earlier) = earlier {
                    self.remove(&earlier.id).await?;
                }
                let mut draft = self.draft_pre_start(wanted, &name).await?;
                draft.body.labels.insert(labels::JOB.to_owned(), label);
                Box::pin(self.make(draft, hook, wanted.image)).await?
            }
        };
        if self.inspect(&id).await?.life() == InstanceState::Created {
            self.start(&id).await?;
        }
        self.followed(id, news).await
    }

    async fn draft_pre_start(&self, wanted: &PreStart<'_>, name: &str) -> Result<Draft, DockerError> {
        let PreStart { stack, hook, index, image, before } = *wanted;
        let mut once = hook.clone();
        once.restart = RestartPolicy::No;
        once.more.written.restart = false;
        let mut draft = Box::pin(self.draft(stack, &once, name, image)).await?;
        draft.body.host_config.volumes_from.push(before.to_owned());
        for (_, endpoint) in &mut draft.networks {
            // Nobody who asks for the service may be sent here.
            endpoint.aliases.clear();
        }
        draft.body.labels = labels::of_pre_start(stack, hook, index);
        Ok(draft)
    }

    /// Removes what is left of the `pre_start:` containers of a service, killing those that run.
    pub async fn remove_pre_start(
        &self,
        stack: &StackName,
        service: &ServiceName,
    ) -> Result<(), DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            id: String,
            #[serde(default)]
            labels: Option<Labels>,
        }
        let call = Call::get("/containers/json", format!("hooks of {service}"))
            .query("all", "true")
            .query("filters", &labels::filter(stack, &[labels::HOOK]));
        for Listed { id, labels } in self.wire.json::<Vec<Listed>>(call).await? {
            if labels.unwrap_or_default().get(labels::SERVICE).map(String::as_str) == Some(service.as_str()) {
                self.remove(&id).await?;
            }
        }
        Ok(())
    }
}
