//! Killing what a run left behind: by its control groups and by its session.

use super::cgroup::Cgroup;
use super::files::Status;
use super::process;
use std::time::{Duration, Instant};

/// As for a shim: only processes stuck in the kernel take longer.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Kills what is left of the run that `status` tells of, whose shim must be gone or going. Returns once nothing is.
pub(super) fn sweep(status: &Status) {
    if status.boot != process::boot_id() {
        return;
    }
    let group = Cgroup::at(status.cgroups.clone());
    let begun = Instant::now();
    while begun.elapsed() < LAST_WAIT {
        group.kill();
        let mut any = kill_group(&group);
        if let Some(child) = status.child {
            let processes = process::all();
            let session = process::session(&processes, child);
            any |= session
                .iter()
                .any(|pid| processes.get(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X')));
            process::kill(session, &processes);
        }
        if !any {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    group.remove();
}

/// Sends SIGKILL to every process of `group`; whether there was one.
pub(super) fn kill_group(group: &Cgroup) -> bool {
    let members = group.pids();
    let any = !members.is_empty();
    if any {
        let processes = process::all();
        process::kill(members, &processes);
    }
    any
}
