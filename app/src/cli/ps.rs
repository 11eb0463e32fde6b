//! `mainstay ps`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::format::{Format, Row};
use crate::render::{stack, words};
use crate::terminal::Terminal;
use clap::{ArgAction, Args, ValueEnum};
use mainstay_api::{InstanceView, ServiceView, StackView};
use serde_json::{Value, json};

/// Show services and instances
///
/// With what matters on one line each: state, health, since when, restarts, CPU, memory of its limit, release, routes.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct PsArgs {
    /// Only these services
    services: Vec<String>,
    /// Ended instances, too
    #[arg(short, long)]
    all: bool,
    /// Names of services only
    #[arg(long = "services")]
    only_services: bool,
    /// Only instances in this state; may be given several times
    #[arg(long, value_enum)]
    status: Vec<Status>,
    /// The same, as `status=STATE`
    #[arg(long, value_name = "status=STATE", value_parser = of_status)]
    filter: Vec<Status>,
    /// Accepted: nothing is shortened where the output is no terminal
    #[arg(long)]
    no_trunc: bool,
    /// Accepted: `up` removes what the file no longer has
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    orphans: bool,
    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Paused,
    Restarting,
    Removing,
    Running,
    Dead,
    Created,
    Exited,
}

/// `status=STATE`, the one filter that Compose has.
fn of_status(text: &str) -> Result<Status, String> {
    let wanted = text.strip_prefix("status=").ok_or("expected status=STATE")?;
    Status::from_str(wanted, false)
}

impl Status {
    fn holds(self, instance: &InstanceView) -> bool {
        self.to_possible_value().is_some_and(|value| value.get_name() == instance.state)
    }
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
    let states: Vec<Status> = args.status.iter().chain(&args.filter).copied().collect();
    if !states.is_empty() {
        for service in &mut view.services {
            service.instances.retain(|i| states.iter().any(|state| state.holds(i)));
        }
        view.services.retain(|s| !s.instances.is_empty());
    }
    // Who asks for a state is shown it.
    let all = args.all || !states.is_empty();
    if args.only_services {
        context.print(&lines(view.services.iter().map(|s| s.name.to_string())))?;
    } else if context.json {
        context.print_json(&view)?;
    } else if context.quiet {
        context.print(&lines(shown(&view, all).map(|(_, i)| i.handle.clone())))?;
    } else if args.format != Format::Table {
        let rows: Vec<Row> = shown(&view, all).map(|(s, i)| row(&view, s, i, words::now())).collect();
        context.print_rows(&args.format, &rows, &FIELDS)?;
    } else {
        let width = context.terminal.table.then(|| usize::from(Terminal::size().1));
        context.print(&stack::text(&view, all, words::now(), width))?;
    }
    Ok(Exit::Done)
}

/// Instances in the order of the services; without `all` those that run.
fn shown(view: &StackView, all: bool) -> impl Iterator<Item = (&ServiceView, &InstanceView)> {
    let pairs = view.services.iter().flat_map(|s| s.instances.iter().map(move |i| (s, i)));
    pairs.filter(move |(_, i)| all || i.state == "running")
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.map(|item| item + "\n").collect()
}

/// What a template may name: of what Compose has, what an agent knows without asking the Engine again.
const FIELDS: [&str; 12] = [
    "ID",
    "Name",
    "Names",
    "Image",
    "Project",
    "Service",
    "State",
    "Status",
    "Health",
    "ExitCode",
    "RunningFor",
    "Ports",
];

fn row(
    view: &StackView,
    service: &ServiceView,
    instance: &InstanceView,
    now: mainstay_model::Timestamp,
) -> Row {
    let since = instance.since.map(|at| words::ago(at, now)).unwrap_or_default();
    // The Engine's words for the health of a container.
    let health = if instance.health == "ready" { "healthy" } else { instance.health.as_str() };
    let status = match (instance.state.as_str(), instance.exit_code) {
        ("running", _) => format!("Up {since}"),
        ("exited", Some(code)) => format!("Exited ({code}) {since} ago"),
        (state, _) => state.to_owned(),
    };
    let ports = service.routes.iter().map(|route| route.from.as_str()).filter(|from| from.starts_with(':'));
    let values: [Value; 12] = [
        json!(instance.handle.get(..12).unwrap_or(&instance.handle)),
        json!(instance.name),
        json!(instance.name),
        json!(service.image.clone().unwrap_or_default()),
        json!(view.name),
        json!(service.name),
        json!(instance.state),
        json!(status),
        json!(health),
        json!(instance.exit_code.unwrap_or(0)),
        json!(since),
        json!(ports.collect::<Vec<_>>().join(", ")),
    ];
    FIELDS.iter().zip(values).map(|(field, value)| ((*field).to_owned(), value)).collect()
}
