//! `mainstay rollback`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::RollbackRequest;
use mainstay_model::ReleaseNumber;

/// Go back to an earlier release
///
/// With its images and its settings, by the same way as `up`: proven before any traffic moves.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The release; the one that served before the present one when absent
    release: Option<ReleaseNumber>,
    /// Refuse, instead of waiting, while another deploy is under way
    #[arg(long)]
    no_wait_for_lock: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: RollbackArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = RollbackRequest { to: args.release, refuse_if_busy: args.no_wait_for_lock };
    let lines = client.post_lines(&format!("/v1/stacks/{stack}/rollback"), &request).await?;
    follow(context, &client, &stack, lines, Interrupt::Cancel).await
}
