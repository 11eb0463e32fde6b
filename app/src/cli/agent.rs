//! `mainstay agent`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::logging;
use crate::render::error::chain;
use clap::Args;
use std::net::SocketAddr;

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
    let _ = (http, docker_host, edge_user, exe, context, chain);
    Err(Error::Service { message: "this build has no agent".into(), code: None, causes: vec![] })
}
