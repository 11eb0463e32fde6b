//! Processes by an identity that outlives the reuse of their numbers: pid, start time and boot.
//!
//! Knows nothing about instances, shims or limits.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use tokio::io::{Interest, unix::AsyncFd};

/// A process that cannot be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: i32,
    /// Clock ticks from boot to its start: field 22 of `/proc/<pid>/stat`.
    pub(super) ticks: u64,
}

/// The fields of `/proc/<pid>/stat` that are used here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) session: i32,
    /// User and system time of the process, clock ticks.
    pub(super) cpu_ticks: u64,
    pub(super) start_ticks: u64,
    /// Resident pages.
    pub(super) resident_pages: u64,
}

impl Stat {
    /// `None`: there is no such process.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Fields are counted after the last `)`, because a program chooses its own name and may put anything there.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // `rest` begins with field 3 (state); proc_pid_stat(5) counts from 1.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            cpu_ticks: number(14)? + number(15)?,
            start_ticks: number(22)?,
            resident_pages: number(24)?,
        })
    }
}

impl Process {
    /// The process that has this number now.
    pub(super) fn now(pid: i32) -> Option<Self> {
        Stat::of(pid).map(|stat| Self { pid, ticks: stat.start_ticks })
    }

    /// The calling process.
    pub(super) fn own() -> Option<Self> {
        Self::now(rustix::process::getpid().as_raw_pid())
    }

    /// Runs: exists, is the same process, and is not a zombie.
    pub(super) fn is_alive(self) -> bool {
        Stat::of(self.pid)
            .is_some_and(|stat| stat.start_ticks == self.ticks && !matches!(stat.state, 'Z' | 'X'))
    }

    /// A descriptor that stays with this process. `None`: it is gone.
    pub(super) fn open(self) -> rustix::io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let fd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        // Checked after opening: from here on the number cannot be handed to another process unnoticed.
        Ok(self.is_alive().then_some(fd))
    }

    /// Sends `signal`; `false` when the process is gone.
    pub(super) fn signal(self, signal: Signal) -> rustix::io::Result<bool> {
        let Some(fd) = self.open()? else { return Ok(false) };
        match pidfd_send_signal(&fd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Returns once the process is gone.
    pub(super) async fn gone(self) -> std::io::Result<()> {
        let Some(fd) = self.open()? else { return Ok(()) };
        let fd = readable(fd)?;
        let _ready = fd.readable().await?;
        Ok(())
    }
}

/// Registers `fd` with the runtime for reading; for descriptors that cannot be written.
pub(super) fn readable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    register(fd, Interest::READABLE)
}

/// Registers `fd` with the runtime for reading and writing.
pub(super) fn pollable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    register(fd, Interest::READABLE | Interest::WRITABLE)
}

fn register(fd: OwnedFd, interest: Interest) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd gives the same valid descriptor as long as it lives, and the AsyncFd keeps it.
    #[allow(unsafe_code)]
    let registered = unsafe { AsyncFd::register_with_interest(fd, interest) };
    registered.map_err(std::io::Error::from)
}

/// Identity of this boot; after another one no recorded process can be alive.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Every process of the host.
pub(super) fn all() -> BTreeMap<i32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, Stat::of(pid)?))).collect()
}

/// Children of `root`, their children and so on; without `root` itself.
pub(super) fn descendants(processes: &BTreeMap<i32, Stat>, root: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut frontier = vec![root];
    while let Some(parent) = frontier.pop() {
        for (pid, stat) in processes {
            if stat.parent == parent && found.insert(*pid) {
                frontier.push(*pid);
            }
        }
    }
    found
}

/// What is left of the session that `leader` led. Empty when its number has a new owner: then the session is over,
/// because the kernel does not hand out a number that still names a session.
pub(super) fn session(processes: &BTreeMap<i32, Stat>, leader: Process) -> BTreeSet<i32> {
    let reused = processes.get(&leader.pid).is_some_and(|stat| stat.start_ticks != leader.ticks);
    let members = processes
        .iter()
        .filter(|(_, stat)| !reused && stat.session == leader.pid && stat.start_ticks >= leader.ticks)
        .map(|(pid, _)| *pid);
    members.collect()
}

/// Kills processes by number, as seen in `processes`; those that are gone by now are left out.
pub(super) fn kill(pids: impl IntoIterator<Item = i32>, processes: &BTreeMap<i32, Stat>) {
    for pid in pids {
        let Some(stat) = processes.get(&pid) else { continue };
        let _gone_is_fine = Process { pid, ticks: stat.start_ticks }.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_hostile_name() {
        let text = "42 (a) R 1 (b) S 7 42 41 0 -1 0 1 2 3 4 10 5 0 0 20 0 1 0 9876 1000 33 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.session), ('S', 7, 41));
        assert_eq!((stat.cpu_ticks, stat.start_ticks, stat.resident_pages), (15, 9876, 33));
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = Process::own().unwrap();
        assert!(own.is_alive());
        assert!(!Process { ticks: own.ticks + 1, ..own }.is_alive());
        assert!(Process { ticks: own.ticks + 1, ..own }.open().unwrap().is_none());
    }
}
