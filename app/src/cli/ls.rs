//! `mainstay ls`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::{
    style,
    table::{Cell, Table},
};
use clap::Args;
use mainstay_api::StackSummary;

/// List stacks
#[derive(Debug, Args)]
pub struct LsArgs {}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: LsArgs, context: &Context) -> Result<Exit, Error> {
    let LsArgs {} = args;
    let stacks: Vec<StackSummary> = context.client().get("/v1/stacks").await?;
    if context.json {
        context.print_json(&stacks)?;
    } else if context.quiet {
        context.print(&stacks.iter().map(|s| format!("{}\n", s.name)).collect::<String>())?;
    } else {
        let mut table = Table::new(&["NAME", "STATUS", "FILES"]);
        for stack in &stacks {
            let name = Cell::styled(style::BOLD, stack.name.as_str());
            table.row([name, Cell::new(stack.status.as_str()), Cell::new(stack.files.join(", "))]);
        }
        context.print(&table.render(None))?;
    }
    Ok(Exit::Done)
}
