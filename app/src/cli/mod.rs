//! The command line: one file a command. `…Args` is what was typed; what it means is a request of the control API.

mod agent;
mod attach;
mod build;
mod check;
mod commit;
mod completions;
mod compose_only;
mod config;
mod cp;
mod create;
mod demo;
mod demo_app;
mod down;
mod dry_run;
mod edge;
mod eject;
mod events;
mod exec;
mod export;
mod foreground;
mod global;
mod images;
mod install;
mod kill;
mod logs;
mod ls;
mod pause;
mod plan;
mod port;
mod ps;
mod pull;
mod push;
mod releases;
mod restart;
mod rm;
mod rollback;
mod run;
mod run_keys;
mod scale;
mod session;
mod start;
mod stats;
mod stop;
mod time;
mod top;
mod uninstall;
mod up;
mod version;
mod volumes;
mod wait;
mod watch;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
pub use global::{Ansi, GlobalArgs, ProgressWay};
use std::path::PathBuf;
use std::process::ExitCode;

/// The commands by what they are for; `--help` shows this instead of one long list.
const TEMPLATE: &str = "\
{about}

Usage: {usage}

Deploy
  up           Bring the stack to what its file says
  plan         Show what `up` would do, and why
  create       Make containers without starting them
  rollback     Go back to an earlier release
  releases     List releases
  pull, build  Get images without deploying
  push         Push images that were built
  commit       Make an image of a container (export writes its files)

Look
  ps           Show services and instances
  logs         Show what services print
  events       Show what happened
  stats, top   Show what instances use, and their processes
  port         Show where a port is published
  images       Show the images of containers
  volumes      List volumes
  ls           List stacks
  config       Show the stack file as it is understood
  check        Check the stack file

Act
  start, stop, restart   Start, stop or restart services
  pause, unpause         Freeze containers, and let them go on
  kill                   Send a signal
  scale                  Change how many copies run
  exec                   Run a command inside a running instance
  attach                 Attach to the streams of a container
  cp                     Copy files in and out of containers
  wait                   Wait until instances have ended
  watch                  Carry changes of sources into what runs
  rm                     Remove instances that have ended
  run                    Run a one-off copy of a service
  down                   Remove what the stack made
  eject                  Give the stack back to Docker Compose

Mainstay
  demo         See it work: no Docker, no root, nothing installed
  agent        Run the agent in the foreground
  install      Run the agent under systemd (uninstall undoes it)
  completions  Print a completion script for a shell
  version      Show versions

Options
{options}

`mainstay help COMMAND` tells more about a command.
";

/// Runs production on one server from a Compose file
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, help_template = TEMPLATE, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::UpArgs),
    Plan(plan::PlanArgs),
    Create(create::CreateArgs),
    Rollback(rollback::RollbackArgs),
    Releases(releases::ReleasesArgs),
    Pull(pull::PullArgs),
    Build(build::BuildArgs),
    Ps(ps::PsArgs),
    Logs(logs::LogsArgs),
    Events(events::EventsArgs),
    Ls(ls::LsArgs),
    #[command(visible_alias = "convert")]
    Config(config::ConfigArgs),
    Check(check::CheckArgs),
    Start(start::StartArgs),
    Stop(stop::StopArgs),
    Restart(restart::RestartArgs),
    Stats(stats::StatsArgs),
    Top(top::TopArgs),
    Port(port::PortArgs),
    Images(images::ImagesArgs),
    Volumes(volumes::VolumesArgs),
    Push(push::PushArgs),
    Commit(commit::CommitArgs),
    Export(export::ExportArgs),
    Pause(pause::PauseArgs),
    Unpause(pause::UnpauseArgs),
    Kill(kill::KillArgs),
    Scale(scale::ScaleArgs),
    Exec(exec::ExecArgs),
    Attach(attach::AttachArgs),
    Cp(cp::CpArgs),
    Wait(wait::WaitArgs),
    Watch(watch::WatchArgs),
    Rm(rm::RmArgs),
    Run(run::RunArgs),
    Down(down::DownArgs),
    Eject(eject::EjectArgs),
    Demo(demo::DemoArgs),
    Agent(agent::AgentArgs),
    Install(install::InstallArgs),
    Uninstall(uninstall::UninstallArgs),
    Completions(completions::CompletionsArgs),
    Version(version::VersionArgs),
    #[command(hide = true)]
    Edge(edge::EdgeArgs),
    #[command(hide = true)]
    Shim(ShimArgs),
    #[command(hide = true)]
    DemoApp(demo_app::DemoAppArgs),
}

/// Supervise one native instance. `main` runs it before the command line is read; this only documents it.
#[derive(Debug, Args)]
struct ShimArgs {
    /// Directory of the instance
    #[arg(value_name = "DIR")]
    _dir: PathBuf,
}

/// Reads the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let Cli { global, command } = cli;
    let json = global.json;
    let base = std::env::current_dir().unwrap_or_default();
    match Context::new(global).and_then(|context| run(command, context)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            report(&error, &base, json);
            error.exit().into()
        }
    }
}

fn report(error: &Error, base: &std::path::Path, json: bool) {
    use std::io::Write;
    if matches!(error.exit(), Exit::OutputClosed | Exit::Interrupted) && !json {
        return;
    }
    let text =
        if json { format!("{}\n", render::error::json(error)) } else { render::error::text(error, base) };
    // Nobody is left to be told.
    let _gone = anstream::stderr().write_all(text.as_bytes());
}

/// What clap found wrong, or was asked to show.
fn refuse(error: &clap::Error) -> ExitCode {
    use clap::error::{ContextKind, ContextValue};
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(instead) = compose_only::instead(word)
    {
        let text = format!("{} {instead}\n", render::style::paint(render::style::BAD, "error:"));
        // Nobody is left to be told.
        let _gone = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
        return Exit::Usage.into();
    }
    shown(error)
}

fn shown(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told.
    let _gone = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

fn run(command: Command, context: Context) -> Result<Exit, Error> {
    match command {
        // Processes with threads or runtimes of their own.
        Command::Edge(args) => edge::run(args, &context),
        Command::Agent(args) => agent::run(args, &context),
        Command::DemoApp(args) => demo_app::run(args),
        Command::Shim(_) => {
            Err(Error::Argument { value: "shim".into(), expected: "followed by a directory" })
        }
        command => runtime()?.block_on(ask(command, &context)),
    }
}

/// A command is one thread: it waits for the agent.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|source| Error::Process { what: "the program cannot run".into(), source })
}

async fn ask(command: Command, context: &Context) -> Result<Exit, Error> {
    if context.dry_run
        && let Some(exit) = Box::pin(dry_run::say(&command, context)).await?
    {
        return Ok(exit);
    }
    // Each is boxed: together they would be one future of the largest's size, many times over.
    match command {
        Command::Up(args) => Box::pin(up::run(args, context)).await,
        Command::Create(args) => Box::pin(create::run(args, context)).await,
        Command::Plan(args) => Box::pin(plan::run(args, context)).await,
        Command::Rollback(args) => Box::pin(rollback::run(args, context)).await,
        Command::Releases(args) => Box::pin(releases::run(args, context)).await,
        Command::Pull(args) => Box::pin(pull::run(args, context)).await,
        Command::Build(args) => Box::pin(build::run(args, context)).await,
        Command::Ps(args) => Box::pin(ps::run(args, context)).await,
        Command::Logs(args) => Box::pin(logs::run(args, context)).await,
        Command::Events(args) => Box::pin(events::run(args, context)).await,
        Command::Ls(args) => Box::pin(ls::run(args, context)).await,
        Command::Config(args) => config::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Start(args) => Box::pin(start::run(args, context)).await,
        Command::Stop(args) => Box::pin(stop::run(args, context)).await,
        Command::Restart(args) => Box::pin(restart::run(args, context)).await,
        Command::Stats(args) => Box::pin(stats::run(args, context)).await,
        Command::Top(args) => Box::pin(top::run(args, context)).await,
        Command::Port(args) => Box::pin(port::run(args, context)).await,
        Command::Images(args) => Box::pin(images::run(args, context)).await,
        Command::Volumes(args) => Box::pin(volumes::run(args, context)).await,
        Command::Push(args) => Box::pin(push::run(args, context)).await,
        Command::Commit(args) => Box::pin(commit::run(args, context)).await,
        Command::Export(args) => Box::pin(export::run(args, context)).await,
        Command::Pause(args) => Box::pin(pause::pause(args, context)).await,
        Command::Unpause(args) => Box::pin(pause::unpause(args, context)).await,
        Command::Kill(args) => Box::pin(kill::run(args, context)).await,
        Command::Scale(args) => Box::pin(scale::run(args, context)).await,
        Command::Exec(args) => Box::pin(exec::run(args, context)).await,
        Command::Attach(args) => Box::pin(attach::run(args, context)).await,
        Command::Cp(args) => Box::pin(cp::run(args, context)).await,
        Command::Watch(args) => Box::pin(watch::run(args, context)).await,
        Command::Wait(args) => Box::pin(wait::run(args, context)).await,
        Command::Rm(args) => Box::pin(rm::run(args, context)).await,
        Command::Run(args) => Box::pin(run::run(args, context)).await,
        Command::Down(args) => Box::pin(down::run(args, context)).await,
        Command::Eject(args) => Box::pin(eject::run(args, context)).await,
        Command::Demo(args) => Box::pin(demo::run(args, context)).await,
        Command::Install(args) => install::run(args, context),
        Command::Uninstall(args) => uninstall::run(args, context),
        Command::Completions(args) => completions::run(args, context, Cli::command()),
        Command::Version(args) => Box::pin(version::run(args, context)).await,
        // Run before there is a runtime.
        Command::Edge(_) | Command::Agent(_) | Command::Shim(_) | Command::DemoApp(_) => Ok(Exit::Usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_every_command() {
        for command in Cli::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(TEMPLATE.contains(command.get_name()), "{} is not in the help", command.get_name());
            assert!(command.get_about().is_some(), "{} says nothing about itself", command.get_name());
        }
    }
}
