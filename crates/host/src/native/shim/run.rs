//! What a shim does while its command runs, and after.

use super::children::Children;
use super::{Shim, Streams};
use crate::native::cgroup::{self, Cgroup};
use crate::native::files::{Exit, Files, Status};
use crate::native::log::{LogLine, Splitter, Stream, Writer};
use crate::native::now;
use mainstay_model::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::WaitStatus;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Bytes read from a pipe at a time: what a pipe holds by default.
const CHUNK: usize = 64 * 1024;

/// Chunks read from one stream before the other one, and the end of the command, get their turn. Together as much as
/// the largest pipe holds, so that one turn after the last writer is gone reads all that is left.
const TURN: usize = 16;

/// How long what is left of an instance may take to vanish after SIGKILL before its end is recorded anyway. Only
/// processes stuck in the kernel (a dead NFS mount, say) outlast a few milliseconds.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Between two looks for processes that were born while their parents were being killed.
const KILL_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Tries to write the last status, one a second: a full disk may have room again, and without this the exit status
/// would be lost.
const RECORD_TRIES: u32 = 60;

/// A shim whose command runs.
pub(super) struct Running {
    files: Files,
    status: Status,
    cgroup: Cgroup,
    children: Children,
    pid: i32,
    out: Source,
    err: Source,
    log: Option<Writer>,
    _stdin: Option<OwnedFd>,
    _lock: File,
}

/// A stream that is being read, until it ends.
struct Source {
    file: Option<File>,
    splitter: Splitter,
}

impl Running {
    pub(super) fn new(shim: Shim, pid: i32, streams: Streams) -> Self {
        let Shim { files, launch, status, cgroup, children, _lock } = shim;
        let Streams { out, err, stdin } = streams;
        let log = launch.log.and_then(|rotation| Writer::open(&files.log(), rotation).ok());
        let out = Source::new(out, Stream::Stdout);
        let err = Source::new(err, Stream::Stderr);
        Self { files, status, cgroup, children, pid, out, err, log, _stdin: stdin, _lock }
    }

    /// Reads output until the command ends, kills what is left of it, reads the rest, and records the end. In this
    /// order: who sees the end may start the next copy, which must then be alone and find the log complete.
    pub(super) fn see_out(mut self) {
        let ended = self.watch();
        let at = now();
        let stuck = self.kill_rest();
        self.copy();
        let last: Vec<LogLine> = [&mut self.out, &mut self.err]
            .into_iter()
            .filter_map(|source| source.splitter.finish())
            .collect();
        self.log(&last);
        let oom = self.cgroup.oom_kills() > 0;
        self.cgroup.remove();
        let why =
            stuck.then(|| "some of its processes cannot be killed; they are stuck in the kernel".to_owned());
        let signal = ended.terminating_signal();
        let code = ended.exit_status().or(signal.map(|signal| 128 + signal)).unwrap_or(137);
        self.status.exited = Some(Exit { code, signal, oom, at, why });
        cgroup::leave_shims();
        record(&self.files, &self.status);
    }

    /// Copies output and buries orphans until the command ends.
    fn watch(&mut self) -> WaitStatus {
        loop {
            self.sleep(None);
            self.copy();
            let (ended, _) = self.children.reap();
            if let Some((_, status)) = ended.into_iter().find(|(pid, _)| *pid == self.pid) {
                return status;
            }
        }
    }

    /// Kills until no child is left; `true` when some will not die.
    fn kill_rest(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            self.cgroup.kill();
            Children::kill();
            super::super::sweep::kill_group(&self.cgroup);
            self.copy();
            let (_, none_left) = self.children.reap();
            if none_left && self.cgroup.pids().is_empty() {
                return false;
            }
            if begun.elapsed() > LAST_WAIT {
                return true;
            }
            self.sleep(Some(&KILL_AGAIN));
        }
    }

    /// Until there is output, a child ended, or `timeout` passed.
    fn sleep(&self, timeout: Option<&Timespec>) {
        let mut fds = vec![PollFd::from_borrowed_fd(self.children.fd(), PollFlags::IN)];
        let files = [&self.out, &self.err].into_iter().filter_map(|source| source.file.as_ref());
        fds.extend(files.map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)));
        let _interrupted = poll(&mut fds, timeout);
    }

    /// Moves what there is to read now into the log.
    fn copy(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            for _ in 0..TURN {
                let source = match stream {
                    Stream::Stdout => &mut self.out,
                    Stream::Stderr => &mut self.err,
                };
                let Some(lines) = source.read() else { break };
                self.log(&lines);
            }
        }
    }

    fn log(&mut self, lines: &[LogLine]) {
        if let Some(log) = self.log.as_mut().filter(|_| !lines.is_empty()) {
            log.write(lines);
        }
    }
}

impl Source {
    fn new(fd: Option<OwnedFd>, stream: Stream) -> Self {
        if let Some(fd) = &fd {
            let _reads_would_block = rustix::io::ioctl_fionbio(fd, true);
        }
        Self { file: fd.map(File::from), splitter: Splitter::new(stream) }
    }

    /// `None`: nothing to read now, or ever.
    fn read(&mut self) -> Option<Vec<LogLine>> {
        let file = self.file.as_mut()?;
        let mut chunk = vec![0; CHUNK];
        match file.read(&mut chunk) {
            Ok(count) if count > 0 => Some(self.splitter.push(&chunk[..count], Timestamp(now()))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) if error.kind() == ErrorKind::Interrupted => Some(Vec::new()),
            // The end, or EIO from a terminal whose other side is closed.
            _ => {
                self.file = None;
                None
            }
        }
    }
}

/// Writes the last status, patiently.
pub(super) fn record(files: &Files, status: &Status) {
    for _ in 0..RECORD_TRIES {
        // An instance that was removed has nobody left who would ask.
        if files.write_status(status).is_ok() || !files.dir().exists() {
            return;
        }
        files.use_reserve();
        if files.write_status(status).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
