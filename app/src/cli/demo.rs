//! `mainstay demo`.

use crate::context::Context;
use crate::demo;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;

/// See it work: no Docker, no root, nothing installed
///
/// Brings a small stack up in a directory of its own, redeploys it under load, kills an instance, deploys a broken
/// version, and stays up until Ctrl-C. Leaves nothing behind.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End right after the show
    #[arg(long)]
    no_wait: bool,
}

/// Runs the command.
///
/// # Errors
/// A phase did not go as it should.
pub async fn run(args: DemoArgs, context: &Context) -> Result<Exit, Error> {
    demo::run(context, !args.no_wait).await
}
