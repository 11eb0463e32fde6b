//! `mainstay push`.

use super::up::ImageArgs;
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_plan::UnknownService;

/// Push the images of services that are built to their registries
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Only of these services
    services: Vec<String>,
    /// Of what they depend on, too
    #[arg(long)]
    include_deps: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PushArgs, context: &Context) -> Result<Exit, Error> {
    let stack = context.load(&args.services)?;
    let named = service_names(&args.services)?;
    let services = match args.include_deps {
        true => mainstay_plan::with_dependencies(&stack, named)
            .map_err(|UnknownService(name)| Error::Argument {
                value: name.to_string(),
                expected: "a service of the stack",
            })?
            .into_iter()
            .collect(),
        false => named,
    };
    let client = context.agent().await?;
    let name = stack.name.clone();
    let request = ImageArgs::pull().request(stack, services);
    let lines = client.post_lines(&format!("/v1/stacks/{name}/push"), &request).await?;
    follow(context, &client, &name, lines, Interrupt::Detach).await
}
