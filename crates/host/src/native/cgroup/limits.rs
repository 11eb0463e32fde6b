//! Docker's limits in the words of both versions of control groups. The translations are runc's.

use super::hierarchy::{Hierarchy, Version};
use mainstay_model::Resources;
use std::fs;
use std::io;
use std::path::PathBuf;

/// Length of a scheduling period, µs: the kernel's and Docker's default.
const PERIOD: u64 = 100_000;

/// One limit that a service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// Its Compose name.
    pub(super) name: &'static str,
    controller: &'static str,
    /// File and value.
    version_1: (&'static str, String),
    version_2: (&'static str, String),
    /// Asked for by the file, and not only by a default of Docker's that needs swap accounting in the kernel.
    asked: bool,
}

impl Limit {
    fn new(
        name: &'static str,
        controller: &'static str,
        version_1: (&'static str, impl ToString),
        version_2: (&'static str, impl ToString),
    ) -> Self {
        let version_1 = (version_1.0, version_1.1.to_string());
        let version_2 = (version_2.0, version_2.1.to_string());
        Self { name, controller, version_1, version_2, asked: true }
    }

    /// Writes it where its controller is mounted, or says why not.
    pub(super) fn put(&self, made: &[(Hierarchy, io::Result<PathBuf>)]) -> Result<(), String> {
        let Some((hierarchy, dir)) = made.iter().find(|(hierarchy, _)| hierarchy.has(self.controller)) else {
            return Err(format!("this host mounts no control groups with a {} controller", self.controller));
        };
        let dir = dir.as_ref().map_err(|error| {
            format!("no control group can be made in {}: {error}", hierarchy.mount().display())
        })?;
        let (file, value) = match hierarchy.version() {
            Version::One => &self.version_1,
            Version::Two => &self.version_2,
        };
        let path = dir.join(file);
        if !self.asked && !path.exists() {
            return Ok(());
        }
        fs::write(&path, value)
            .map_err(|error| format!("cannot write {value} to {}: {error}", path.display()))
    }
}

/// The limits of `resources`, in the order in which the kernel takes them. What only planning uses is not among them.
pub(super) fn of(resources: &Resources) -> Vec<Limit> {
    let Resources {
        memory,
        memory_reservation,
        memory_swap,
        nano_cpus,
        nano_cpus_reservation: _,
        cpu_shares,
        pids,
        // Checked by `config`, which says that they are not in force.
        cpu_period: _,
        cpu_quota: _,
        cpu_rt_period: _,
        cpu_rt_runtime: _,
        cpuset: _,
        cpu_count: _,
        cpu_percent: _,
        mem_swappiness: _,
        oom_kill_disable: _,
        oom_score_adj: _,
        blkio: _,
    } = resources;
    let mut limits = Vec::new();
    if let Some(memory) = memory.filter(|bytes| *bytes > 0) {
        let files = (("memory.limit_in_bytes", memory), ("memory.max", memory));
        limits.push(Limit::new("memory limit", "memory", files.0, files.1));
        limits.push(swap(memory, *memory_swap));
    }
    if let Some(soft) = memory_reservation.filter(|bytes| *bytes > 0) {
        let files = (("memory.soft_limit_in_bytes", soft), ("memory.low", soft));
        limits.push(Limit::new("memory reservation", "memory", files.0, files.1));
    }
    if let Some(nano) = nano_cpus.filter(|nano| *nano > 0) {
        // Below 1 ms a period the kernel refuses the quota.
        let quota = (nano / (1_000_000_000 / PERIOD)).max(1000);
        let files = (("cpu.cfs_quota_us", quota), ("cpu.max", format!("{quota} {PERIOD}")));
        limits.push(Limit::new("cpus limit", "cpu", files.0, files.1));
    }
    if let Some(shares) = cpu_shares.filter(|shares| *shares > 0) {
        let shares = shares.clamp(2, 262_144);
        let weight = 1 + (shares - 2) * 9999 / 262_142;
        limits.push(Limit::new("cpu_shares", "cpu", ("cpu.shares", shares), ("cpu.weight", weight)));
    }
    if let Some(pids) = pids.filter(|pids| *pids > 0) {
        limits.push(Limit::new("pids limit", "pids", ("pids.max", pids), ("pids.max", pids)));
    }
    limits
}

/// Version 1 bounds memory and swap together, version 2 swap alone. Docker's default: as much swap as memory.
fn swap(memory: u64, together: Option<i64>) -> Limit {
    let asked = together.is_some_and(|together| together != 0);
    let (version_1, version_2) = match together {
        Some(unlimited) if unlimited < 0 => ("-1".to_owned(), "max".to_owned()),
        Some(together) if together > 0 => {
            let together = together.unsigned_abs();
            (together.to_string(), together.saturating_sub(memory).to_string())
        }
        _ => (memory.saturating_mul(2).to_string(), memory.to_string()),
    };
    let files = (("memory.memsw.limit_in_bytes", version_1), ("memory.swap.max", version_2));
    Limit { asked, ..Limit::new("memswap_limit", "memory", files.0, files.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_in_the_words_of_both_versions() {
        let resources = Resources {
            memory: Some(64 << 20),
            memory_swap: Some(96 << 20),
            nano_cpus: Some(500_000_000),
            cpu_shares: Some(1024),
            pids: Some(50),
            ..Resources::default()
        };
        let said: Vec<(String, String)> = of(&resources)
            .into_iter()
            .map(|l| {
                (
                    format!("{}={}", l.version_1.0, l.version_1.1),
                    format!("{}={}", l.version_2.0, l.version_2.1),
                )
            })
            .collect();
        let expected = [
            ("memory.limit_in_bytes=67108864", "memory.max=67108864"),
            ("memory.memsw.limit_in_bytes=100663296", "memory.swap.max=33554432"),
            ("cpu.cfs_quota_us=50000", "cpu.max=50000 100000"),
            ("cpu.shares=1024", "cpu.weight=39"),
            ("pids.max=50", "pids.max=50"),
        ];
        let expected = expected.map(|(one, two)| (one.to_owned(), two.to_owned()));
        assert_eq!(said, expected);
        assert!(of(&Resources::default()).is_empty());
    }

    #[test]
    fn limits_are_written_in_version_2() {
        let dir = tempfile::tempdir().unwrap();
        let resources =
            Resources { memory: Some(1 << 20), nano_cpus: Some(1_500_000_000), ..Resources::default() };
        let hierarchy = Hierarchy::fake(dir.path(), Version::Two, &["memory", "cpu"]);
        let made = [(hierarchy, Ok(dir.path().to_owned()))];
        for limit in of(&resources) {
            limit.put(&made).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        assert_eq!(read("memory.max").unwrap(), "1048576");
        assert_eq!(read("cpu.max").unwrap(), "150000 100000");
        assert_eq!(
            read("memory.swap.max"),
            None,
            "a default is not forced on a kernel without swap accounting"
        );
    }

    #[test]
    fn a_missing_controller_is_named() {
        let resources = Resources { pids: Some(5), ..Resources::default() };
        let why = of(&resources)[0].put(&[]).unwrap_err();
        assert!(why.contains("pids controller"), "{why}");
    }
}
