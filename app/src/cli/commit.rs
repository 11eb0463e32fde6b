//! `mainstay commit`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::{ArgAction, Args};
use mainstay_api::CommitRequest;
use mainstay_model::ServiceName;

/// Make an image of a container as it is
#[derive(Debug, Args)]
pub struct CommitArgs {
    /// The service
    service: String,
    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
    /// Who made it
    #[arg(short, long, default_value = "")]
    author: String,
    /// Instruction of a Dockerfile to apply, such as `CMD …`; may be given several times
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// What it is for
    #[arg(short, long, default_value = "")]
    message: String,
    /// Freeze the container meanwhile
    #[arg(short, long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pause: bool,
    /// Which of the service's instances, counted from 1
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: CommitArgs, context: &Context) -> Result<Exit, Error> {
    let CommitArgs { service, reference, author, change, message, pause, index } = args;
    let service = ServiceName::new(service)?;
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = CommitRequest { index, reference, author, message, changes: change, pause };
    let id: String = client.post(&format!("/v1/stacks/{stack}/commit/{service}"), &request).await?;
    context.print_names(&[id])
}
