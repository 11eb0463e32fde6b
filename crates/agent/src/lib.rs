//! The agent: carries out what `plan` decides, through `host` and `edge`, and answers the control API.
//!
//! One task per stack decides, one task per service acts and probes; they meet by messages only. Whatever has to
//! survive the agent's death is in the journal before anything is done because of it.

mod carry;
mod clock;
mod crash;
mod deploy;
mod edge;
mod error;
mod hook;
mod http;
mod images;
mod observe;
mod outside;
mod preflight;
mod preview;
mod probe;
mod quiet;
mod runtimes;
mod service;
mod sites;
mod stack;
mod view;
mod waiters;

pub use error::Error;

use edge::Edge;
use mainstay_host::journal::Journal;
use mainstay_host::sites::Sites;
use mainstay_model::StackName;
use runtimes::Runtimes;
use stack::StackHandle;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// What the agent has to be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything that must survive is kept.
    pub state_dir: PathBuf,
    /// This program, to start edges and shims with.
    pub exe: PathBuf,
    /// The Docker Engine, in the form of `DOCKER_HOST`; found by itself when absent.
    pub docker_host: Option<String>,
    /// Where HTTP is served when a stack does not say; `None`: port 80, or 8080 without the right to it.
    pub http: Option<SocketAddr>,
    /// Who the edge becomes when the agent is root.
    pub edge_user: Option<String>,
}

/// What all tasks share.
pub(crate) struct Agent {
    pub config: Config,
    pub journal: Journal,
    pub runtimes: Runtimes,
    pub sites: Sites,
    pub edge: Edge,
    pub http: SocketAddr,
    pub shutdown: CancellationToken,
    stacks: Mutex<BTreeMap<StackName, StackHandle>>,
}

impl Agent {
    /// The stack called `name`, begun to be watched if it was not yet.
    pub async fn stack(self: &Arc<Self>, name: &StackName) -> Result<StackHandle, Error> {
        if let Some(handle) = self.known(name) {
            return Ok(handle);
        }
        let made = stack::start(self, name).await?;
        let mut stacks = self.stacks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(stacks.entry(name.clone()).or_insert(made).clone())
    }

    /// The stack called `name`, if there ever was one.
    pub fn known(&self, name: &StackName) -> Option<StackHandle> {
        self.stacks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned()
    }

    /// All stacks.
    pub fn all(&self) -> Vec<StackHandle> {
        let stacks = self.stacks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stacks.values().cloned().collect()
    }
}

/// Runs the agent until it is told to end. Services and edge go on without it.
///
/// # Errors
/// When it cannot start: another agent, an unwritable or full state directory, a damaged journal.
pub async fn run(config: Config) -> Result<(), Error> {
    let journal = Journal::open(&config.state_dir)?;
    let shutdown = CancellationToken::new();
    let http = config.http.unwrap_or_else(edge::default_http);
    let edge = Edge::start(&config, shutdown.clone())?;
    let runtimes = Runtimes::new(&config);
    runtimes.native.tidy().await?;
    let known = journal.stacks().await?;
    let stacks = Mutex::default();
    let sites = Sites::new(&config.state_dir);
    let agent =
        Arc::new(Agent { config, journal, runtimes, sites, edge, http, shutdown: shutdown.clone(), stacks });
    let socket = http::listen(&agent.config.state_dir)?;
    let keeper = Arc::clone(&agent);
    tokio::spawn(async move { keeper.edge.keep().await });
    for name in &known {
        agent.stack(name).await?;
    }
    tracing::info!(stacks = known.len(), "the agent runs");
    http::serve(Arc::clone(&agent), socket, shutdown).await;
    Ok(())
}
