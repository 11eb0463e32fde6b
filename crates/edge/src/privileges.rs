//! Becoming a user with few rights, and having enough file descriptors.
//!
//! Must run before any thread is started. Knows nothing about what needs the rights.

use std::fs;
use std::io;

/// Why the edge could not become who it should be.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// `/etc/passwd` does not have the user.
    #[error("there is no user `{0}` on this machine")]
    UnknownUser(String),
    /// The kernel refused.
    #[error("cannot become user {uid}")]
    Refused { uid: u32, source: io::Error },
}

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Its group's id.
    pub gid: u32,
}

impl User {
    /// Looks a system user up in `/etc/passwd`. Users from directories are not found there; they are no
    /// users for a service of this machine.
    pub fn named(name: &str) -> Result<Self, PrivilegeError> {
        let unknown = || PrivilegeError::UnknownUser(name.to_owned());
        let text = fs::read_to_string("/etc/passwd").map_err(|_| unknown())?;
        let entry =
            text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|entry| entry[0] == name);
        let id = |place: usize| entry.as_ref().and_then(|e| e.get(place)?.parse().ok());
        Ok(Self { uid: id(2).ok_or_else(unknown)?, gid: id(3).ok_or_else(unknown)? })
    }
}

/// Becomes `user` for good, without any supplementary group.
pub(crate) fn become_user(user: User) -> Result<(), PrivilegeError> {
    let User { uid, gid } = user;
    let check = |result: i32| match result {
        0 => Ok(()),
        _ => Err(PrivilegeError::Refused { uid, source: io::Error::last_os_error() }),
    };
    #[expect(
        unsafe_code,
        reason = "only libc changes the ids of all threads; no pointer but a null one is passed"
    )]
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid))
    }
}

/// Raises the number of open files to what is allowed: each proxied connection takes two.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
}
