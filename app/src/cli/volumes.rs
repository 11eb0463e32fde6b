//! `mainstay volumes`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::table::{Cell, Table};
use clap::{Args, ValueEnum};
use mainstay_api::VolumeView;

/// List the volumes of the stack
#[derive(Debug, Args)]
pub struct VolumesArgs {
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
pub async fn run(args: VolumesArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let views: Vec<VolumeView> = client.get(&format!("/v1/stacks/{stack}/volumes")).await?;
    if context.json || args.format == Format::Json {
        context.print_json(&views)?;
    } else if context.quiet {
        return context.print_names(&views.into_iter().map(|view| view.name).collect::<Vec<_>>());
    } else {
        let mut table = Table::new(&["DRIVER", "NAME", "KEY", "MOUNTPOINT"]);
        for view in views {
            table.row([view.driver, view.name, view.key, view.mountpoint].map(Cell::new));
        }
        context.print(&table.render(None))?;
    }
    Ok(Exit::Done)
}
