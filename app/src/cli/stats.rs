//! `mainstay stats`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::table::{Cell, Table};
use crate::render::words;
use clap::{Args, ValueEnum};
use mainstay_api::{InstanceView, StackView};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Between two readings. A reading itself takes a fifth of a second.
const PAUSE: Duration = Duration::from_millis(800);
/// Moves the cursor to the top left corner and clears what was there.
const HOME: &str = "\x1b[H\x1b[J";

/// Show what instances use, again and again
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Only of this service
    service: Option<String>,
    /// Instances that do not run, too
    #[arg(short, long)]
    all: bool,
    /// One reading only
    #[arg(long)]
    no_stream: bool,
    /// Do not shorten ids; here they never are
    #[arg(long, hide = true)]
    no_trunc: bool,
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
pub async fn run(args: StatsArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    loop {
        let view: StackView = client.get(&format!("/v1/stacks/{stack}")).await?;
        let named = |name: &str| args.service.as_deref().is_none_or(|wanted| wanted == name);
        let services = view.services.iter().filter(|s| named(s.name.as_str()));
        let shown = |i: &&InstanceView| args.all || i.state == "running";
        let instances: Vec<&InstanceView> = services.flat_map(|s| &s.instances).filter(shown).collect();
        if context.json || args.format == Format::Json {
            context.print_json_line(&instances)?;
        } else {
            let clear = if args.no_stream || !std::io::stdout().is_terminal() { "" } else { HOME };
            context.print(&format!("{clear}{}", table(&instances)))?;
        }
        if args.no_stream {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = interrupt.recv() => return Err(Error::Interrupted),
        }
    }
}

fn table(instances: &[&InstanceView]) -> String {
    let mut table =
        Table::new(&["NAME", ">CPU %", "MEM USAGE / LIMIT", ">MEM %", "NET I/O", "BLOCK I/O", ">PIDS"]);
    let pair = |both: Option<(u64, u64)>| {
        both.map(|(a, b)| format!("{} / {}", words::bytes(a), words::bytes(b))).unwrap_or_default()
    };
    for instance in instances {
        let memory = instance.memory.map(words::bytes).unwrap_or_default();
        let limit = instance.memory_limit.map(|limit| format!(" / {}", words::bytes(limit)));
        let share = match (instance.memory, instance.memory_limit) {
            // Shares are for people: what a float loses is below a page.
            #[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
            (Some(used), Some(limit)) if limit > 0 => format!("{:.2}%", 100.0 * used as f64 / limit as f64),
            _ => String::new(),
        };
        table.row([
            Cell::new(instance.name.as_str()),
            Cell::new(instance.cpu_percent.map(|cpu| format!("{cpu:.2}%")).unwrap_or_default()),
            Cell::new(memory + &limit.unwrap_or_default()),
            Cell::new(share),
            Cell::new(pair(instance.network)),
            Cell::new(pair(instance.block)),
            Cell::new(instance.pids.map(|pids| pids.to_string()).unwrap_or_default()),
        ]);
    }
    table.render(None)
}
