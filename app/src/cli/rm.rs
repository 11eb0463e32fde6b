//! `mainstay rm`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use clap::Args;
use mainstay_api::{InstanceView, ServicesRequest, StackView};
use std::io::{BufRead, IsTerminal};

/// Remove instances that have ended
///
/// Named volumes stay. Without --force it is asked for at a terminal.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Only of these services; of all when none is named
    pub(super) services: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Stop what runs first
    #[arg(short, long)]
    stop: bool,
    /// Remove anonymous volumes, which is done in any case
    #[arg(short, long)]
    volumes: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: RmArgs, context: &Context) -> Result<Exit, Error> {
    let RmArgs { services, force, stop, volumes: _ } = args;
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = ServicesRequest { services: service_names(&services)?, timeout: None };
    if stop {
        let lines = client.post_lines(&format!("/v1/stacks/{stack}/stop"), &request).await?;
        follow(context, &client, &stack, lines, Interrupt::Detach).await?;
    }
    let view: StackView = client.get(&format!("/v1/stacks/{stack}")).await?;
    let named = |name: &str| services.is_empty() || services.iter().any(|s| s == name);
    let all = view.services.iter().filter(|s| named(s.name.as_str())).flat_map(|s| &s.instances);
    let ended: Vec<_> =
        all.filter(|i: &&InstanceView| i.state != "running").map(|i| i.name.clone()).collect();
    if ended.is_empty() {
        context.remark("nothing to remove: no instance has ended\n")?;
        return Ok(Exit::Done);
    }
    if !force && !confirmed(context, &ended)? {
        return Ok(Exit::Failed);
    }
    let names: Vec<String> = client.post(&format!("/v1/stacks/{stack}/remove"), &request).await?;
    context.print_names(&names)
}

/// Asks at the terminal; where there is none, nobody can agree.
fn confirmed(context: &Context, names: &[String]) -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() {
        context.remark("no terminal to ask at: give --force\n")?;
        return Ok(false);
    }
    context.remark(&format!("remove {}? [y/N] ", names.join(", ")))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Error::Terminal)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
