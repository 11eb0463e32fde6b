//! Running something beside the command of an instance: in its control groups, with its environment, user and
//! directory, as `docker exec` does.
//!
//! One task an exec: input comes by messages, output goes by messages.

use super::cgroup::Cgroup;
use super::files::Files;
use super::process::{self, Process};
use super::spawn::{Life, Refusal};
use super::{Launch, Native, NativeError, Stream, blocking, pty};
use bytes::Bytes;
use mainstay_model::{InstanceId, Secret, StackName};
use rustix::termios::Winsize;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Messages of output read ahead of a slow reader, each at most [`CHUNK`] bytes.
const AHEAD: usize = 16;

/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;

/// Docker keeps this much of what a probe says.
const PROBE_OUTPUT: usize = 4096;

/// What is to be run.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the instance's environment.
    pub environment: BTreeMap<String, Secret>,
    /// Another user than the instance's.
    pub user: Option<String>,
    /// Another directory than the instance's.
    pub working_dir: Option<String>,
    /// In a terminal; then all output is standard output.
    pub tty: bool,
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum ExecInput {
    /// Bytes for standard input.
    Data(Bytes),
    /// No more of them.
    End,
    /// The terminal has another size.
    Resize { rows: u16, columns: u16 },
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    /// Bytes as they were printed.
    Data(Stream, Bytes),
    /// The last message: Docker's exit code.
    Exited(i32),
}

/// A running exec. Dropping `output` kills it and everything it started.
#[derive(Debug)]
pub struct Exec {
    /// Dropping it ends standard input.
    pub input: mpsc::Sender<ExecInput>,
    /// Ends with [`ExecOutput::Exited`].
    pub output: mpsc::Receiver<ExecOutput>,
}

/// What a probe said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// Its exit code; `None`: it did not end in time and was killed.
    pub code: Option<i32>,
    /// The first 4096 bytes of its output.
    pub output: String,
}

impl Native {
    /// Runs something in a running instance.
    ///
    /// # Errors
    /// [`NativeError::NotRunning`]; [`NativeError::Start`] with Docker's code when the command cannot be run.
    pub async fn exec(
        &self,
        stack: &StackName,
        id: &InstanceId,
        request: ExecRequest,
    ) -> Result<Exec, NativeError> {
        let files = self.files(stack, id);
        let (launch, status) = blocking("exec", move || {
            let launch = files.launch()?;
            let running = files.status()?.filter(|status| status.is_running() && status.child.is_some());
            running.map(|status| (launch, status)).ok_or_else(|| NativeError::NotRunning(Files::name(&files)))
        })
        .await?;
        let launch = adapted(launch, &request);
        let cgroup = Cgroup::at(status.cgroups);
        let refuse =
            |Refusal { why, code }| NativeError::Start { instance: format!("exec in {id}"), why, code };
        let started = Started::new(&launch, &cgroup).map_err(refuse)?;
        let (input, inputs) = mpsc::channel(AHEAD);
        let (outputs, output) = mpsc::channel(AHEAD);
        tokio::spawn(started.run(status.shim, inputs, outputs));
        Ok(Exec { input, output })
    }

    /// Runs a health check in a running instance: no input, both outputs together, killed after `timeout`.
    ///
    /// # Errors
    /// [`NativeError::NotRunning`]. A command that cannot be run is a result, with code 126 or 127.
    pub async fn probe_exec(
        &self,
        stack: &StackName,
        id: &InstanceId,
        argv: Vec<String>,
        timeout: Duration,
    ) -> Result<ProbeResult, NativeError> {
        let request = ExecRequest { argv, ..ExecRequest::default() };
        let exec = match self.exec(stack, id, request).await {
            Ok(exec) => exec,
            Err(NativeError::Start { why, code, .. }) => {
                return Ok(ProbeResult { code: Some(code), output: why });
            }
            Err(error) => return Err(error),
        };
        let Exec { input, mut output } = exec;
        drop(input);
        let mut said = Vec::new();
        let gather = async {
            while let Some(message) = output.recv().await {
                match message {
                    ExecOutput::Data(_, bytes) => {
                        said.extend(bytes.iter().take(PROBE_OUTPUT.saturating_sub(said.len())));
                    }
                    ExecOutput::Exited(code) => return Some(code),
                }
            }
            None
        };
        let code = tokio::time::timeout(timeout, gather).await.ok().flatten();
        Ok(ProbeResult { code, output: String::from_utf8_lossy(&said).into_owned() })
    }
}

/// The launch of an exec: the instance's, with what the request says otherwise.
fn adapted(launch: Launch, request: &ExecRequest) -> Launch {
    let ExecRequest { argv, environment, user, working_dir, tty } = request.clone();
    let mut all = launch.environment;
    all.extend(environment);
    if tty {
        all.entry("TERM".to_owned()).or_insert_with(|| Secret::new("xterm"));
    }
    Launch {
        argv,
        environment: all,
        user: user.or(launch.user),
        working_dir: working_dir.unwrap_or(launch.working_dir),
        tty,
        ..launch
    }
}

/// A process and our ends of its streams.
struct Started {
    child: tokio::process::Child,
    stdin: AsyncFd<OwnedFd>,
    outputs: Vec<(Stream, AsyncFd<OwnedFd>)>,
}

impl Started {
    fn new(launch: &Launch, cgroup: &Cgroup) -> Result<Self, Refusal> {
        let argv0 = launch.argv.first().map_or("", String::as_str);
        let mut life = Life::of(launch, argv0, cgroup)?;
        life.terminal = launch.tty;
        let program = life.program.clone();
        let mut command = life.command(launch, &launch.argv);
        let refuse =
            |error: io::Error| Refusal { why: format!("cannot open its streams: {error}"), code: 128 };
        let mut ours = Vec::new();
        if launch.tty {
            let (terminal, theirs) = pty::open().map_err(refuse)?;
            let copy = || theirs.try_clone().map(Stdio::from).map_err(refuse);
            command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
            ours.push((Stream::Stdout, terminal.try_clone().map_err(refuse)?));
            ours.push((Stream::Stdout, terminal));
        } else {
            let pipe = || io::pipe().map_err(refuse);
            let ((stdin, input), (output, stdout), (errors, stderr)) = (pipe()?, pipe()?, pipe()?);
            command.stdin(stdin).stdout(stdout).stderr(stderr);
            ours = vec![
                (Stream::Stdout, input.into()),
                (Stream::Stdout, output.into()),
                (Stream::Stderr, errors.into()),
            ];
        }
        let mut command = tokio::process::Command::from(command);
        let child = command.spawn().map_err(|error| Refusal::of_exec(&program, &error))?;
        // Their ends of the pipes are in `command`; ours see no end while it lives.
        drop(command);
        let mut fds = Vec::new();
        for (stream, fd) in ours {
            rustix::io::ioctl_fionbio(&fd, true).map_err(|errno| refuse(errno.into()))?;
            fds.push((stream, process::pollable(fd).map_err(refuse)?));
        }
        let (_, stdin) = fds.remove(0);
        Ok(Self { child, stdin, outputs: fds })
    }

    /// To its end, or to that of the instance or of our reader, whichever comes first.
    async fn run(self, shim: Process, inputs: mpsc::Receiver<ExecInput>, outputs: mpsc::Sender<ExecOutput>) {
        let Self { mut child, stdin, outputs: sources } = self;
        let leader = child.id().and_then(|pid| Process::now(i32::try_from(pid).ok()?));
        let (ended, end) = watch::channel(false);
        let writer = tokio::spawn(feed(stdin, inputs));
        let readers: Vec<JoinHandle<()>> = sources
            .into_iter()
            .map(|(stream, fd)| tokio::spawn(copy(stream, fd, outputs.clone(), end.clone())))
            .collect();
        let status = tokio::select! {
            status = child.wait() => status,
            _ = shim.gone() => kill(leader, &mut child).await,
            () = outputs.closed() => kill(leader, &mut child).await,
        };
        let _readers_gone = ended.send(true);
        for reader in readers {
            let _panicked = reader.await;
        }
        writer.abort();
        let _reader_gone = outputs.send(ExecOutput::Exited(code(status))).await;
    }
}

fn code(status: io::Result<ExitStatus>) -> i32 {
    let of_signal = |status: ExitStatus| status.signal().map(|signal| 128 + signal);
    status.ok().and_then(|status| status.code().or_else(|| of_signal(status))).unwrap_or(137)
}

/// Kills the process and its session.
async fn kill(leader: Option<Process>, child: &mut tokio::process::Child) -> io::Result<ExitStatus> {
    if let Some(leader) = leader {
        let processes = process::all();
        process::kill(process::session(&processes, leader), &processes);
    }
    let _ended_already = child.start_kill();
    child.wait().await
}

/// Writes input until it ends or nobody reads it. Returning closes standard input; a terminal gets Ctrl-D instead,
/// since its other descriptor stays open.
async fn feed(stdin: AsyncFd<OwnedFd>, mut inputs: mpsc::Receiver<ExecInput>) {
    let terminal = rustix::termios::isatty(stdin.get_ref());
    while let Some(input) = inputs.recv().await {
        match input {
            ExecInput::Data(bytes) => {
                if write(&stdin, &bytes).await.is_err() {
                    return;
                }
            }
            ExecInput::End => break,
            ExecInput::Resize { rows, columns } => {
                let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                let _no_terminal = rustix::termios::tcsetwinsize(stdin.get_ref(), size);
            }
        }
    }
    if terminal {
        let _nobody_reads = write(&stdin, &[4]).await;
    }
}

async fn write(fd: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = fd.writable().await?;
        match ready.try_io(|fd| rustix::io::write(fd.get_ref(), bytes).map_err(io::Error::from)) {
            Ok(written) => bytes = bytes.get(written?..).unwrap_or_default(),
            Err(_would_block) => {}
        }
    }
    Ok(())
}

/// Passes output on until the stream ends. Once the process has ended, what is there by then is the rest: something
/// it left running may hold the stream open for ever.
async fn copy(
    stream: Stream,
    fd: AsyncFd<OwnedFd>,
    outputs: mpsc::Sender<ExecOutput>,
    mut end: watch::Receiver<bool>,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let ended = *end.borrow();
        let read = match rustix::io::read(fd.get_ref(), chunk.as_mut_slice()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) if !ended => {
                tokio::select! {
                    ready = fd.readable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => return,
                    },
                    _ = end.wait_for(|ended| *ended) => {}
                }
                continue;
            }
            // The end; or EIO, a terminal's way to say it.
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let data = Bytes::copy_from_slice(chunk.get(..read).unwrap_or_default());
        if outputs.send(ExecOutput::Data(stream, data)).await.is_err() {
            return;
        }
    }
}
