//! Where the agent keeps its state, and where it listens.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The state directory: as typed, else /var/lib/mainstay for root, else the user's own.
pub fn state_dir(given: Option<&Path>) -> PathBuf {
    let is_root = rustix::process::geteuid().is_root();
    let chosen = choose(given, is_root, |name| std::env::var_os(name));
    // The agent is started in another directory: a relative path would mean another place there.
    std::path::absolute(&chosen).unwrap_or(chosen)
}

fn choose(given: Option<&Path>, is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if let Some(given) = given {
        return given.to_path_buf();
    }
    if is_root {
        return PathBuf::from("/var/lib/mainstay");
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
        (Some(state), _) => state.join("mainstay"),
        (None, Some(home)) => home.join(".local/state/mainstay"),
        // No home: a place of the user's own that does not outlive a reboot.
        (None, None) => PathBuf::from(format!("/tmp/mainstay-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Everything that the agent and the edge keep in the state directory.
pub const KEPT: &[&str] = &[
    "agent.sock",
    "agent.log",
    "agent.lock",
    "journal.db",
    "journal.db-wal",
    "journal.db-shm",
    "edge",
    "native",
];

/// The agent's socket.
pub fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("agent.sock")
}

/// What the agent writes when it was started in the background.
pub fn log(state_dir: &Path) -> PathBuf {
    state_dir.join("agent.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_the_system_place_and_users_their_own() {
        let none = |_: &str| None;
        let set = |name: &str| match name {
            "HOME" => Some(OsString::from("/home/u")),
            "XDG_STATE_HOME" => Some(OsString::from("relative")),
            _ => None,
        };
        assert_eq!(choose(Some(Path::new("/s")), true, none), Path::new("/s"));
        assert_eq!(choose(None, true, set), Path::new("/var/lib/mainstay"));
        assert_eq!(choose(None, false, set), Path::new("/home/u/.local/state/mainstay"));
    }
}
