//! Making sure that no process of the demo is left: each of them (agent, edge, shims) names its directory, which no
//! other process does.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long processes may take to end by themselves after the agent has ended.
const GRACE: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for the processes that name `dir` to end, then kills those that have not. They are told.
pub async fn kill_all(dir: &Path) -> Vec<String> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < GRACE {
        if those_of(dir).is_empty() {
            return vec![];
        }
        tokio::time::sleep(PAUSE).await;
    }
    let mut killed = vec![];
    for (pid, words) in those_of(dir) {
        // It may have ended in this moment.
        if kill_process(pid, Signal::KILL).is_ok() {
            killed.push(format!("killed process {}: {words}", pid.as_raw_nonzero()));
        }
    }
    killed
}

/// Processes, other than this one, with `dir` in their arguments.
fn those_of(dir: &Path) -> Vec<(Pid, String)> {
    let (dir, own) = (dir.display().to_string(), std::process::id().to_string());
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    let named = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok().filter(|name| *name != own)?;
        let pid = Pid::from_raw(name.parse().ok()?)?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&line).replace('\0', " ");
        words.contains(&dir).then_some((pid, words))
    };
    entries.filter_map(Result::ok).filter_map(named).collect()
}
