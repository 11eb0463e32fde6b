//! The process that stands between the agent and one native instance: it holds the instance's pipes and writes down
//! its end, so that the agent may die and come back.
//!
//! When a shim itself is killed, the command gets SIGKILL from the kernel (parent death signal), as containerd kills a
//! container whose shim died: a process whose output and end nobody can record is not left running. What the command
//! had started besides is found by its control group or session at the next `start`, `stop` or `remove`.
//!
//! Knows nothing about the agent, other instances or restarts.

mod children;
mod run;

use self::children::Children;
use self::run::{Running, record};
use super::cgroup::{self, Cgroup};
use super::files::{Exit, Files, Status};
use super::process::{self, Process};
use super::spawn::{Life, Refusal};
use super::{Launch, NativeError, now};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};

/// What the shim tells its starter on its standard output, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Report {
    /// The command runs.
    Running,
    /// It cannot be started, which is recorded as its exit, too.
    Refused { why: String, code: i32 },
    /// Another shim holds this instance.
    Held,
    /// The shim could not do its own work.
    Broken { why: String },
}

/// Runs the instance in `dir` to its end: the hidden command `mainstay shim <dir>`. To be called first thing in
/// `main`, while there is one thread and nothing is open but standard input, output and error.
pub fn main(dir: &Path) -> ExitCode {
    close_inherited();
    let report = match Shim::take(Files::at(dir)) {
        Ok(Some(shim)) => match shim.start() {
            Ok(running) => {
                tell(&Report::Running);
                running.see_out();
                return ExitCode::SUCCESS;
            }
            Err(report) => report,
        },
        Ok(None) => Report::Held,
        Err(error) => Report::Broken { why: chain(&error) },
    };
    tell(&report);
    ExitCode::FAILURE
}

/// Descriptors that our starter forgot to close (a listening socket, say) must not live as long as the instance.
fn close_inherited() {
    // SAFETY: called before anything of ours is opened, so no owner of a closed descriptor exists.
    #[allow(unsafe_code)]
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}

/// Writes the report and lets go of the starter: all three standard streams become /dev/null.
fn tell(report: &Report) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    let _starter_gone = io::stdout().write_all(&line).and_then(|()| io::stdout().flush());
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _in = rustix::stdio::dup2_stdin(&null);
        let _out = rustix::stdio::dup2_stdout(&null);
        let _err = rustix::stdio::dup2_stderr(&null);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

/// A shim that holds its instance and has not started it.
struct Shim {
    files: Files,
    launch: Launch,
    status: Status,
    cgroup: Cgroup,
    children: Children,
    /// Held as long as the shim lives; closing it tells whoever watches the directory.
    _lock: File,
}

impl Shim {
    /// `None`: another shim holds it.
    fn take(files: Files) -> Result<Option<Self>, NativeError> {
        let path = files.lock_path();
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(NativeError::file("open", &path))?;
        if lock.try_lock().is_err() {
            let over = files.status()?.is_some_and(|status| status.exited.is_some());
            if !over {
                return Ok(None);
            }
            // Its holder has said its last word, and is about to go.
            lock.lock().map_err(NativeError::file("lock", &path))?;
        }
        let _already_leader = rustix::process::setsid();
        let launch = files.launch()?;
        let before = files.status()?;
        if let Some(status) = &before {
            super::sweep::sweep(status);
        }
        let _without_root = cgroup::leave_agent();
        // The last to go when memory is short, like Docker's shims; the command gets 0 again.
        let _without_root = std::fs::write("/proc/self/oom_score_adj", "-998");
        let (cgroup, not_in_force) = Cgroup::make(&cgroup::name(files.dir()), &launch.resources);
        let status = Status {
            boot: process::boot_id(),
            shim: Process::own().unwrap_or(Process { pid: rustix::process::getpid().as_raw_pid(), ticks: 0 }),
            runs: before.map_or(0, |status| status.runs) + 1,
            child: None,
            started: None,
            cgroups: cgroup.dirs().to_vec(),
            not_in_force,
            exited: None,
        };
        files.write_status(&status)?;
        files.keep_reserve();
        let children = Children::adopt().map_err(NativeError::file("watch the children of", files.dir()))?;
        Ok(Some(Self { files, launch, status, cgroup, children, _lock: lock }))
    }

    /// Starts the command. The status on disk says how that went before the starter hears of it.
    fn start(mut self) -> Result<Running, Report> {
        match self.spawn() {
            Ok((pid, streams)) => {
                self.status.child = Process::now(pid);
                self.status.started = Some(now());
                // Without this on disk nobody could find the command again; then it must not run.
                self.files
                    .write_status(&self.status)
                    .map_err(|error| Report::Broken { why: chain(&error) })?;
                Ok(Running::new(self, pid, streams))
            }
            Err(Refusal { why, code }) => {
                let at = now();
                self.cgroup.remove();
                self.status.exited =
                    Some(Exit { code, signal: None, oom: false, at, why: Some(why.clone()) });
                record(&self.files, &self.status);
                Err(Report::Refused { why, code })
            }
        }
    }

    fn spawn(&self) -> Result<(i32, Streams), Refusal> {
        let launch = &self.launch;
        let argv0 = launch.argv.first().map_or("", String::as_str);
        let mut life = Life::of(launch, argv0, &self.cgroup)?;
        life.die_with = Some(rustix::process::getpid());
        life.terminal = launch.tty;
        let program = life.program.clone();
        let mut command = life.command(launch, &launch.argv);
        let terminal = if launch.tty { Some(open_terminal(&mut command)?) } else { None };
        if terminal.is_none() {
            command.stdin(if launch.stdin_open { Stdio::piped() } else { Stdio::null() });
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command.spawn().map_err(|error| Refusal::of_exec(&program, &error))?;
        let pid = i32::try_from(child.id()).unwrap_or(0);
        let streams = match terminal {
            Some(terminal) => Streams { out: Some(terminal), err: None, stdin: None },
            None => Streams {
                out: child.stdout.take().map(OwnedFd::from),
                err: child.stderr.take().map(OwnedFd::from),
                stdin: child.stdin.take().map(OwnedFd::from),
            },
        };
        Ok((pid, streams))
    }
}

fn open_terminal(command: &mut std::process::Command) -> Result<OwnedFd, Refusal> {
    let refuse = |error: io::Error| Refusal { why: format!("cannot open a terminal: {error}"), code: 128 };
    let (ours, theirs) = super::pty::open().map_err(refuse)?;
    let copy = || theirs.try_clone().map(Stdio::from).map_err(refuse);
    command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
    Ok(ours)
}

/// Our ends of the command's standard streams.
struct Streams {
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    /// Kept open so that reading it waits for ever, as `stdin_open` asks.
    stdin: Option<OwnedFd>,
}
