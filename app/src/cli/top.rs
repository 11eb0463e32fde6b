//! `mainstay top`.

use crate::context::{Context, service_names};
use crate::error::Error;
use crate::exit::Exit;
use crate::render::table::{Cell, Table};
use clap::Args;
use mainstay_api::{ProcessesView, ServicesRequest};

/// Show the processes of containers
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Only of these services
    services: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: TopArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let request = ServicesRequest { services: service_names(&args.services)?, timeout: None };
    let views: Vec<ProcessesView> = client.post(&format!("/v1/stacks/{stack}/top"), &request).await?;
    if context.json {
        context.print_json(&views)?;
        return Ok(Exit::Done);
    }
    let titles = views.first().map(|view| view.titles.clone()).unwrap_or_default();
    let head: Vec<String> = ["SERVICE".to_owned(), "INSTANCE".to_owned()].into_iter().chain(titles).collect();
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for view in &views {
        for process in &view.processes {
            let whose = [view.service.to_string(), view.name.clone()];
            table.row(whose.into_iter().chain(process.iter().cloned()).map(Cell::new));
        }
    }
    context.print(&table.render(None))?;
    Ok(Exit::Done)
}
