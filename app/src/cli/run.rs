//! `mainstay run`.

use super::exec::CommandArgs;
use super::session::Session;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use mainstay_model::ServiceName;

/// Run a one-off copy of a service
///
/// In the release that serves, or in a new one of the file when nothing runs yet. Its ports and routes stay with the
/// service. As with Compose, the copy is kept unless --rm is given.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    how: CommandArgs,
    /// Remove the copy when it has ended
    #[arg(long)]
    rm: bool,
    /// Program to run in place of the entrypoint
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Name of the copy
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not start what the service depends on
    #[arg(long)]
    no_deps: bool,
    /// The service
    service: String,
    /// Program and arguments in place of the service's own
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: RunArgs, context: &Context) -> Result<Exit, Error> {
    let RunArgs { how, rm, entrypoint, name, no_deps, service, command } = args;
    let service = ServiceName::new(service)?;
    let mut request = how.request(command);
    request.remove = rm;
    request.entrypoint = entrypoint;
    request.name = name;
    request.no_deps = no_deps;
    let with_terminal = request.tty.is_some();
    let client = context.agent().await?;
    let stack = context.stack_name(&client).await?;
    let stream = client.post_frames(&format!("/v1/stacks/{stack}/run/{service}"), &request).await?;
    Session::new(with_terminal, true).run(stream).await
}
