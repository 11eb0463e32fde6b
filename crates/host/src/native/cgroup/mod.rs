//! The control groups of an instance: its limits, its use of memory and CPU, and a way to kill all of it.
//!
//! Both versions at once, because hosts mix them: each controller is used where it is mounted. Where we have no right
//! to make groups, or a controller is missing, that is said, one sentence a limit, and the instance runs without.
//! Knows nothing about shims.

mod hierarchy;
mod limits;

use hierarchy::Hierarchy;
use limits::Limit;
use mainstay_model::Resources;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Where all our groups are, below the root of each hierarchy: not below the agent's own group, which systemd kills
/// together with the agent.
const PARENT: &str = "mainstay";

/// Groups of one instance, one directory a hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cgroup {
    dirs: Vec<PathBuf>,
}

impl Cgroup {
    /// Groups made earlier.
    pub(super) fn at(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    pub(super) fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Makes fresh groups named `name` and puts the limits of `resources` on them. Also says what is not in force.
    pub(super) fn make(name: &str, resources: &Resources) -> (Self, Vec<String>) {
        let made: Vec<(Hierarchy, io::Result<PathBuf>)> = Hierarchy::all()
            .into_iter()
            .map(|hierarchy| {
                let dir = hierarchy.make(PARENT, name);
                (hierarchy, dir)
            })
            .collect();
        let refused =
            |limit: Limit| limit.put(&made).err().map(|why| format!("{} is not in force: {why}", limit.name));
        let not_in_force = limits::of(resources).into_iter().filter_map(refused).collect();
        let dirs = made.into_iter().filter_map(|(_, dir)| dir.ok()).collect();
        (Self { dirs }, not_in_force)
    }

    /// Files through which a process enters: it writes `0`.
    pub(super) fn entrances(&self) -> Vec<File> {
        let open = |dir: &PathBuf| OpenOptions::new().write(true).open(dir.join("cgroup.procs")).ok();
        self.dirs.iter().filter_map(open).collect()
    }

    /// Numbers of its processes.
    pub(super) fn pids(&self) -> BTreeSet<i32> {
        let lists = self.dirs.iter().filter_map(|dir| fs::read_to_string(dir.join("cgroup.procs")).ok());
        lists.flat_map(|list| list.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
    }

    /// Kills all of it at once where the kernel can (version 2 since Linux 5.14); elsewhere `pids` are to be killed.
    pub(super) fn kill(&self) {
        for dir in &self.dirs {
            let _older_kernel = fs::write(dir.join("cgroup.kill"), "1");
        }
    }

    /// How many of its processes were killed for lack of memory.
    pub(super) fn oom_kills(&self) -> u64 {
        let from = |file: &str| self.number(file, Some("oom_kill"));
        from("memory.events").or_else(|| from("memory.oom_control")).unwrap_or(0)
    }

    /// Bytes of memory in use, without the page cache that could be dropped: Docker's figure.
    pub(super) fn memory(&self) -> Option<u64> {
        let version_2 = self.number("memory.current", None).map(|used| (used, "inactive_file"));
        let (used, cache) = version_2.or_else(|| {
            self.number("memory.usage_in_bytes", None).map(|used| (used, "total_inactive_file"))
        })?;
        Some(used.saturating_sub(self.number("memory.stat", Some(cache)).unwrap_or(0)))
    }

    /// CPU time used so far, ns.
    pub(super) fn cpu(&self) -> Option<u64> {
        let version_1 = self.number("cpuacct.usage", None);
        version_1
            .or_else(|| self.number("cpu.stat", Some("usage_usec")).map(|micros| micros.saturating_mul(1000)))
    }

    /// Removes the groups; those that are not empty stay.
    pub(super) fn remove(&self) {
        for dir in &self.dirs {
            let _busy = fs::remove_dir(dir);
            if let Some(parent) = dir.parent() {
                let _others_left = fs::remove_dir(parent);
            }
        }
    }

    /// A number from the first of the groups that has `file`: the whole content, or the word after `key`.
    fn number(&self, file: &str, key: Option<&str>) -> Option<u64> {
        self.dirs.iter().find_map(|dir| {
            let text = fs::read_to_string(dir.join(file)).ok()?;
            match key {
                None => text.trim().parse().ok(),
                Some(key) => text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok()),
            }
        })
    }
}

/// Takes the calling shim out of the agent's group, where systemd would kill it together with the agent.
pub(super) fn leave_agent() -> io::Result<()> {
    for hierarchy in Hierarchy::all().into_iter().filter(Hierarchy::is_systemd) {
        let dir = hierarchy.mount().join(PARENT).join("shims");
        // The last shim of others, leaving, may remove the group before we are in.
        let enter = || hierarchy::make_dir(&dir).and_then(|()| fs::write(dir.join("cgroup.procs"), "0"));
        (0..100).find(|_| enter().is_ok()).map_or_else(enter, |_| Ok(()))?;
    }
    Ok(())
}

/// Removes the group of the shims when the calling one is the last.
pub(super) fn leave_shims() {
    for hierarchy in Hierarchy::all().into_iter().filter(Hierarchy::is_systemd) {
        let dir = hierarchy.mount().join(PARENT).join("shims");
        if dir.exists() && fs::write(hierarchy.mount().join("cgroup.procs"), "0").is_ok() {
            let _others_left =
                fs::remove_dir(&dir).and_then(|()| fs::remove_dir(hierarchy.mount().join(PARENT)));
        }
    }
}

/// Name of the groups of the instance in `dir`: readable, and different for two state directories.
pub(super) fn name(dir: &Path) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    let part = |path: Option<&Path>| {
        path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    format!("{}.{}.{:08x}", part(dir.parent()), part(Some(dir)), hasher.finish() & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_read_from_either_version() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for (group, files) in [
            (
                &one,
                [
                    ("memory.usage_in_bytes", "1000\n"),
                    ("memory.stat", "cache 9\ntotal_inactive_file 300\n"),
                    ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
                    ("cpuacct.usage", "5000\n"),
                ],
            ),
            (
                &two,
                [
                    ("memory.current", "1000\n"),
                    ("memory.stat", "anon 9\ninactive_file 300\n"),
                    ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
                    ("cpu.stat", "usage_usec 5\nuser_usec 1\n"),
                ],
            ),
        ] {
            fs::create_dir(group).unwrap();
            for (name, text) in files {
                fs::write(group.join(name), text).unwrap();
            }
            let group = Cgroup::at(vec![dir.path().join("missing"), group.clone()]);
            assert_eq!((group.memory(), group.cpu(), group.oom_kills()), (Some(700), Some(5000), 2));
        }
        let none = Cgroup::default();
        assert_eq!((none.memory(), none.cpu(), none.oom_kills()), (None, None, 0));
    }
}
