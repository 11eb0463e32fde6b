//! `mainstay start`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::ServicesRequest;

/// Start services that were stopped
///
/// They run the release that serves.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Only these services; all when none is named
    services: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: StartArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = ServicesRequest { services: service_names(&args.services)?, timeout: None };
    let lines = client.post_lines(&format!("/v1/stacks/{stack}/start"), &request).await?;
    follow(context, &client, &stack, lines, Interrupt::Detach).await
}
