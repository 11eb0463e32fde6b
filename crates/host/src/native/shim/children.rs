//! The children of a shim: the command, and whatever loses its own parent below it.

use crate::native::process;
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// Told by the kernel of every child that ends, adopted ones included.
pub(super) struct Children {
    /// A signalfd for SIGCHLD.
    signals: OwnedFd,
}

impl Children {
    /// Makes the calling process the parent of every orphan below it. SIGCHLD stays blocked from here on.
    pub(super) fn adopt() -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // SAFETY: `set` is initialised by sigemptyset before it is read; both calls only read it and change the signal
        // mask of this, the only thread. The new descriptor is owned by nobody else.
        #[allow(unsafe_code)]
        let signals = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGCHLD);
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { signals })
    }

    /// Readable when a child may have ended.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// Takes leave of the children that ended so far. The second value: none are left, alive or dead.
    pub(super) fn reap(&self) -> (Vec<(i32, WaitStatus)>, bool) {
        let mut buffer = [0; 512];
        while rustix::io::read(&self.signals, &mut buffer).is_ok_and(|count| count > 0) {}
        let mut ended = Vec::new();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => ended.push((pid.as_raw_pid(), status)),
                Err(Errno::INTR) => {}
                Ok(None) => return (ended, false),
                Err(_) => return (ended, true),
            }
        }
    }

    /// Kills everything below the calling process.
    pub(super) fn kill() {
        let processes = process::all();
        let own = rustix::process::getpid().as_raw_pid();
        process::kill(process::descendants(&processes, own), &processes);
    }
}
