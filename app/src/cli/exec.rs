//! `mainstay exec`.

use super::session::{self, Session};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use mainstay_api::{CommandRequest, ExecRequest};
use mainstay_model::ServiceName;

/// Run a command inside a running instance
///
/// Its exit status becomes that of `mainstay exec`; 125 means that it could not be run at all.
#[derive(Debug, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    how: CommandArgs,
    /// Which of the service's instances, counted from 1
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// Do not wait for the command
    #[arg(short, long)]
    detach: bool,
    /// With all rights
    #[arg(long)]
    privileged: bool,
    /// Accepted: standard input is passed on in any case
    #[arg(short, long, hide = true)]
    interactive: bool,
    /// The service
    service: String,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Options that `exec` and `run` share.
#[derive(Debug, Args)]
pub struct CommandArgs {
    /// No terminal, even where standard input is one
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Accepted: there is a terminal where standard input is one
    #[arg(short, long, hide = true)]
    tty: bool,
    /// Variable to set; without a value, the present one
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// User to run as
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Directory to run in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
}

impl CommandArgs {
    /// What is asked for, with a terminal where there is one.
    pub fn request(self, argv: Vec<String>) -> CommandRequest {
        let Self { no_tty, tty: _, env, user, workdir } = self;
        CommandRequest {
            argv,
            env: env.into_iter().filter_map(variable).collect(),
            user,
            workdir,
            tty: if no_tty { None } else { session::terminal_size() },
            stdin: true,
            ..CommandRequest::default()
        }
    }
}

/// `NAME` means its present value, where it has one.
fn variable(text: String) -> Option<String> {
    if text.contains('=') {
        return Some(text);
    }
    let value = std::env::var(&text).ok()?;
    Some(format!("{text}={value}"))
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: ExecArgs, context: &Context) -> Result<Exit, Error> {
    let ExecArgs { how, index, detach, privileged, interactive: _, service, command } = args;
    let mut command = how.request(command);
    command.privileged = privileged;
    command.detach = detach;
    if detach {
        command.tty = None;
        command.stdin = false;
    }
    let with_terminal = command.tty.is_some();
    let request = ExecRequest { service: ServiceName::new(service)?, index, command };
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let stream = client.post_frames(&format!("/v1/stacks/{stack}/exec"), &request).await?;
    Session::new(with_terminal, !detach).run(stream).await
}
