//! Native processes as instances: what Docker does for containers, for services with neither image nor build.
//!
//! Every instance has a directory and, while it runs, a shim: a small process that holds its output and records its
//! end (see [`shim`]). All that is known about instances is in those directories, so an agent that was killed finds
//! everything again by [`Native::observe`] alone.
//!
//! Knows nothing about releases, readiness, restart policies or the journal: it makes, starts, stops and looks.

mod cgroup;
mod changes;
mod error;
mod exec;
mod files;
mod job;
mod launch;
mod log;
mod logs;
mod observe;
mod port;
mod process;
mod pty;
pub mod shim;
mod signal;
mod spawn;
mod start;
mod stats;
mod stop;
mod sweep;
mod user;

pub use changes::{Change, Changes};
pub use error::NativeError;
pub use exec::{Exec, ExecInput, ExecOutput, ExecRequest, ProbeResult};
pub use files::Exit;
pub use job::job_id;
pub use launch::unsupported;
pub use log::{LogLine, Stream};
pub use logs::LogStream;
pub use port::PORTS;
pub use stats::Stats;

use self::files::Files;
use self::launch::Launch;
use mainstay_model::{InstanceId, Service, StackName};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{SystemTime, UNIX_EPOCH};

/// Slot of an instance that is a job; copies of a service are counted from 1.
const JOB_SLOT: u32 = 0;

/// The native instances below one state directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Native {
    root: PathBuf,
    exe: PathBuf,
    next_port: Arc<AtomicU32>,
}

impl Native {
    /// Instances live in `<state_dir>/native`; shims are started as `<exe> shim <dir>`.
    pub fn new(state_dir: impl Into<PathBuf>, exe: impl Into<PathBuf>) -> Self {
        // Begins anywhere, so that a port just given up is not the first to be given again after a restart.
        // Spread widely: agents that start together on one host must not choose the same ports.
        let seed =
            now().wrapping_add(u64::from(std::process::id()) << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let next_port = Arc::new(AtomicU32::new((seed >> 32) as u32));
        Self { root: state_dir.into().join("native"), exe: exe.into(), next_port }
    }

    /// Makes an instance of `service` that does not run yet; nothing when it is there already. `hash` is what
    /// [`observe`](Self::observe) reports as made from; `port` is the loopback port it gets as `PORT`.
    ///
    /// # Errors
    /// [`NativeError::Unsupported`], [`NativeError::NoCommand`], [`NativeError::Logging`], [`NativeError::Signal`] for
    /// a service that cannot run natively as the file says; otherwise failures to write.
    pub async fn create(
        &self,
        stack: &StackName,
        service: &Service,
        id: &InstanceId,
        hash: &str,
        port: Option<u16>,
    ) -> Result<(), NativeError> {
        let launch = Launch::of(service, id, hash, port)?;
        let files = self.files(stack, id);
        blocking("create", move || files.create(&launch).map(|_| ())).await
    }

    /// Removes an instance and its logs, killing what still runs of it. Nothing when it is gone already.
    ///
    /// # Errors
    /// Failures to read, kill or remove; the instance is then still there.
    pub async fn remove(&self, stack: &StackName, id: &InstanceId) -> Result<(), NativeError> {
        match self.stop(stack, id, Some("SIGKILL"), std::time::Duration::ZERO).await {
            Ok(()) | Err(NativeError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        let files = self.files(stack, id);
        blocking("remove", move || files.remove()).await
    }

    /// Removes drafts and halves of removals that a killed agent left behind; to be called before anything else.
    ///
    /// # Errors
    /// Failures to read or remove.
    pub async fn tidy(&self) -> Result<(), NativeError> {
        let root = self.root.clone();
        blocking("tidy", move || files::tidy(&root)).await
    }

    fn files(&self, stack: &StackName, id: &InstanceId) -> Files {
        Files::of(&self.root, stack, id)
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, NativeError> + Send + 'static,
) -> Result<T, NativeError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(NativeError::Interrupted(what)))
}

/// Ms since the epoch.
fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn now() -> u64 {
    millis(SystemTime::now())
}
