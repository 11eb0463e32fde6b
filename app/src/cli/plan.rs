//! `mainstay plan`.

use super::up::ImageArgs;
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::render;
use clap::Args;
use mainstay_api::PlanView;

/// Show what `up` would do, and why
///
/// Changes nothing.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Only these services and what they depend on
    services: Vec<String>,
    #[command(flatten)]
    images: ImageArgs,
    /// Plan new instances even where nothing changed
    #[arg(long)]
    force_recreate: bool,
    /// Leave out what the services depend on
    #[arg(long)]
    no_deps: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PlanArgs, context: &Context) -> Result<Exit, Error> {
    let PlanArgs { services, images, force_recreate, no_deps } = args;
    let stack = context.load(&services)?;
    let name = stack.name.clone();
    let mut request = images.request(stack, service_names(&services)?);
    request.force_recreate = force_recreate;
    request.no_deps = no_deps;
    let client = context.agent().await?;
    let plan: PlanView = client.post(&format!("/v1/stacks/{name}/plan"), &request).await?;
    if context.json {
        context.print_json(&plan)?;
    } else {
        context.print(&render::plan::text(name.as_str(), &plan))?;
    }
    Ok(Exit::Done)
}
