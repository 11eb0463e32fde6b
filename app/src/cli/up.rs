//! `mainstay up`.

use super::foreground::{self, ForegroundArgs};
use super::watch;
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Following, Interrupt, follow_as};
use clap::{Args, ValueEnum};
use mainstay_api::{DeployRequest, PullWish, Recreate};
use mainstay_model::{ServiceName, Stack};
use std::time::Duration;

/// Bring the stack to what its file says
///
/// Resolves the file, shows the plan, gets the images, runs release jobs, starts new instances, and moves the traffic
/// once they are proven. When anything fails, the release before it goes on serving. Ctrl-C cancels in the same way.
#[derive(Debug, Default, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct UpArgs {
    /// Only these services and what they depend on
    pub(super) services: Vec<String>,
    /// Accepted: the agent always runs the stack in the background
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    pub(super) images: ImageArgs,
    #[command(flatten)]
    pub(super) anew: AnewArgs,
    /// Leave out what the services depend on
    #[arg(long)]
    pub(super) no_deps: bool,
    /// Copies of a service, over what the file says
    #[arg(long, value_name = "SERVICE=N", value_parser = scale)]
    pub(super) scale: Vec<(ServiceName, u32)>,
    /// Make what is missing and start nothing, as `create` does
    #[arg(long)]
    no_start: bool,
    /// Accepted: `up` always waits until everything is ready
    #[arg(long)]
    wait: bool,
    /// Seconds until what is not ready is given up and undone
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    /// Refuse, instead of waiting, while another deploy is under way
    #[arg(long)]
    no_wait_for_lock: bool,
    /// Seconds that an instance may take to stop, over what the file says
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Accepted: what the file no longer has is always removed
    #[arg(long)]
    remove_orphans: bool,
    /// Accepted: nothing is asked
    #[arg(short, long)]
    yes: bool,
    /// Go on watching sources, as `mainstay watch` does
    #[arg(short, long, conflicts_with = "detach")]
    watch: bool,
    #[command(flatten)]
    quiet: QuietArgs,
    #[command(flatten)]
    foreground: ForegroundArgs,
}

/// Options about images, which `up` and `plan` share.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ImageArgs {
    /// Build images even where they exist
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Never build images
    #[arg(long)]
    no_build: bool,
    /// When to pull images
    #[arg(long, value_enum, default_value = "policy")]
    pull: Pull,
}

/// Options about what is made anew, which `up` and `plan` share.
#[derive(Debug, Clone, Copy, Default, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct AnewArgs {
    /// Make new instances even where nothing changed
    #[arg(long)]
    force_recreate: bool,
    /// Leave instances that are there as they are
    #[arg(long, conflicts_with_all = ["force_recreate", "always_recreate_deps"])]
    no_recreate: bool,
    /// Make new instances of what the services depend on, too
    #[arg(long)]
    always_recreate_deps: bool,
    /// Accepted: a new instance always has new anonymous volumes
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
}

/// Options about what is shown.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct QuietArgs {
    /// Show nothing of builds
    #[arg(long)]
    pub(super) quiet_build: bool,
    /// Show nothing of pulls
    #[arg(long)]
    pub(super) quiet_pull: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Pull {
    /// As the file says
    #[default]
    Policy,
    Always,
    Missing,
    Never,
    /// As --build
    #[value(hide = true)]
    Build,
}

impl From<Pull> for PullWish {
    fn from(pull: Pull) -> Self {
        match pull {
            Pull::Policy | Pull::Build => Self::Policy,
            Pull::Always => Self::Always,
            Pull::Missing => Self::Missing,
            Pull::Never => Self::Never,
        }
    }
}

impl UpArgs {
    /// What `scale` means: as many copies of these services, and nothing else.
    pub fn scaling(scale: Vec<(ServiceName, u32)>, no_deps: bool) -> Self {
        let services = scale.iter().map(|(name, _)| name.to_string()).collect();
        Self { services, no_deps, scale, ..Self::default() }
    }

    /// What `watch` does at its start and for `rebuild`: these services, with their images built where `build` says.
    pub fn of(services: Vec<String>, build: bool, no_deps: bool, quiet_build: bool) -> Self {
        let images = ImageArgs { build, ..ImageArgs::default() };
        let quiet = QuietArgs { quiet_build, quiet_pull: false };
        Self { services, images, no_deps, quiet, ..Self::default() }
    }

    /// The stack and what is asked of it.
    pub(super) fn request(&self, context: &Context) -> Result<DeployRequest, Error> {
        let mut stack = context.load(&self.services)?;
        rescale(&mut stack, &self.scale)?;
        if let Some(seconds) = self.timeout {
            for service in stack.services.values_mut() {
                service.stop_grace_period = Duration::from_secs(seconds);
            }
        }
        let request = self.images.request(stack, service_names(&self.services)?);
        let request =
            DeployRequest { no_deps: self.no_deps, refuse_if_busy: self.no_wait_for_lock, ..request };
        Ok(self.anew.applied(request))
    }

    fn following(&self) -> Following {
        Following {
            timeout: self.wait_timeout.map(Duration::from_secs),
            quiet_build: self.quiet.quiet_build,
            quiet_pull: self.quiet.quiet_pull,
            ..Following::new(Interrupt::Cancel)
        }
    }
}

impl ImageArgs {
    /// A request for `stack` with these wishes.
    pub fn request(self, stack: Stack, services: Vec<ServiceName>) -> DeployRequest {
        DeployRequest {
            stack,
            services,
            no_deps: false,
            build: self.build || matches!(self.pull, Pull::Build),
            no_build: self.no_build,
            pull: self.pull.into(),
            recreate: Recreate::Changed,
            recreate_dependencies: false,
            refuse_if_busy: false,
        }
    }
}

impl AnewArgs {
    /// The request with these wishes.
    pub fn applied(self, request: DeployRequest) -> DeployRequest {
        let recreate = match (self.force_recreate, self.no_recreate) {
            (true, _) => Recreate::All,
            (_, true) => Recreate::Never,
            (false, false) => Recreate::Changed,
        };
        DeployRequest { recreate, recreate_dependencies: self.always_recreate_deps, ..request }
    }
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: UpArgs, context: &Context) -> Result<Exit, Error> {
    let request = args.request(context)?;
    if args.no_start {
        return super::create::create(request, args.quiet.quiet_pull, context).await;
    }
    let stack = request.stack.clone();
    let following = args.following();
    if args.foreground.wanted() {
        // Before anything is done.
        args.foreground.shown(&request)?;
    }
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{}/deploy", stack.name), &request).await?;
    if args.foreground.wanted() {
        return foreground::run(&args.foreground, context, &client, &request, lines, following).await;
    }
    let exit = follow_as(context, &client, &stack.name, lines, following, |_| {}).await?;
    if args.watch {
        return watch::go_on(context, &client, stack, &args.services, args.quiet.quiet_build).await;
    }
    Ok(exit)
}

/// Gives services of `stack` other numbers of copies.
///
/// # Errors
/// A service is not there.
pub fn rescale(stack: &mut Stack, scale: &[(ServiceName, u32)]) -> Result<(), Error> {
    for (name, replicas) in scale {
        let Some(service) = stack.services.get_mut(name) else {
            return Err(Error::Argument { value: name.to_string(), expected: "a service of the stack" });
        };
        service.replicas = *replicas;
    }
    Ok(())
}

/// `SERVICE=N`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn scale(text: &str) -> Result<(ServiceName, u32), String> {
    let (name, number) = text.split_once('=').ok_or("expected SERVICE=N, such as api=3")?;
    let name = ServiceName::new(name).map_err(|error| error.to_string())?;
    let number = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    Ok((name, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_a_service_and_a_number() {
        assert_eq!(scale("api=3"), Ok((ServiceName::new("api").unwrap(), 3)));
        assert!(scale("api").is_err() && scale("api=x").is_err() && scale("a b=1").is_err());
    }
}
