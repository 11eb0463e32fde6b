//! `mainstay volumes`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::format::{Format, Row};
use crate::render::table::{Cell, Table};
use clap::Args;
use mainstay_api::VolumeView;

/// List the volumes of the stack
#[derive(Debug, Args)]
pub struct VolumesArgs {
    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, default_value = "table")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: VolumesArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let views: Vec<VolumeView> = client.get(&format!("/v1/stacks/{stack}/volumes")).await?;
    if context.json {
        context.print_json(&views)?;
    } else if context.quiet {
        return context.print_names(&views.into_iter().map(|view| view.name).collect::<Vec<_>>());
    } else if args.format != Format::Table {
        let rows: Vec<Row> = views.iter().map(row).collect();
        context.print_rows(&args.format, &rows, &FIELDS)?;
    } else {
        let mut table = Table::new(&["DRIVER", "NAME", "KEY", "MOUNTPOINT"]);
        for view in views {
            table.row([view.driver, view.name, view.key, view.mountpoint].map(Cell::new));
        }
        context.print(&table.render(None))?;
    }
    Ok(Exit::Done)
}

/// What a template may name.
const FIELDS: [&str; 4] = ["Name", "Driver", "Mountpoint", "Labels"];

fn row(view: &VolumeView) -> Row {
    let labels = format!("com.docker.compose.volume={}", view.key);
    let values = [&view.name, &view.driver, &view.mountpoint, &labels];
    FIELDS.iter().zip(values).map(|(field, value)| ((*field).to_owned(), value.as_str().into())).collect()
}
