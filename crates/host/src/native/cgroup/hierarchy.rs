//! The mounted hierarchies of control groups of this host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Controllers we use; `name=systemd` has no limits, but it is where systemd looks for what belongs to a unit.
const USED: [&str; 5] = ["memory", "cpu", "cpuacct", "pids", "name=systemd"];

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    mount: PathBuf,
    version: Version,
    controllers: Vec<String>,
}

/// Files and their meaning differ between the versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Hierarchy {
    /// All that are of use to us, each once.
    pub(super) fn all() -> Vec<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut found: Vec<Self> = Vec::new();
        for hierarchy in mounts.lines().filter_map(Self::parse) {
            let known = |other: &Self| {
                other.version == hierarchy.version && other.controllers == hierarchy.controllers
            };
            if !found.iter().any(known) {
                found.push(hierarchy);
            }
        }
        found
    }

    /// Reads a line of mountinfo: see proc_pid_mountinfo(5).
    fn parse(line: &str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mount = PathBuf::from(place.split(' ').nth(4)?);
        let mut kind = kind.split(' ');
        match kind.next()? {
            "cgroup" => {
                let options = kind.nth(1)?;
                let controllers: Vec<String> =
                    options.split(',').filter(|option| USED.contains(option)).map(str::to_owned).collect();
                (!controllers.is_empty()).then_some(Self { mount, version: Version::One, controllers })
            }
            "cgroup2" => {
                let text = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
                let controllers = text.split_ascii_whitespace().map(str::to_owned).collect();
                Some(Self { mount, version: Version::Two, controllers })
            }
            _ => None,
        }
    }

    pub(super) fn mount(&self) -> &Path {
        &self.mount
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|own| own == controller)
    }

    /// systemd knows by this one what belongs to a unit.
    pub(super) fn is_systemd(&self) -> bool {
        self.version == Version::Two || self.has("name=systemd")
    }

    /// Makes `<mount>/<parent>/<name>`, anew if it is there.
    pub(super) fn make(&self, parent: &str, name: &str) -> io::Result<PathBuf> {
        let parent = self.mount.join(parent);
        let dir = parent.join(name);
        if dir.exists() {
            fs::remove_dir(&dir)?;
        }
        make_dir(&dir)?;
        if self.version == Version::Two {
            for controller in USED.iter().filter(|controller| self.has(controller)) {
                for place in [&self.mount, &parent] {
                    // Refused where the hierarchy is not ours to divide; then the limit's file is missing, which is
                    // told when the limit is put.
                    let _refused = fs::write(place.join("cgroup.subtree_control"), format!("+{controller}"));
                }
            }
        }
        Ok(dir)
    }
}

/// Makes `dir` and its parent, which another shim, leaving, may remove in between.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    for _ in 0..100 {
        match fs::create_dir_all(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            made => return made,
        }
    }
    fs::create_dir_all(dir)
}

#[cfg(test)]
impl Hierarchy {
    pub(super) fn fake(mount: &Path, version: Version, controllers: &[&str]) -> Self {
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        Self { mount: mount.to_owned(), version, controllers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let line =
            "33 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let found = Hierarchy::parse(line).unwrap();
        assert_eq!((found.mount(), found.version()), (Path::new("/sys/fs/cgroup/cpu,cpuacct"), Version::One));
        assert!(found.has("cpu") && found.has("cpuacct") && !found.is_systemd());
        let line = "34 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd";
        assert!(Hierarchy::parse(line).unwrap().is_systemd());
        assert!(Hierarchy::parse("34 25 0:29 / /x rw - cgroup cgroup rw,freezer").is_none());
        assert!(Hierarchy::parse("34 25 0:29 / /x rw - tmpfs tmpfs rw").is_none());
        assert!(Hierarchy::parse("34 25 0:29 / /nowhere rw - cgroup2 cgroup2 rw").unwrap().is_systemd());
    }
}
