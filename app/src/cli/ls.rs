//! `mainstay ls`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::format::{self, Format};
use crate::render::style;
use crate::render::table::{Cell, Table};
use clap::Args;
use mainstay_api::StackSummary;
use serde_json::json;

/// List stacks
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Accepted: stacks that are down are listed, too
    #[arg(short, long)]
    all: bool,
    /// Only stacks whose name has this in it
    #[arg(long, value_name = "name=TEXT", value_parser = of_name)]
    filter: Vec<String>,
    /// How to print: table or json
    #[arg(long, value_parser = format::plain, default_value = "table")]
    format: Format,
}

/// `name=TEXT`, the one filter that Compose has.
fn of_name(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("name", wanted)) => Ok(wanted.to_owned()),
        _ => Err("expected name=TEXT".into()),
    }
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: LsArgs, context: &Context) -> Result<Exit, Error> {
    let LsArgs { all: _, filter, format } = args;
    let mut stacks: Vec<StackSummary> = context.client().get("/v1/stacks").await?;
    stacks.retain(|stack| filter.is_empty() || filter.iter().any(|text| stack.name.as_str().contains(text)));
    if context.json {
        context.print_json(&stacks)?;
    } else if context.quiet {
        context.print(&stacks.iter().map(|s| format!("{}\n", s.name)).collect::<String>())?;
    } else if format == Format::Json {
        let rows = stacks
            .iter()
            .map(|s| json!({ "Name": s.name, "Status": s.status, "ConfigFiles": s.files.join(",") }));
        context.print_json_line(&rows.collect::<Vec<_>>())?;
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
