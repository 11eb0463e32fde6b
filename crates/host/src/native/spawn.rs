//! How a process gets the life that a launch describes, between fork and exec.
//!
//! Knows nothing about shims and directories of instances. Used for the command itself, and for what is run inside.

use super::Launch;
use super::cgroup::Cgroup;
use super::user::Identity;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a command cannot be started: one sentence, and Docker's exit code for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: String,
    pub(super) code: i32,
}

impl Refusal {
    fn new(code: i32, why: impl Into<String>) -> Self {
        Self { why: why.into(), code }
    }

    /// For what exec itself refused.
    pub(super) fn of_exec(program: &Path, error: &io::Error) -> Self {
        let code = match error.raw_os_error() {
            Some(libc::ENOENT) => 127,
            Some(libc::EACCES | libc::ENOEXEC | libc::EISDIR) => 126,
            _ => 128,
        };
        // A script whose interpreter is missing gives ENOENT for a file that is there.
        let hint = if code == 127 { " (is the interpreter of its first line there?)" } else { "" };
        Self::new(code, format!("cannot run {}: {error}{hint}", program.display()))
    }
}

/// What the process is to be, decided before the fork: afterwards only system calls are allowed.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) program: PathBuf,
    identity: Identity,
    rlimits: Vec<(Resource, Rlimit)>,
    cgroup_files: Vec<fs::File>,
    /// This process, its parent: when it dies, it gets SIGKILL.
    pub(super) die_with: Option<Pid>,
    /// Its standard input becomes its controlling terminal.
    pub(super) terminal: bool,
}

impl Life {
    /// Resolves user, program, limits. `argv0` is looked up as a shell would, in the launch's own `PATH`.
    pub(super) fn of(launch: &Launch, argv0: &str, cgroup: &Cgroup) -> Result<Self, Refusal> {
        let working_dir = Path::new(&launch.working_dir);
        if !working_dir.is_dir() {
            return Err(Refusal::new(
                128,
                format!("working_dir {} is not a directory", working_dir.display()),
            ));
        }
        let identity = Identity::resolve(launch.user.as_deref(), &launch.groups)
            .map_err(|why| Refusal::new(128, why))?;
        let own = rustix::process::getuid();
        if !own.is_root() && (identity.uid != own || !launch.groups.is_empty()) {
            let why = format!("user and group_add can be chosen only by root, this is user {}", own.as_raw());
            return Err(Refusal::new(128, why));
        }
        let path = launch.environment.get("PATH").map_or("", |path| path.expose());
        let program = find(argv0, path, working_dir)?;
        let rlimits = launch.ulimits.iter().filter_map(|(name, limit)| {
            let raw = |value: i64| u64::try_from(value).ok();
            Some((rlimit(name)?, Rlimit { current: raw(limit.soft), maximum: raw(limit.hard) }))
        });
        let rlimits: Vec<(Resource, Rlimit)> = rlimits.collect();
        if !own.is_root() && rlimits.iter().any(|(resource, limit)| is_raised(*resource, limit)) {
            return Err(Refusal::new(128, "ulimits above those of this process can be set only by root"));
        }
        Ok(Self {
            program,
            identity,
            rlimits,
            cgroup_files: cgroup.entrances(),
            die_with: None,
            terminal: false,
        })
    }

    /// A command of this life: environment, directory, and what happens after the fork. Its standard streams are left
    /// to the caller.
    pub(super) fn command(self, launch: &Launch, argv: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(name) = argv.first() {
            command.arg0(name);
        }
        command.args(argv.iter().skip(1)).env_clear().current_dir(&launch.working_dir);
        if let Some(home) = &self.identity.home {
            command.env("HOME", home);
        }
        let environment = launch.environment.iter();
        command.envs(environment.map(|(name, value)| (OsString::from(name), OsString::from(value.expose()))));
        let as_root = rustix::process::getuid().is_root();
        // SAFETY: the closure runs in the child between fork and exec. It makes system calls on data prepared before
        // the fork; it allocates nothing, takes no lock and touches no memory shared with the parent.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || self.begin(as_root).map_err(io::Error::from));
        }
        command
    }

    /// In the child, before exec. The order matters: groups and limits while there are rights to set them, the death
    /// signal last because a change of user clears it.
    fn begin(&self, as_root: bool) -> rustix::io::Result<()> {
        reset_signals();
        rustix::process::setsid()?;
        if self.terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        for file in &self.cgroup_files {
            rustix::io::write(file, b"0")?;
        }
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        if as_root && let Ok(score) = rustix::fs::open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
            rustix::io::write(&score, b"0")?;
        }
        for (resource, limit) in &self.rlimits {
            rustix::process::setrlimit(*resource, *limit)?;
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        if as_root {
            rustix::thread::set_thread_groups(&self.identity.groups)?;
            let Identity { uid, gid, .. } = &self.identity;
            rustix::thread::set_thread_res_gid(*gid, *gid, *gid)?;
            rustix::thread::set_thread_res_uid(*uid, *uid, *uid)?;
        }
        if let Some(parent) = self.die_with {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // Dead before it was asked for: then no signal comes.
            if rustix::process::getppid() != Some(parent) {
                return Err(rustix::io::Errno::SRCH);
            }
        }
        Ok(())
    }
}

/// Above our own hard limit; `None` is no limit.
fn is_raised(resource: Resource, wanted: &Rlimit) -> bool {
    let own = rustix::process::getrlimit(resource).maximum;
    own.is_some_and(|own| {
        [wanted.current, wanted.maximum].iter().any(|limit| limit.is_none_or(|limit| limit > own))
    })
}

/// Signals that our parent, or we, ignore must not be ignored by the command: that would survive exec.
fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: sets the default action; no handler of ours is involved. Numbers that cannot be set are refused by
        // the kernel, which changes nothing.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(number, libc::SIG_DFL);
        }
    }
}

/// Finds `name` as execvp(3) would; relative names with a slash start at the working directory.
fn find(name: &str, path: &str, working_dir: &Path) -> Result<PathBuf, Refusal> {
    if name.contains('/') {
        let program = working_dir.join(name);
        return match quality(&program) {
            Quality::Good => Ok(program),
            Quality::NotExecutable => {
                Err(Refusal::new(126, format!("{} is not executable", program.display())))
            }
            Quality::Missing => Err(Refusal::new(127, format!("command {} not found", program.display()))),
        };
    }
    let mut unusable = None;
    for dir in path.split(':') {
        let program = working_dir.join(dir).join(name);
        match quality(&program) {
            Quality::Good => return Ok(program),
            Quality::NotExecutable => unusable = unusable.or(Some(program)),
            Quality::Missing => {}
        }
    }
    Err(match unusable {
        Some(program) => Refusal::new(126, format!("{} is not executable", program.display())),
        None => Refusal::new(127, format!("command `{name}` not found in PATH")),
    })
}

enum Quality {
    Good,
    NotExecutable,
    Missing,
}

fn quality(program: &Path) -> Quality {
    match fs::metadata(program) {
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => Quality::Good,
        Ok(_) => Quality::NotExecutable,
        Err(_) => Quality::Missing,
    }
}

/// Compose's name of a resource limit.
pub(super) fn rlimit(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}
