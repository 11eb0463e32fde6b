//! `mainstay down`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::DownRequest;

/// Remove what the stack made: instances and networks; volumes with -v
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Remove volumes, too: their data is lost
    #[arg(short, long)]
    volumes: bool,
    /// Accepted: what the file no longer has is always removed
    #[arg(long)]
    remove_orphans: bool,
    /// Seconds that an instance may take to stop
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: DownArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = DownRequest { volumes: args.volumes, timeout: args.timeout };
    let lines = client.post_lines(&format!("/v1/stacks/{stack}/down"), &request).await?;
    follow(context, &client, &stack, lines, Interrupt::Detach).await
}
