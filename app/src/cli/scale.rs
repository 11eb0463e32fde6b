//! `mainstay scale`.

use super::up::{self, UpArgs};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use mainstay_model::ServiceName;

/// Change how many copies of services run
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// How many of which
    #[arg(required = true, value_name = "SERVICE=N", value_parser = up::scale)]
    replicas: Vec<(ServiceName, u32)>,
    /// Leave what they depend on as it is
    #[arg(long)]
    no_deps: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: ScaleArgs, context: &Context) -> Result<Exit, Error> {
    let ScaleArgs { replicas, no_deps } = args;
    up::run(UpArgs::scaling(replicas, no_deps), context).await
}
