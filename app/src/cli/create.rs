//! `mainstay create`.

use super::up::{self, ImageArgs};
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::DeployRequest;
use mainstay_model::ServiceName;

/// Make containers without starting them
///
/// Networks, volumes, images and containers of services that do not run; `start` or `up` starts them. What runs is left
/// as it is: `up` moves it to what the file says.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Only these services and what they depend on
    services: Vec<String>,
    #[command(flatten)]
    images: ImageArgs,
    /// Make them anew even where nothing changed
    #[arg(long)]
    force_recreate: bool,
    /// Copies of a service, over what the file says
    #[arg(long, value_name = "SERVICE=N", value_parser = up::scale)]
    scale: Vec<(ServiceName, u32)>,
    /// Accepted: what the file no longer has goes with the next `up`
    #[arg(long)]
    remove_orphans: bool,
    /// Accepted: nothing is asked
    #[arg(short, long)]
    yes: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: CreateArgs, context: &Context) -> Result<Exit, Error> {
    let CreateArgs { services, images, force_recreate, scale, remove_orphans: _, yes: _ } = args;
    let mut stack = context.load(&services)?;
    up::rescale(&mut stack, scale)?;
    let mut request = images.request(stack, service_names(&services)?);
    request.force_recreate = force_recreate;
    create(request, context).await
}

/// Has the agent make what `request` says.
///
/// # Errors
/// Any.
pub async fn create(request: DeployRequest, context: &Context) -> Result<Exit, Error> {
    let name = request.stack.name.clone();
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{name}/create"), &request).await?;
    follow(context, &client, &name, lines, Interrupt::Detach).await
}
