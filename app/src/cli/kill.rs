//! `mainstay kill`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use mainstay_api::SignalRequest;

/// Send a signal to running instances
///
/// What the signal ends stays down, as with Docker; native services are started again as their restart policy says.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Only these services; all when none is named
    pub(super) services: Vec<String>,
    /// Signal to send, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,
    /// Accepted: `up` removes what the file no longer has
    #[arg(long)]
    remove_orphans: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: KillArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let KillArgs { services, signal, remove_orphans: _ } = args;
    let request = SignalRequest { services: service_names(&services)?, signal };
    let names: Vec<String> = client.post(&format!("/v1/stacks/{stack}/kill"), &request).await?;
    context.print_names(&names)
}
