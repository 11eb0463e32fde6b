//! `mainstay watch`, and what follows `up --watch`: changes of sources are carried into what runs.

use super::up::{self, UpArgs};
use crate::archive::{AHEAD, Sink};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use crate::render;
use crate::render::words;
use crate::watch::{Rules, Work, pack, tree};
use clap::{ArgAction, Args};
use mainstay_api::frame::{self, Frame};
use mainstay_api::{Client, CommandRequest, ExecRequest, ServicesRequest, StackView};
use mainstay_model::{Hook, RuntimeKind, ServiceName, Stack, StackName};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Changes belong together until nothing has changed for so long: editors and `git checkout` touch many files.
const QUIET: Duration = Duration::from_millis(200);

/// Carry changes of sources into what runs, by the rules under `develop: watch:`
///
/// Brings the stack up first. `sync` copies files into all instances, `rebuild` deploys a new image without a gap. Ctrl-C
/// ends it; the stack goes on.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Only these services; all with rules when none is named
    services: Vec<String>,
    /// Do not bring the stack up first
    #[arg(long)]
    no_up: bool,
    /// Accepted: images that releases may go back to stay, all others Docker removes on `docker image prune`
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    prune: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: WatchArgs, context: &Context) -> Result<Exit, Error> {
    let stack = context.load(&args.services)?;
    // Before anything is done.
    rules(&stack, &args.services)?;
    let client = context.agent().await?;
    if !args.no_up {
        up::run(UpArgs::of(args.services.clone(), true, false, context.quiet), context).await?;
    }
    go_on(context, &client, stack, &args.services, context.quiet).await
}

fn rules(stack: &Stack, services: &[String]) -> Result<Rules, Error> {
    let rules = Rules::of(stack, services);
    if rules.is_empty() {
        let expected = "a stack whose services have rules under `develop: watch:`";
        return Err(Error::Argument { value: stack.name.to_string(), expected });
    }
    Ok(rules)
}

/// Watches until Ctrl-C.
///
/// # Errors
/// Nothing is to be watched, or it cannot be. What fails on the way is told, and the watch goes on.
pub async fn go_on(
    context: &Context,
    client: &Client,
    stack: Stack,
    services: &[String],
    quiet_build: bool,
) -> Result<Exit, Error> {
    let rules = rules(&stack, services)?;
    let roots = rules.roots();
    let mut changes = tree::changes(&roots).map_err(Error::file("watch", first(&roots)))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    let watcher = Watcher { context, client, stack: &stack, quiet_build };
    for (service, work) in rules.at_the_start() {
        watcher.try_to(&service, work).await?;
    }
    let names: Vec<_> = rules.services().iter().map(ToString::to_string).collect();
    watcher.say(&format!("watching for {}; Ctrl-C ends it", names.join(", ")))?;
    loop {
        let changed = tokio::select! {
            changed = batch(&mut changes) => changed.map_err(Error::file("watch", first(&roots)))?,
            _ = interrupt.recv() => return Err(Error::Interrupted),
        };
        for (service, work) in rules.work(&changed) {
            tokio::select! {
                done = watcher.try_to(&service, work) => done?,
                _ = interrupt.recv() => return Err(Error::Interrupted),
            }
        }
    }
}

fn first(roots: &BTreeSet<PathBuf>) -> PathBuf {
    roots.first().cloned().unwrap_or_default()
}

/// The next changes that belong together.
async fn batch(changes: &mut mpsc::UnboundedReceiver<io::Result<PathBuf>>) -> io::Result<BTreeSet<PathBuf>> {
    let ended = || io::Error::other("the watch ended");
    let mut paths = BTreeSet::from([changes.recv().await.ok_or_else(ended)??]);
    while let Ok(more) = tokio::time::timeout(QUIET, changes.recv()).await {
        paths.insert(more.ok_or_else(ended)??);
    }
    Ok(paths)
}

struct Watcher<'a> {
    context: &'a Context,
    client: &'a Client,
    stack: &'a Stack,
    quiet_build: bool,
}

impl Watcher<'_> {
    /// Does `work`; a failure is told.
    async fn try_to(&self, service: &ServiceName, work: Work) -> Result<(), Error> {
        match Box::pin(self.carry_out(service, work)).await {
            Err(error @ Error::Interrupted) => Err(error),
            Err(error) => {
                self.context.remark(&render::error::text(&error, &self.context.request.working_dir))
            }
            Ok(()) => Ok(()),
        }
    }

    async fn carry_out(&self, service: &ServiceName, work: Work) -> Result<(), Error> {
        let Work { rebuild, copies, gone, restart, exec } = work;
        if rebuild {
            self.say(&format!("{service}: rebuilding"))?;
            let args = UpArgs::of(vec![service.to_string()], true, true, self.quiet_build);
            return up::run(args, self.context).await.map(drop);
        }
        let native = self.stack.services.get(service).is_some_and(|s| s.runtime() == RuntimeKind::Native);
        if native && !(copies.is_empty() && gone.is_empty()) {
            self.say(&format!("{service} is a process of this host, which sees its files as they are"))?;
        } else {
            if !copies.is_empty() {
                self.say(&format!("{service}: {} copied", words::count(copies.len(), "path")))?;
                self.copy(service, copies).await?;
            }
            if !gone.is_empty() {
                self.say(&format!("{service}: {} removed", words::count(gone.len(), "path")))?;
                let argv = ["rm", "-rf", "--"].map(str::to_owned).into_iter().chain(gone).collect();
                self.inside(service, CommandRequest { argv, ..CommandRequest::default() }).await?;
            }
        }
        if restart {
            self.say(&format!("{service}: restarting"))?;
            self.restart(service, native).await?;
        }
        for hook in exec {
            self.say(&format!("{service}: running `{}`", hook.command.join(" ")))?;
            self.inside(service, command(hook)).await?;
        }
        Ok(())
    }

    async fn copy(
        &self,
        service: &ServiceName,
        copies: std::collections::BTreeMap<PathBuf, String>,
    ) -> Result<(), Error> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let packed = tokio::task::spawn_blocking(move || {
            if let Err(error) = pack::pack(&copies, Sink::new(sender.clone())) {
                // Told in place of the rest; the other side then refuses the whole.
                let _ = sender.blocking_send(Err(error));
            }
        });
        let path = format!("/v1/stacks/{}/files/{service}?path=/", self.stack.name);
        let _: bool = self.client.put_bytes(&path, receiver).await?;
        packed.await.map_err(|e| Error::file("read", ".")(io::Error::other(e)))
    }

    /// Containers are stopped and started: what was copied into them stays. A process is replaced as `restart` does it.
    async fn restart(&self, service: &ServiceName, native: bool) -> Result<(), Error> {
        let request = ServicesRequest { services: vec![service.clone()], timeout: None };
        let verbs: &[&str] = if native { &["restart"] } else { &["stop", "start"] };
        for verb in verbs {
            let path = format!("/v1/stacks/{}/{verb}", self.stack.name);
            let lines = self.client.post_lines(&path, &request).await?;
            follow(self.context, self.client, &self.stack.name, lines, Interrupt::Detach).await?;
        }
        Ok(())
    }

    /// Runs a command in every instance that runs.
    async fn inside(&self, service: &ServiceName, command: CommandRequest) -> Result<(), Error> {
        let name: &StackName = &self.stack.name;
        let view: StackView = self.client.get(&format!("/v1/stacks/{name}")).await?;
        let instances = view.services.iter().filter(|s| s.name == *service).flat_map(|s| &s.instances);
        let running = instances.filter(|i| i.state == "running").count();
        for index in 1..=u32::try_from(running).unwrap_or(u32::MAX) {
            let request =
                ExecRequest { service: service.clone(), index: Some(index), command: command.clone() };
            let stream = self.client.post_frames(&format!("/v1/stacks/{name}/exec"), &request).await?;
            self.to_its_end(stream, &command.argv).await?;
        }
        Ok(())
    }

    /// Shows what a command prints, and that it failed.
    async fn to_its_end(
        &self,
        mut stream: impl tokio::io::AsyncRead + Unpin,
        argv: &[String],
    ) -> Result<(), Error> {
        let broken = |error: io::Error| Error::Agent(mainstay_api::ClientError::Broken(error.into()));
        while let Some(frame) = frame::read(&mut stream).await.map_err(broken)? {
            match frame {
                Frame::Stdout(bytes) | Frame::Stderr(bytes) => {
                    self.context.remark(&String::from_utf8_lossy(&bytes))?;
                }
                Frame::Exit(0) => return Ok(()),
                Frame::Exit(code) => {
                    return Err(Error::NotRun(format!("`{}` ended with status {code}", argv.join(" "))));
                }
                Frame::Error(why) => return Err(Error::NotRun(why)),
                Frame::Stdin(_) | Frame::StdinEnd | Frame::Resize { .. } => {}
            }
        }
        Ok(())
    }

    fn say(&self, text: &str) -> Result<(), Error> {
        if self.context.quiet || self.context.json {
            Ok(())
        } else {
            self.context.remark(&format!("{text}\n"))
        }
    }
}

fn command(hook: Hook) -> CommandRequest {
    let Hook { command, user, privileged, working_dir, environment } = hook;
    CommandRequest {
        argv: command,
        env: environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect(),
        user,
        workdir: working_dir,
        privileged,
        ..CommandRequest::default()
    }
}
