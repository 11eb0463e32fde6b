//! `mainstay stats`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::format::{Format, Row};
use crate::render::table::{Cell, Table};
use crate::render::words;
use clap::Args;
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
    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, default_value = "table")]
    format: Format,
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
        if context.json {
            context.print_json_line(&instances)?;
        } else if args.format != Format::Table {
            let rows: Vec<Row> = instances.iter().map(|i| row(i)).collect();
            context.print_rows(&args.format, &rows, &FIELDS)?;
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

/// What a template may name.
const FIELDS: [&str; 9] =
    ["ID", "Container", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

fn row(instance: &InstanceView) -> Row {
    let Shown { name, cpu, memory, share, network, block, pids } = Shown::of(instance);
    let id = instance.handle.get(..12).unwrap_or(&instance.handle).to_owned();
    let values = [id.clone(), id, name, cpu, memory, share, network, block, pids];
    FIELDS.iter().zip(values).map(|(field, value)| ((*field).to_owned(), value.into())).collect()
}

/// The readings of one instance, in words.
struct Shown {
    name: String,
    cpu: String,
    memory: String,
    share: String,
    network: String,
    block: String,
    pids: String,
}

impl Shown {
    fn of(instance: &InstanceView) -> Self {
        let pair = |both: Option<(u64, u64)>| {
            both.map(|(a, b)| format!("{} / {}", words::bytes(a), words::bytes(b))).unwrap_or_default()
        };
        let memory = instance.memory.map(words::bytes).unwrap_or_default();
        let limit = instance.memory_limit.map(|limit| format!(" / {}", words::bytes(limit)));
        let share = match (instance.memory, instance.memory_limit) {
            // Shares are for people: what a float loses is below a page.
            #[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
            (Some(used), Some(limit)) if limit > 0 => format!("{:.2}%", 100.0 * used as f64 / limit as f64),
            _ => String::new(),
        };
        Self {
            name: instance.name.clone(),
            cpu: instance.cpu_percent.map(|cpu| format!("{cpu:.2}%")).unwrap_or_default(),
            memory: memory + &limit.unwrap_or_default(),
            share,
            network: pair(instance.network),
            block: pair(instance.block),
            pids: instance.pids.map(|pids| pids.to_string()).unwrap_or_default(),
        }
    }
}

fn table(instances: &[&InstanceView]) -> String {
    let mut table =
        Table::new(&["NAME", ">CPU %", "MEM USAGE / LIMIT", ">MEM %", "NET I/O", "BLOCK I/O", ">PIDS"]);
    for instance in instances {
        let Shown { name, cpu, memory, share, network, block, pids } = Shown::of(instance);
        table.row([name, cpu, memory, share, network, block, pids].map(Cell::new));
    }
    table.render(None)
}
