//! `mainstay eject`.

use super::agent::EDGE_USER;
use super::install::{self, PROGRAM, UNIT};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Interrupt, follow};
use crate::place;
use crate::render::style;
use clap::Args;
use mainstay_api::{AgentInfo, Client, StackSummary, StackView};
use mainstay_model::StackName;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long agent and edge may take to end: the edge finishes nothing, for nothing is sent to it any more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Give the stack back to Docker Compose
///
/// Containers whose ports the edge holds are made anew as `docker compose up` makes them, each beside the one that
/// serves until the port changes hands; everything else goes on untouched. When no other stack is left, agent and edge
/// end, and their state, certificates, unit and user go. `docker compose up -d` then finds nothing to do.
#[derive(Debug, Args)]
pub struct EjectArgs {}

/// Runs the command.
///
/// # Errors
/// Compose could not run the stack, or any other.
pub async fn run(args: EjectArgs, context: &Context) -> Result<Exit, Error> {
    let EjectArgs {} = args;
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    if Path::new(UNIT).exists() {
        install::must_be_root("eject")?;
    }
    say_what_ends(context, &client, &stack).await?;
    let nothing = serde_json::json!({});
    let lines = client.post_lines(&format!("/v1/stacks/{stack}/eject"), &nothing).await?;
    follow(context, &client, &stack, lines, Interrupt::Detach).await?;
    let all: Vec<StackSummary> = client.get("/v1/stacks").await?;
    let gone = |other: &StackSummary| matches!(other.status.as_str(), "down" | "ejected");
    let others: Vec<String> = all.iter().filter(|s| !gone(s)).map(|s| s.name.to_string()).collect();
    if !others.is_empty() {
        context.remark(&format!("agent and edge stay for {}\n", others.join(", ")))?;
        return Ok(Exit::Done);
    }
    end(&client).await?;
    if Path::new(UNIT).exists() {
        uninstall()?;
    }
    forget(&context.state_dir)?;
    context.remark("agent and edge have ended; nothing of Mainstay is left\n")?;
    Ok(Exit::Done)
}

/// Routes are the edge's: nobody serves them afterwards.
async fn say_what_ends(context: &Context, client: &Client, stack: &StackName) -> Result<(), Error> {
    let view: StackView = client.get(&format!("/v1/stacks/{stack}")).await?;
    let routes: Vec<String> = view
        .services
        .iter()
        .flat_map(|service| service.routes.iter().map(|route| route.from.clone()))
        .collect();
    if routes.is_empty() || context.quiet || context.json {
        return Ok(());
    }
    let (warning, routes) = (style::paint(style::BUSY, "from now on nobody serves"), routes.join(", "));
    context.remark(&format!("{warning} {routes}\n"))
}

/// Ends agent and edge, and waits until they have.
async fn end(client: &Client) -> Result<(), Error> {
    let info: AgentInfo = client.get("/v1/info").await?;
    let _told: bool = client.post("/v1/shutdown?edge=true", &serde_json::json!({})).await?;
    let begun = Instant::now();
    for pid in [Some(info.pid), info.edge_pid].into_iter().flatten() {
        while runs(pid) {
            if begun.elapsed() > PATIENCE {
                let source = io::Error::new(io::ErrorKind::TimedOut, "it was told to, and still runs");
                return Err(Error::Process { what: format!("process {pid} does not end"), source });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Whether the process still does something; one that has ended waits for its parent as a zombie.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// What `install` put on this machine. The program may be the one that runs now.
fn uninstall() -> Result<(), Error> {
    install::remove_unit()?;
    if install::user_exists(EDGE_USER) {
        install::command("userdel", &[EDGE_USER])?;
    }
    match fs::remove_file(PROGRAM) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", PROGRAM)(error)),
        _ => Ok(()),
    }
}

/// Removes what the agent keeps, and its directory unless others keep something there.
fn forget(state_dir: &Path) -> Result<(), Error> {
    for name in place::KEPT {
        let path = state_dir.join(name);
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &path)(error));
            }
            _ => {}
        }
    }
    // Not empty: what others put there is theirs.
    let _theirs = fs::remove_dir(state_dir);
    Ok(())
}
