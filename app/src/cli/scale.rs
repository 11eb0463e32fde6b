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

impl ScaleArgs {
    /// As the `up` that it is.
    pub fn as_up(&self) -> UpArgs {
        UpArgs::scaling(self.replicas.clone(), self.no_deps)
    }
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: ScaleArgs, context: &Context) -> Result<Exit, Error> {
    up::run(args.as_up(), context).await
}
