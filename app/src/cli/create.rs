//! `mainstay create`.

use super::up::{self, ImageArgs};
use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Following, Interrupt, follow_as};
use clap::Args;
use mainstay_api::{DeployRequest, Recreate};
use mainstay_model::ServiceName;

/// Make containers without starting them
///
/// Networks, volumes, images and containers of services that do not run; `start` or `up` starts them. What runs is left
/// as it is: `up` moves it to what the file says.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Only these services and what they depend on
    services: Vec<String>,
    #[command(flatten)]
    images: ImageArgs,
    /// Make them anew even where nothing changed
    #[arg(long)]
    force_recreate: bool,
    /// Leave containers that are there as they are
    #[arg(long, conflicts_with = "force_recreate")]
    no_recreate: bool,
    /// Show nothing of pulls
    #[arg(long)]
    quiet_pull: bool,
    /// Copies of a service, over what the file says
    #[arg(long, value_name = "SERVICE=N", value_parser = up::scale)]
    scale: Vec<(ServiceName, u32)>,
    /// Accepted: what the file no longer has goes with the next `up`
    #[arg(long)]
    remove_orphans: bool,
    /// Accepted: nothing is asked
    #[arg(short, long)]
    yes: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: CreateArgs, context: &Context) -> Result<Exit, Error> {
    create(args.request(context)?, args.quiet_pull, context).await
}

impl CreateArgs {
    /// The stack and what is asked of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn request(&self, context: &Context) -> Result<DeployRequest, Error> {
        let mut stack = context.load(&self.services)?;
        up::rescale(&mut stack, &self.scale)?;
        let recreate = match (self.force_recreate, self.no_recreate) {
            (true, _) => Recreate::All,
            (_, true) => Recreate::Never,
            (false, false) => Recreate::Changed,
        };
        let request = self.images.request(stack, service_names(&self.services)?);
        Ok(DeployRequest { recreate, ..request })
    }
}

/// Has the agent make what `request` says.
///
/// # Errors
/// Any.
pub async fn create(request: DeployRequest, quiet_pull: bool, context: &Context) -> Result<Exit, Error> {
    let name = request.stack.name.clone();
    let client = context.agent().await?;
    let lines = client.post_lines(&format!("/v1/stacks/{name}/create"), &request).await?;
    let how = Following { quiet_pull, ..Following::new(Interrupt::Detach) };
    follow_as(context, &client, &name, lines, how, |_| {}).await
}
