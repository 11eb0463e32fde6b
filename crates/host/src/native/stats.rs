//! What an instance uses.

use super::cgroup::Cgroup;
use super::files::Status;
use super::process::{self, Stat};
use super::{Native, NativeError, blocking};
use mainstay_model::{InstanceId, StackName};

/// Use of one running instance, everything it started included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of memory: of the control group without the page cache that could be dropped, which is Docker's figure; or,
    /// without a control group, the resident memory of the processes, which counts shared pages once each.
    pub memory: u64,
    /// The limit put on it.
    pub memory_limit: Option<u64>,
    /// CPU time since its start, ns. Without a control group, of the processes that still live.
    pub cpu: u64,
    /// Processes.
    pub processes: u64,
}

impl Native {
    /// Use of a running instance.
    ///
    /// # Errors
    /// [`NativeError::NotRunning`], [`NativeError::Missing`], failures to read.
    pub async fn stats(&self, stack: &StackName, id: &InstanceId) -> Result<Stats, NativeError> {
        let files = self.files(stack, id);
        blocking("measure", move || {
            let launch = files.launch()?;
            let status = files.status()?.filter(Status::is_running);
            let status = status.ok_or_else(|| NativeError::NotRunning(files.name()))?;
            Ok(Stats { memory_limit: launch.resources.memory.filter(|bytes| *bytes > 0), ..measure(&status) })
        })
        .await
    }
}

fn measure(status: &Status) -> Stats {
    let group = Cgroup::at(status.cgroups.clone());
    let (memory, cpu) = (group.memory(), group.cpu());
    let members = group.pids();
    if let (Some(memory), Some(cpu)) = (memory, cpu) {
        return Stats { memory, memory_limit: None, cpu, processes: members.len() as u64 };
    }
    let processes = process::all();
    let tree = process::descendants(&processes, status.shim.pid);
    let tree: Vec<&Stat> = tree.iter().filter_map(|pid| processes.get(pid)).collect();
    let page = rustix::param::page_size() as u64;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let sum = |of: fn(&Stat) -> u64| tree.iter().map(|stat| of(stat)).sum::<u64>();
    Stats {
        memory: memory.unwrap_or_else(|| sum(|stat| stat.resident_pages) * page),
        memory_limit: None,
        cpu: cpu.unwrap_or_else(|| sum(|stat| stat.cpu_ticks).saturating_mul(1_000_000_000 / ticks)),
        processes: tree.len() as u64,
    }
}
