//! `mainstay pull`.

use super::up::ImageArgs;
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;

/// Pull images without deploying them
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Only of these services
    services: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PullArgs, context: &Context) -> Result<Exit, Error> {
    let stack = context.load(&args.services)?;
    let name = stack.name.clone();
    let request = ImageArgs::pull().request(stack, service_names(&args.services)?);
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{name}/pull"), &request).await?;
    follow(context, &client, &name, lines, Interrupt::Detach).await
}
