//! `mainstay restart`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::ServicesRequest;

/// Restart services
///
/// Where two copies may run, each instance is replaced without a gap.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Only these services; all when none is named
    pub(super) services: Vec<String>,
    /// Seconds that an instance may take to stop, over what the file says
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Accepted: only what is named is restarted
    #[arg(long)]
    no_deps: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: RestartArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = ServicesRequest { services: service_names(&args.services)?, timeout: args.timeout };
    let lines = client.post_lines(&format!("/v1/stacks/{stack}/restart"), &request).await?;
    follow(context, &client, &stack, lines, Interrupt::Detach).await
}
