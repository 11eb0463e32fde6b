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
    /// Where the control socket and the route table are
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
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
    let EdgeArgs { dir, workers, user } = args;
    let workers = workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let user = user.as_deref().map(User::named).transpose().map_err(|error| failed(&error))?;
    let config = Config { control: dir.join("control.sock"), table: dir.join("table.json"), workers, user };
    mainstay_edge::run(config).map_err(|error| failed(&error))?;
    Ok(Exit::Done)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Service { message: error.to_string(), code: None, causes: chain(error) }
}
