//! The processes of one site: each has its directory in its arguments or its environment, which no other process has.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;

/// A process of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// Its arguments.
    pub words: String,
}

/// All of them, zombies excluded.
pub fn of(dir: &Path) -> Vec<Process> {
    let (dir, own) = (dir.display().to_string(), std::process::id() as i32);
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let found = pids.filter(|pid| *pid != own).filter_map(|pid| {
        let read = |file: &str| {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&text).replace('\0', " ")
        };
        let words = read("cmdline");
        let ours = !words.is_empty() && (words.contains(&dir) || read("environ").contains(&dir));
        ours.then_some(Process { pid, words })
    });
    found.collect()
}

/// Shims among them.
pub fn is_shim(process: &Process) -> bool {
    process.words.contains(" shim ")
}

pub fn is_edge(process: &Process) -> bool {
    process.words.contains(" edge --control ")
}

pub fn is_agent(process: &Process) -> bool {
    process.words.contains(" agent ")
}

/// `kill -9`.
pub fn kill(pid: i32) {
    let _gone_is_fine = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// Ends everything of a site: shims first, or they would record ends that nobody reads.
pub fn kill_all_of(dir: &Path) {
    for process in of(dir) {
        kill(process.pid);
    }
}
