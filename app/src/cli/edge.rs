//! `mainstay edge`: the process that holds the listening sockets. Started by the agent.

use crate::error::Error;
use crate::exit::Exit;
use crate::logging;
use crate::render::error::chain;
use clap::Args;
use mainstay_edge::{Config, User};
use std::path::PathBuf;

/// Hold the listening sockets and pass requests on; started by the agent
#[derive(Debug, Args)]
pub struct EdgeArgs {
    /// Where to make the control socket
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
    /// Where the route table is kept
    #[arg(long, value_name = "PATH")]
    table: PathBuf,
    /// Threads; one per core when absent
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// User to become, when started as root
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Runs the process.
///
/// # Errors
/// It cannot start.
pub fn run(args: EdgeArgs) -> Result<Exit, Error> {
    logging::begin();
    let EdgeArgs { control, table, workers, user } = args;
    let workers = workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let user = user.as_deref().map(User::named).transpose().map_err(|error| failed(&error))?;
    mainstay_edge::run(Config { control, table, workers, user }).map_err(|error| failed(&error))?;
    Ok(Exit::Done)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Service { message: error.to_string(), code: None, causes: chain(error) }
}
