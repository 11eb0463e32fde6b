//! `mainstay pull`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::{Args, ValueEnum};
use mainstay_api::ImagesRequest;
use mainstay_model::{ServiceName, Stack};
use mainstay_plan::UnknownService;

/// Pull images without deploying them
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct PullArgs {
    /// Only of these services
    pub(super) services: Vec<String>,
    /// Of what they depend on, too
    #[arg(long)]
    include_deps: bool,
    /// Leave out what can be built
    #[arg(long)]
    ignore_buildable: bool,
    /// Go on when an image cannot be pulled
    #[arg(long)]
    ignore_pull_failures: bool,
    /// Which images to pull
    #[arg(long, value_enum, default_value = "always")]
    policy: Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// Only those that are not there
    Missing,
    Always,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PullArgs, context: &Context) -> Result<Exit, Error> {
    let stack = context.load(&args.services)?;
    let name = stack.name.clone();
    let services = meant(&stack, &args.services, args.include_deps)?;
    let request = ImagesRequest {
        missing_only: args.policy == Policy::Missing,
        ignore_buildable: args.ignore_buildable,
        ignore_failures: args.ignore_pull_failures,
        ..ImagesRequest::new(stack, services)
    };
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{name}/pull"), &request).await?;
    follow(context, &client, &name, lines, Interrupt::Detach).await
}

/// The services named, where wished with those they depend on.
///
/// # Errors
/// A name is none of a service.
pub fn meant(stack: &Stack, typed: &[String], include_deps: bool) -> Result<Vec<ServiceName>, Error> {
    let named = service_names(typed)?;
    if !include_deps {
        return Ok(named);
    }
    let whole = mainstay_plan::with_dependencies(stack, named);
    let whole = whole.map_err(|UnknownService(name)| Error::Argument {
        value: name.to_string(),
        expected: "a service of the stack",
    })?;
    Ok(whole.into_iter().collect())
}
