//! `mainstay pause` and `mainstay unpause`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use mainstay_api::ServicesRequest;

/// Freeze the containers of services
///
/// The edge sends them nothing meanwhile.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Only these services; all when none is named
    pub(super) services: Vec<String>,
}

/// Let frozen containers go on
#[derive(Debug, Args)]
pub struct UnpauseArgs {
    /// Only these services; all when none is named
    pub(super) services: Vec<String>,
}

/// Runs `pause`.
///
/// # Errors
/// Any.
pub async fn pause(args: PauseArgs, context: &Context) -> Result<Exit, Error> {
    ask("pause", &args.services, context).await
}

/// Runs `unpause`.
///
/// # Errors
/// Any.
pub async fn unpause(args: UnpauseArgs, context: &Context) -> Result<Exit, Error> {
    ask("unpause", &args.services, context).await
}

async fn ask(verb: &str, services: &[String], context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = ServicesRequest { services: service_names(services)?, timeout: None };
    let names: Vec<String> = client.post(&format!("/v1/stacks/{stack}/{verb}"), &request).await?;
    context.print_names(&names)
}
