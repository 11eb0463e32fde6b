//! `mainstay up`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::{Args, ValueEnum};
use mainstay_api::{DeployRequest, PullWish};
use mainstay_model::{ServiceName, Stack};

/// Bring the stack to what its file says
///
/// Resolves the file, shows the plan, gets the images, runs release jobs, starts new instances, and moves the traffic
/// once they are proven. When anything fails, the release before it goes on serving. Ctrl-C cancels in the same way.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Only these services and what they depend on
    services: Vec<String>,
    /// Accepted: the agent always runs the stack in the background
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    images: ImageArgs,
    /// Make new instances even where nothing changed
    #[arg(long)]
    force_recreate: bool,
    /// Leave out what the services depend on
    #[arg(long)]
    no_deps: bool,
    /// Copies of a service, over what the file says
    #[arg(long, value_name = "SERVICE=N", value_parser = scale)]
    scale: Vec<(ServiceName, u32)>,
    /// Make what is missing and start nothing, as `create` does
    #[arg(long)]
    no_start: bool,
    /// Accepted: `up` always waits until everything is ready
    #[arg(long)]
    wait: bool,
    /// Refuse, instead of waiting, while another deploy is under way
    #[arg(long)]
    no_wait_for_lock: bool,
    /// Seconds that an instance may take to stop, over what the file says
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Accepted: what the file no longer has is always removed
    #[arg(long)]
    remove_orphans: bool,
}

/// Options about images, which `up` and `plan` share.
#[derive(Debug, Args)]
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Pull {
    /// As the file says
    Policy,
    Always,
    Missing,
    Never,
}

impl From<Pull> for PullWish {
    fn from(pull: Pull) -> Self {
        match pull {
            Pull::Policy => Self::Policy,
            Pull::Always => Self::Always,
            Pull::Missing => Self::Missing,
            Pull::Never => Self::Never,
        }
    }
}

impl UpArgs {
    /// What `scale` means: as many copies of these services, and nothing else.
    pub fn scaling(scale: Vec<(ServiceName, u32)>, no_deps: bool) -> Self {
        Self {
            services: scale.iter().map(|(name, _)| name.to_string()).collect(),
            detach: true,
            images: ImageArgs { build: false, no_build: false, pull: Pull::Policy },
            force_recreate: false,
            no_deps,
            scale,
            no_start: false,
            wait: true,
            no_wait_for_lock: false,
            timeout: None,
            remove_orphans: false,
        }
    }
}

impl ImageArgs {
    /// What `pull` means.
    pub fn pull() -> Self {
        Self { build: false, no_build: true, pull: Pull::Always }
    }

    /// What `build` means.
    pub fn build() -> Self {
        Self { build: true, no_build: false, pull: Pull::Policy }
    }

    /// A request for `stack` with these wishes.
    pub fn request(self, stack: Stack, services: Vec<ServiceName>) -> DeployRequest {
        DeployRequest {
            stack,
            services,
            no_deps: false,
            build: self.build,
            no_build: self.no_build,
            pull: self.pull.into(),
            force_recreate: false,
            refuse_if_busy: false,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: UpArgs, context: &Context) -> Result<Exit, Error> {
    let UpArgs {
        services, images, force_recreate, no_deps, scale, no_wait_for_lock, timeout, no_start, ..
    } = args;
    let mut stack = context.load(&services)?;
    rescale(&mut stack, scale)?;
    if let Some(seconds) = timeout {
        for service in stack.services.values_mut() {
            service.stop_grace_period = std::time::Duration::from_secs(seconds);
        }
    }
    let name = stack.name.clone();
    let mut request = images.request(stack, service_names(&services)?);
    request.no_deps = no_deps;
    request.force_recreate = force_recreate;
    request.refuse_if_busy = no_wait_for_lock;
    if no_start {
        return super::create::create(request, context).await;
    }
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{name}/deploy"), &request).await?;
    follow(context, &client, &name, lines, Interrupt::Cancel).await
}

/// Gives services of `stack` other numbers of copies.
///
/// # Errors
/// A service is not there.
pub fn rescale(stack: &mut Stack, scale: Vec<(ServiceName, u32)>) -> Result<(), Error> {
    for (name, replicas) in scale {
        let Some(service) = stack.services.get_mut(&name) else {
            return Err(Error::Argument { value: name.to_string(), expected: "a service of the stack" });
        };
        service.replicas = replicas;
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
