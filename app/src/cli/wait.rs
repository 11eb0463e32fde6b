//! `mainstay wait`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::{DownRequest, ExitView, ServicesRequest};

/// Wait until the instances of services have ended, and print with which status
///
/// The last one's status becomes that of `mainstay wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The services
    #[arg(required = true)]
    services: Vec<String>,
    /// Take the stack down when the first has ended
    #[arg(long)]
    down_project: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: WaitArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = ServicesRequest { services: service_names(&args.services)?, timeout: None };
    let mut lines = client.post_lines(&format!("/v1/stacks/{stack}/wait"), &request).await?;
    let mut last = 0;
    while let Some(ended) = lines.next::<ExitView>().await? {
        if context.json {
            context.print_json_line(&ended)?;
        } else {
            context.print(&format!("{}\n", ended.code))?;
        }
        last = ended.code;
        if args.down_project {
            break;
        }
    }
    if args.down_project {
        let request = DownRequest { volumes: false, timeout: None };
        let lines = client.post_lines(&format!("/v1/stacks/{stack}/down"), &request).await?;
        follow(context, &client, &stack, lines, Interrupt::Detach).await?;
    }
    Ok(Exit::Command(super::session::shell_status(last)))
}
