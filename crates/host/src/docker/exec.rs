//! Running another command inside a container: for a person, with everything, or as a probe.

use super::Docker;
use super::endpoint::Stream;
use super::engine::Reach;
use super::error::DockerError;
use super::frames::{Frames, Output};
use super::lifecycle::shown;
use super::wire::{Call, escape};
use bytes::Bytes;
use mainstay_model::Secret;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A command to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Variables besides the container's.
    pub env: BTreeMap<String, Secret>,
    /// As whom; the container's user where `None`.
    pub user: Option<String>,
    /// Where; the container's working directory where `None`.
    pub workdir: Option<String>,
    /// Give it a standard input.
    pub stdin: bool,
    /// With extended rights.
    pub privileged: bool,
}

/// A command that runs, with its streams.
pub struct ExecSession {
    /// The Engine's name for it, for [`Docker::exec_exit`] and [`Docker::exec_resize`].
    pub id: String,
    /// Its standard input.
    pub input: ExecInput,
    /// Its output.
    pub output: ExecOutput,
}

/// Where a standard input is written.
pub struct ExecInput {
    writer: Box<dyn AsyncWrite + Unpin + Send>,
}

/// Where an output is read.
pub struct ExecOutput {
    reader: Box<dyn AsyncRead + Unpin + Send>,
    frames: Frames,
    buffer: Box<[u8]>,
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Exit status; `None` when it did not end in time.
    pub exit: Option<i32>,
    /// The first bytes that it wrote, both streams together.
    pub output: String,
}

/// Bytes of a probe's output that are kept: what Docker keeps of its own probes.
const PROBE_OUTPUT: usize = 4096;

/// Bytes that are read at a time.
const PIECE: usize = 16 << 10;

/// Answer of `GET /exec/{id}/json`, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(default)]
    running: bool,
    #[serde(default)]
    exit_code: Option<i64>,
    /// In the Engine's process namespace; 0 before it has started.
    #[serde(default)]
    pid: u32,
}

impl Docker {
    /// Runs a command inside `container`.
    ///
    /// # Errors
    /// [`DockerError::Conflict`] when the container does not run.
    pub async fn exec(&self, container: &str, request: &ExecRequest) -> Result<ExecSession, DockerError> {
        let id = self.make_exec(container, request).await?;
        let what = format!("command in {}", shown(container));
        let body = json!({ "Detach": false, "Tty": request.tty });
        let call = Call::post(format!("/exec/{id}/start"), what).json(&body)?;
        let stream = self.wire.upgrade(call).await?;
        let (input, output) = streams(stream, request.tty);
        Ok(ExecSession { id, input, output })
    }

    /// Exit status of a command; `None` while it runs.
    pub async fn exec_exit(&self, id: &str) -> Result<Option<i32>, DockerError> {
        let Inspected { running, exit_code, .. } = self.inspect_exec(id).await?;
        let code = exit_code.map(|code| i32::try_from(code).unwrap_or(i32::MAX));
        Ok(if running { None } else { code })
    }

    /// Tells a command's terminal its size.
    pub async fn exec_resize(&self, id: &str, rows: u16, columns: u16) -> Result<(), DockerError> {
        let call = Call::post(format!("/exec/{id}/resize"), "the terminal's size")
            .query("h", &rows.to_string())
            .query("w", &columns.to_string());
        self.wire.done(call).await
    }

    /// Runs `argv` inside `container` for its exit status, for at most `timeout`. A command that takes longer is
    /// killed where this process may do that (the Engine itself has no way to).
    ///
    /// # Errors
    /// When the command could not be run at all; one that does not exist ends with 126 or 127.
    pub async fn probe(
        &self,
        container: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<Probed, DockerError> {
        let request = ExecRequest { argv: argv.to_vec(), ..ExecRequest::default() };
        let mut session = self.exec(container, &request).await?;
        let mut kept = Vec::new();
        let read = async {
            while let Some((_, piece)) = session.output.next().await? {
                let room = PROBE_OUTPUT.saturating_sub(kept.len());
                kept.extend_from_slice(piece.get(..room).unwrap_or(&piece));
            }
            // Output ends a moment before the exit status is there.
            self.settled(&session.id).await
        };
        let exit = match tokio::time::timeout(timeout, read).await {
            Ok(exit) => Some(exit?),
            Err(_) => {
                self.kill_exec(container, &session.id).await?;
                None
            }
        };
        Ok(Probed { exit, output: String::from_utf8_lossy(&kept).trim_end().to_owned() })
    }

    /// Waits for the exit status of a command whose output has ended.
    ///
    /// # Errors
    /// [`DockerError::Silent`] when it runs on with its output closed.
    pub async fn settled(&self, id: &str) -> Result<i32, DockerError> {
        // The Engine notes the exit a few milliseconds after the streams close, and has no call that waits for it.
        const FIRST: Duration = Duration::from_millis(2);
        const LONGEST: Duration = Duration::from_millis(250);
        let mut pause = FIRST;
        loop {
            if let Some(code) = self.exec_exit(id).await? {
                return Ok(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    async fn make_exec(&self, container: &str, request: &ExecRequest) -> Result<String, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Made {
            id: String,
        }
        let ExecRequest { argv, tty, env, user, workdir, stdin, privileged } = request;
        let env: Vec<_> = env.iter().map(|(key, value)| format!("{key}={}", value.expose())).collect();
        let body = json!({
            "Cmd": argv,
            "Tty": tty,
            "Env": env,
            "User": user.as_deref().unwrap_or_default(),
            "WorkingDir": workdir.as_deref().unwrap_or_default(),
            "AttachStdin": stdin,
            "AttachStdout": true,
            "AttachStderr": true,
            "Privileged": privileged,
        });
        let path = format!("/containers/{}/exec", escape(container));
        let Made { id } = self.wire.json(Call::post(path, shown(container)).json(&body)?).await?;
        Ok(id)
    }

    async fn inspect_exec(&self, id: &str) -> Result<Inspected, DockerError> {
        self.wire.json(Call::get(format!("/exec/{id}/json"), "a command's state")).await
    }

    /// Kills a command by its process id. Only where the Engine's process ids are this host's, and only while
    /// that process is in a control group of `container`: ids are used again.
    pub(super) async fn kill_exec(&self, container: &str, id: &str) -> Result<(), DockerError> {
        if self.engine.reach != Reach::Bridge {
            return Ok(());
        }
        let Inspected { running, pid, .. } = self.inspect_exec(id).await?;
        let full = self.inspect(container).await?.id;
        let groups = tokio::fs::read_to_string(format!("/proc/{pid}/cgroup")).await.unwrap_or_default();
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| running && !full.is_empty() && groups.contains(&full)) {
            // Without the right to, it is left to end by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        Ok(())
    }
}

/// Both directions of an upgraded connection; with a terminal the output has no frames.
pub(super) fn streams(stream: impl Stream + 'static, tty: bool) -> (ExecInput, ExecOutput) {
    let (reader, writer) = tokio::io::split(stream);
    let buffer = vec![0; PIECE].into();
    (
        ExecInput { writer: Box::new(writer) },
        ExecOutput { reader: Box::new(reader), frames: Frames::new(tty), buffer },
    )
}

impl ExecInput {
    /// Writes all of `bytes`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), DockerError> {
        let broken = |e| DockerError::broken("a command's input", e);
        self.writer.write_all(bytes).await.map_err(broken)?;
        self.writer.flush().await.map_err(broken)
    }

    /// Ends the input: the command reads end-of-file.
    pub async fn close(mut self) -> Result<(), DockerError> {
        self.writer.shutdown().await.map_err(|e| DockerError::broken("a command's input", e))
    }
}

impl ExecOutput {
    /// The next piece; `None` when the command has closed its output. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<(Output, Bytes)>, DockerError> {
        loop {
            if let Some(frame) = self.frames.next() {
                return Ok(Some(frame));
            }
            let read = self.reader.read(&mut self.buffer).await;
            let length = read.map_err(|e| DockerError::broken("a command's output", e))?;
            if length == 0 {
                return Ok(None);
            }
            self.frames.feed(self.buffer.get(..length).unwrap_or_default());
        }
    }
}
