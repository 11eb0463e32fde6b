//! `mainstay push`.

use super::pull::meant;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::ImagesRequest;

/// Push the images of services that are built to their registries
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Only of these services
    pub(super) services: Vec<String>,
    /// Of what they depend on, too
    #[arg(long)]
    include_deps: bool,
    /// Go on when an image cannot be pushed
    #[arg(long)]
    ignore_push_failures: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PushArgs, context: &Context) -> Result<Exit, Error> {
    let stack = context.load(&args.services)?;
    let name = stack.name.clone();
    let services = meant(&stack, &args.services, args.include_deps)?;
    let ignore_failures = args.ignore_push_failures;
    let request = ImagesRequest { ignore_failures, ..ImagesRequest::new(stack, services) };
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{name}/push"), &request).await?;
    follow(context, &client, &name, lines, Interrupt::Detach).await
}
