//! `mainstay start`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Following, Interrupt, follow_as};
use clap::Args;
use mainstay_api::ServicesRequest;
use std::time::Duration;

/// Start services that were stopped
///
/// They run the release that serves.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Only these services; all when none is named
    pub(super) services: Vec<String>,
    /// Accepted: `start` always waits until the services are ready
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
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
    let timeout = args.wait_timeout.map(Duration::from_secs);
    let how = Following { timeout, ..Following::new(Interrupt::Detach) };
    follow_as(context, &client, &stack, lines, how, |_| {}).await
}
