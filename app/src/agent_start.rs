//! Starting the agent in the background, for commands that need one.
//!
//! The agent is a process of its own session, so that it outlives the terminal. It is ready when it answers; when it
//! ends before that, what it wrote is the reason.

use crate::error::Error;
use crate::place;
use crate::render::style;
use mainstay_api::{AgentInfo, Client, ClientError};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An agent that adopts a few hundred containers over a slow Docker Engine took two seconds; after this it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// First pause between two tries to reach it; it listens after some 10 ms. Doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Lines of its log that are shown when it died.
const SHOWN: usize = 20;

/// A client of the agent at `state_dir`, which is started when it does not run.
///
/// # Errors
/// It cannot be started, or its socket may not be used.
pub async fn ensure(state_dir: &Path, say_so: bool) -> Result<Client, Error> {
    let client = Client::new(place::socket(state_dir));
    match client.get::<AgentInfo>("/v1/info").await {
        Ok(_) => return Ok(client),
        Err(ClientError::NotRunning { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let started = Started::spawn(state_dir, &[])?;
    let pid = started.child.id();
    started.wait(&client).await?;
    if say_so {
        let mut out = anstream::stderr().lock();
        let dim = style::DIM;
        // A closed standard error is no reason not to go on.
        let _unread =
            writeln!(out, "{dim}started the agent (pid {pid}, state in {}){dim:#}", state_dir.display());
    }
    Ok(client)
}

/// An agent that was just started.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub child: Child,
    log: PathBuf,
    /// Where in the log it began to write.
    written_before: u64,
}

impl Started {
    /// Starts it, with `more` arguments.
    ///
    /// # Errors
    /// The state directory cannot be made or written, or the process cannot be started.
    pub fn spawn(state_dir: &Path, more: &[&str]) -> Result<Self, Error> {
        let unusable = |source| Error::StateDir { path: state_dir.to_path_buf(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(unusable)?;
        let log = place::log(state_dir);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&log).map_err(unusable)?;
        let written_before = file.metadata().map_err(unusable)?.len();
        let errors = file.try_clone().map_err(unusable)?;
        let exe = std::env::current_exe().map_err(Error::file("find", "the program itself"))?;
        let mut command = Command::new(exe);
        command
            .arg("agent")
            .arg("--state-dir")
            .arg(state_dir)
            .args(more)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors);
        // SAFETY: between fork and exec only setsid(2) is called, which is async-signal-safe.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into));
        }
        let failed = |source| Error::Process { what: "the agent could not be started".into(), source };
        Ok(Self { child: command.spawn().map_err(failed)?, log, written_before })
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// It ended, or does not answer in time.
    pub async fn wait(mut self, client: &Client) -> Result<Child, Error> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if client.get::<AgentInfo>("/v1/info").await.is_ok() {
                return Ok(self.child);
            }
            if let Ok(Some(_ended)) = self.child.try_wait() {
                // Two commands at once may both have started one; then the other's answers.
                if client.get::<AgentInfo>("/v1/info").await.is_ok() {
                    return Ok(self.child);
                }
                return Err(self.why_it_died());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::AgentMute { log: self.log });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Where it could not even write why it ended, that is why.
    fn why_it_died(&self) -> Error {
        let log = self.words();
        let write =
            || OpenOptions::new().append(true).open(&self.log).and_then(|mut file| file.write_all(b"\n"));
        match write() {
            Err(source) if log.is_empty() => {
                let path = self.log.parent().unwrap_or(&self.log).to_path_buf();
                Error::StateDir { path, source }
            }
            _ => Error::AgentDied { log },
        }
    }

    /// The last lines it wrote.
    fn words(&self) -> Vec<String> {
        let read = || {
            let mut text = String::new();
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.written_before))?;
            file.read_to_string(&mut text).map(|_| text)
        };
        let text = read().unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(SHOWN)..].iter().map(|line| (*line).to_owned()).collect()
    }
}
