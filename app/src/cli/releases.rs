//! `mainstay releases`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::{
    style,
    table::{Cell, Table},
    words,
};
use crate::terminal::Terminal;
use clap::Args;
use mainstay_api::{ReleaseStatus, ReleaseView};

/// List releases
#[derive(Debug, Args)]
pub struct ReleasesArgs {
    /// Only this many, newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: ReleasesArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.client();
    let stack = context.stack_name(&client).await?;
    let mut releases: Vec<ReleaseView> = client.get(&format!("/v1/stacks/{stack}/releases")).await?;
    releases.sort_by_key(|release| std::cmp::Reverse(release.number));
    releases.truncate(args.limit);
    if context.json {
        context.print_json(&releases)?;
        return Ok(Exit::Done);
    }
    if context.quiet {
        let numbers: String = releases.iter().map(|r| format!("{}\n", r.number)).collect();
        context.print(&numbers)?;
        return Ok(Exit::Done);
    }
    let width = context.terminal.table.then(|| usize::from(Terminal::size().1));
    context.print(&table(&releases).render(width))?;
    Ok(Exit::Done)
}

fn table(releases: &[ReleaseView]) -> Table {
    let now = words::now();
    let mut table = Table::new(&[">RELEASE", "STATUS", "MADE", ">AGO", "CHANGES"]);
    for release in releases {
        let (look, status) = match release.status {
            ReleaseStatus::Serving => (style::GOOD, "serving"),
            ReleaseStatus::Deploying => (style::BUSY, "deploying"),
            ReleaseStatus::Superseded => (style::DIM, "superseded"),
            ReleaseStatus::Failed => (style::BAD, "failed"),
            ReleaseStatus::Unused => (style::DIM, "unused"),
        };
        let changes = match &release.failure {
            Some(failure) => Cell::styled(style::BAD, words::tame(failure)),
            None => Cell::new(words::tame(&release.changes.join(", "))),
        };
        table.row([
            Cell::new(release.number.to_string()),
            Cell::styled(look, status),
            Cell::new(words::local(release.created)),
            Cell::new(words::ago(release.created, now)),
            changes,
        ]);
    }
    table
}
