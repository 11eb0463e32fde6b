//! `mainstay run`.

use super::exec::CommandArgs;
use super::run_keys::{self, KeyArgs};
use super::session::Session;
use super::up::{self, Pull, UpArgs};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Following, Interrupt, follow_as};
use clap::{ArgAction, Args};
use mainstay_api::{Client, ClientError, ImagesRequest, RunRequest, StackView};
use mainstay_model::{ServiceName, Stack};

/// Run a one-off copy of a service
///
/// In the release that serves, or by the file where that has no such service. What it depends on is started first. Its
/// ports and routes stay with the service. As with Compose, the copy is kept unless --rm is given.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct RunArgs {
    #[command(flatten)]
    how: CommandArgs,
    /// Remove the copy when it has ended
    #[arg(long)]
    rm: bool,
    /// Program to run in place of the entrypoint
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Name of the copy
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not start what the service depends on
    #[arg(long)]
    no_deps: bool,
    /// Do not wait for it: print the id of its container
    #[arg(short, long)]
    detach: bool,
    /// Pass standard input on
    #[arg(short, long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    interactive: bool,
    /// Build its image first
    #[arg(long)]
    build: bool,
    /// When to pull its image first
    #[arg(long, value_enum, default_value = "policy")]
    pull: Pull,
    #[command(flatten)]
    keys: KeyArgs,
    /// Publish the service's own ports, too
    #[arg(short = 'P', long)]
    service_ports: bool,
    /// Answer to the service's names on its networks
    #[arg(long)]
    use_aliases: bool,
    /// Accepted: `up` removes what the file no longer has
    #[arg(long)]
    remove_orphans: bool,
    /// Show nothing of builds
    #[arg(long)]
    quiet_build: bool,
    /// Show nothing of pulls
    #[arg(long)]
    quiet_pull: bool,
    /// The service
    pub(super) service: String,
    /// Program and arguments in place of the service's own
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: RunArgs, context: &Context) -> Result<Exit, Error> {
    let service = ServiceName::new(args.service.clone())?;
    let client = context.agent().await?;
    let name = context.stack_name(&client).await?;
    let view: Option<StackView> = match client.get(&format!("/v1/stacks/{name}")).await {
        Ok(view) => Some(view),
        Err(ClientError::Refused { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let released = view.as_ref().is_some_and(|view| view.services.iter().any(|s| s.name == service));
    // The file is read only where it is needed: what runs must be reachable when it has errors, too.
    let images = args.build || matches!(args.pull, Pull::Always | Pull::Missing) || !released;
    // A job is no service: the file names it as it is.
    let job = if released { None } else { context.read(&[]).stack.filter(|s| s.jobs.contains_key(&service)) };
    let stack = match job {
        Some(stack) => Some(stack),
        None if images => Some(context.load(std::slice::from_ref(&args.service))?),
        None => None,
    };
    if let Some(stack) = &stack {
        if !args.no_deps {
            start_dependencies(context, stack, &service, view.as_ref()).await?;
        }
        prepare_image(&args, context, &client, stack, &service).await?;
    }
    let RunArgs { how, rm, entrypoint, name: called, detach, interactive, keys, .. } = args;
    let keys = run_keys::read(keys, context)?;
    let mut command = how.request(args.command);
    command.env.splice(0..0, keys.environment);
    command.detach = detach;
    command.stdin = interactive && !detach;
    if !command.stdin {
        command.tty = None;
    }
    let with_terminal = command.tty.is_some();
    let with_input = command.stdin;
    let request = RunRequest {
        command,
        entrypoint,
        name: called,
        remove: rm,
        stack: stack.filter(|_| !released).map(Box::new),
        fresh_image: images,
        ports: keys.ports,
        service_ports: args.service_ports,
        use_aliases: args.use_aliases,
        mounts: keys.mounts,
        labels: keys.labels,
        cap_add: keys.cap_add,
        cap_drop: keys.cap_drop,
    };
    let stream = client.post_frames(&format!("/v1/stacks/{name}/run/{service}"), &request).await?;
    Session::new(with_terminal, with_input).run(stream).await
}

/// Deploys what `service` depends on, where it does not run.
async fn start_dependencies(
    context: &Context,
    stack: &Stack,
    service: &ServiceName,
    view: Option<&StackView>,
) -> Result<(), Error> {
    let there = |name: &ServiceName| {
        view.is_some_and(|view| {
            view.services.iter().any(|s| {
                s.name == *name && s.instances.iter().any(|i| i.state == "running" || i.exit_code == Some(0))
            })
        })
    };
    let direct = stack.services.get(service).map(|s| s.depends_on.keys().cloned().collect::<Vec<_>>());
    let missing: Vec<String> =
        direct.unwrap_or_default().into_iter().filter(|name| !there(name)).map(|n| n.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    up::run(UpArgs::of(missing, false, false, false), context).await.map(drop)
}

/// Builds or pulls the image, as far as that is asked for or it is missing.
async fn prepare_image(
    args: &RunArgs,
    context: &Context,
    client: &Client,
    stack: &Stack,
    service: &ServiceName,
) -> Result<(), Error> {
    let Some(wanted) = stack.services.get(service) else { return Ok(()) };
    let builds = wanted.build.is_some() && (args.build || wanted.image.is_none() || args.pull_is_policy());
    if matches!(args.pull, Pull::Never) && !args.build {
        return Ok(());
    }
    let verb = if builds { "build" } else { "pull" };
    let request = ImagesRequest {
        missing_only: !matches!(args.pull, Pull::Always),
        ..ImagesRequest::new(stack.clone(), vec![service.clone()])
    };
    let lines = client.post_lines(&format!("/v1/stacks/{}/{verb}", stack.name), &request).await?;
    let how = Following {
        quiet_build: args.quiet_build,
        quiet_pull: args.quiet_pull,
        ..Following::new(Interrupt::Detach)
    };
    follow_as(context, client, &stack.name, lines, how, |_| {}).await.map(drop)
}

impl RunArgs {
    fn pull_is_policy(&self) -> bool {
        matches!(self.pull, Pull::Policy)
    }
}
