//! `mainstay edge`: the process that holds the listening sockets. Started by the agent.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::logging;
use crate::render::error::chain;
use clap::{Args, Subcommand};
use mainstay_edge::{Config, User};
use std::path::PathBuf;

/// Hold the listening sockets and pass requests on; started by the agent
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EdgeArgs {
    #[command(subcommand)]
    command: Option<EdgeCommand>,
    /// Where to make the control socket
    #[arg(long, value_name = "PATH", required = true)]
    control: Option<PathBuf>,
    /// Where the route table is kept
    #[arg(long, value_name = "PATH", required = true)]
    table: Option<PathBuf>,
    /// Threads; one per core when absent
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// User to become, when started as root
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// What is asked of the edge's files.
#[derive(Debug, Subcommand)]
enum EdgeCommand {
    /// Print the root certificate of the edge's own authority (`tls: internal`), as PEM
    RootCa,
}

/// Runs the process, or a command about it.
///
/// # Errors
/// It cannot start; the file cannot be read.
pub fn run(args: EdgeArgs, context: &Context) -> Result<Exit, Error> {
    let EdgeArgs { command, control, table, workers, user } = args;
    if let Some(EdgeCommand::RootCa) = command {
        return root_ca(context);
    }
    logging::begin();
    let (control, table) = (control.unwrap_or_default(), table.unwrap_or_default());
    let workers = workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let user = user.as_deref().map(User::named).transpose().map_err(|error| failed(&error))?;
    mainstay_edge::run(Config { control, table, workers, user }).map_err(|error| failed(&error))?;
    Ok(Exit::Done)
}

/// Prints the root that clients are to trust. The file is in a directory of the edge's user, so this is for root or for
/// whoever runs the agent.
fn root_ca(context: &Context) -> Result<Exit, Error> {
    let path = context.state_dir.join("edge/tls/root.pem");
    let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    context.print(&text)?;
    Ok(Exit::Done)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Service { message: error.to_string(), code: None, causes: chain(error) }
}
