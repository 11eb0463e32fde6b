//! `mainstay plan`.

use super::up::{AnewArgs, ImageArgs};
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::render;
use clap::Args;
use mainstay_api::{DeployRequest, PlanView};

/// Show what `up` would do, and why
///
/// Changes nothing.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Only these services and what they depend on
    services: Vec<String>,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    anew: AnewArgs,
    /// Leave out what the services depend on
    #[arg(long)]
    no_deps: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PlanArgs, context: &Context) -> Result<Exit, Error> {
    let PlanArgs { services, images, anew, no_deps } = args;
    let stack = context.load(&services)?;
    let request = images.request(stack, service_names(&services)?);
    show(&anew.applied(DeployRequest { no_deps, ..request }), context).await
}

/// Shows what `request` would do.
///
/// # Errors
/// Any.
pub async fn show(request: &DeployRequest, context: &Context) -> Result<Exit, Error> {
    let name = request.stack.name.clone();
    let client = context.agent().await?;
    let plan: PlanView = client.post(&format!("/v1/stacks/{name}/plan"), request).await?;
    if context.json {
        context.print_json(&plan)?;
    } else {
        context.print(&render::plan::text(name.as_str(), &plan))?;
    }
    Ok(Exit::Done)
}
