//! `mainstay agent`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::logging;
use crate::render::error::chain;
use clap::Args;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use tokio::signal::unix::{SignalKind, signal};

/// The agent waits for others nearly all of its time.
const THREADS: usize = 2;

/// Run the agent in the foreground
///
/// Ends on SIGTERM and Ctrl-C; services and the edge go on. Started again, it takes over what runs.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Where to serve HTTP, over what the stacks say
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Docker Engine, such as unix:///var/run/docker.sock
    #[arg(long, value_name = "URL", env = "DOCKER_HOST")]
    docker_host: Option<String>,
    /// User that the edge becomes, when started as root [default: mainstay-edge, where there is one]
    #[arg(long, value_name = "USER")]
    edge_user: Option<String>,
}

/// The user that `install` makes for the edge.
pub const EDGE_USER: &str = "mainstay-edge";

/// Runs the command.
///
/// # Errors
/// Any.
pub fn run(args: AgentArgs, context: &Context) -> Result<Exit, Error> {
    logging::begin();
    let AgentArgs { http, docker_host, edge_user } = args;
    let is_root = rustix::process::geteuid().is_root();
    let edge_user = match edge_user {
        Some(user) => Some(user).filter(|user| !user.is_empty()),
        None => Some(EDGE_USER.to_owned()).filter(|user| is_root && super::install::user_exists(user)),
    };
    let exe = std::env::current_exe().map_err(Error::file("find", "the program itself"))?;
    let state_dir = context.state_dir.clone();
    let unusable = |source| Error::StateDir { path: context.state_dir.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&state_dir).map_err(unusable)?;
    let config = mainstay_agent::Config { state_dir, exe, docker_host, http, edge_user };
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let threads = threads.map_err(|source| Error::Process { what: "the agent cannot run".into(), source })?;
    threads.block_on(until_told(mainstay_agent::run(config)))?;
    // What still reads a log or an exec ends with the process.
    threads.shutdown_background();
    Ok(Exit::Done)
}

/// Runs the agent until it ends by itself or is told to by a signal.
async fn until_told(agent: impl Future<Output = Result<(), mainstay_agent::Error>>) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Terminal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    tokio::select! {
        ended = agent => ended.map_err(|error| Error::Service {
            message: error.to_string(),
            code: Some(error.code().to_owned()),
            causes: chain(&error),
        }),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
