//! `mainstay ps`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::{stack, words};
use crate::terminal::Terminal;
use clap::{Args, ValueEnum};
use mainstay_api::{InstanceView, ServiceView, StackView};

/// Show services and instances
///
/// With what matters on one line each: state, health, since when, restarts, CPU, memory of its limit, release, routes.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Only these services
    services: Vec<String>,
    /// Ended instances, too
    #[arg(short, long)]
    all: bool,
    /// Names of services only
    #[arg(long = "services")]
    only_services: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: PsArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.client();
    let stack = context.stack_name(&client).await?;
    let mut view: StackView = client.get(&format!("/v1/stacks/{stack}")).await?;
    for name in &args.services {
        if !view.services.iter().any(|s| s.name.as_str() == name) {
            return Err(Error::Argument { value: name.clone(), expected: "a service of the stack" });
        }
    }
    if !args.services.is_empty() {
        view.services.retain(|s| args.services.iter().any(|name| name == s.name.as_str()));
    }
    if args.only_services {
        context.print(&lines(view.services.iter().map(|s| s.name.to_string())))?;
    } else if context.json || args.format == Format::Json {
        context.print_json(&view)?;
    } else if context.quiet {
        let shown = |i: &&InstanceView| args.all || i.state == "running";
        let instances = view.services.iter().flat_map(|s: &ServiceView| s.instances.iter().filter(shown));
        context.print(&lines(instances.map(|i| i.handle.clone())))?;
    } else {
        let width = context.terminal.table.then(|| usize::from(Terminal::size().1));
        context.print(&stack::text(&view, args.all, words::now(), width))?;
    }
    Ok(Exit::Done)
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.map(|item| item + "\n").collect()
}
