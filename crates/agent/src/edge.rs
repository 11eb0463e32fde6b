//! The one edge of this host: started when it is not there, given the parts of all stacks as one table.
//!
//! Every stack hands in its part; the parts are kept on disk, so that an agent that comes back adds to what is in
//! force instead of replacing it.

use crate::{Config, Error};
use mainstay_edge::control::Client;
use mainstay_edge::listen;
use mainstay_model::table::{EdgeStatus, RouteTable};
use mainstay_model::{Seen, StackName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest wait for an edge that was just started.
const START: Duration = Duration::from_secs(10);
/// Pause between attempts to reach it.
const PAUSE: Duration = Duration::from_millis(20);

/// The way to the edge.
pub(crate) struct Edge {
    dir: PathBuf,
    exe: PathBuf,
    user: Option<String>,
    workers: usize,
    shutdown: CancellationToken,
    /// What every stack wants, as last put in force.
    parts: Mutex<Parts>,
    link: tokio::sync::Mutex<Link>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Parts {
    version: u64,
    stacks: BTreeMap<StackName, RouteTable>,
}

/// The conversation with the edge, and the sockets that are held for it.
#[derive(Default)]
struct Link {
    client: Option<Client>,
    sockets: BTreeMap<SocketAddr, Vec<OwnedFd>>,
    pid: Option<u32>,
}

impl Edge {
    /// Reads what was in force; the edge itself is started when there is something for it to do.
    pub fn start(config: &Config, shutdown: CancellationToken) -> Result<Self, Error> {
        let dir = config.state_dir.join("edge");
        let made = std::fs::create_dir_all(&dir);
        made.map_err(|source| Error::File { what: "make", path: dir.clone(), source })?;
        if let Some(name) = &config.edge_user {
            give_to(&config.state_dir, &dir, name)?;
        }
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let parts = Mutex::new(read_parts(&dir));
        let (exe, user) = (config.exe.clone(), config.edge_user.clone());
        Ok(Self { dir, exe, user, workers, shutdown, parts, link: tokio::sync::Mutex::default() })
    }

    /// The part of `stack` that is in force, as far as is known.
    pub fn part(&self, stack: &StackName) -> Option<RouteTable> {
        let parts = self.lock();
        Some(parts.stacks.get(stack).cloned().unwrap_or_default())
    }

    /// What the edge says of itself; nothing is started for it.
    pub async fn status(&self) -> Seen<EdgeStatus> {
        let wanted = self.lock().clone();
        if wanted.stacks.values().all(|part| part.listeners.is_empty() && part.upstreams.is_empty()) {
            return Seen::Known(EdgeStatus::default());
        }
        let mut link = self.link.lock().await;
        match self.ask(&mut link).await {
            Ok(status) if status.version == wanted.version => Seen::Known(status),
            Ok(_) => match self.push(&mut link, &wanted).await {
                Ok(()) => {
                    self.ask(&mut link).await.map_or_else(|e| Seen::Unknown(e.to_string()), Seen::Known)
                }
                Err(error) => Seen::Unknown(error.to_string()),
            },
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }

    /// The edge's process id, where known.
    pub async fn pid(&self) -> Option<u32> {
        self.link.lock().await.pid
    }

    /// Puts `part` in force for `stack`.
    ///
    /// # Errors
    /// [`Error::Port`] when a socket cannot be had; nothing has changed then.
    pub async fn apply(&self, stack: &StackName, part: &RouteTable) -> Result<(), Error> {
        let mut link = self.link.lock().await;
        let mut wanted = self.lock().clone();
        wanted.version += 1;
        wanted.stacks.insert(stack.clone(), part.clone());
        self.settle(&mut link, wanted).await
    }

    /// Takes away all of `stack`.
    pub async fn forget(&self, stack: &StackName) {
        let mut link = self.link.lock().await;
        let mut wanted = self.lock().clone();
        if wanted.stacks.remove(stack).is_none() {
            return;
        }
        wanted.version += 1;
        if let Err(error) = self.settle(&mut link, wanted).await {
            tracing::warn!(%error, "cannot take a stack's routes away");
        }
    }

    /// Ends the edge, for a host that is to be left as it was.
    pub async fn end(&self) {
        let mut link = self.link.lock().await;
        if self.reach(&mut link).await.is_ok()
            && let Some(client) = link.client.as_mut()
            && let Err(error) = client.shutdown(Duration::from_secs(1)).await
        {
            tracing::warn!(%error, "the edge did not end");
        }
        link.client = None;
    }

    /// Whether every address in `addresses` can be listened on, or is already; says who holds it where not.
    pub async fn can_listen(&self, addresses: &BTreeSet<SocketAddr>) -> Result<(), Error> {
        let mut link = self.link.lock().await;
        if self.reach(&mut link).await.is_ok() {
            self.adopt(&mut link).await;
        }
        for address in addresses {
            if !link.sockets.contains_key(address) {
                listen::bind(*address, 1).map_err(|error| port_error(*address, &error))?;
            }
        }
        Ok(())
    }

    async fn settle(&self, link: &mut Link, wanted: Parts) -> Result<(), Error> {
        let nothing =
            wanted.stacks.values().all(|part| part.listeners.is_empty() && part.upstreams.is_empty());
        let running = self.reach(link).await.is_ok();
        if !nothing || running {
            self.push(link, &wanted).await?;
        }
        write_parts(&self.dir, &wanted)?;
        *self.lock() = wanted;
        Ok(())
    }

    /// Gives the edge the table of `wanted`, with the sockets that it lacks.
    async fn push(&self, link: &mut Link, wanted: &Parts) -> Result<(), Error> {
        let table = merged(wanted);
        self.ensure(link).await?;
        self.adopt(link).await;
        let mut fresh = Vec::new();
        for listener in &table.listeners {
            if !link.sockets.contains_key(&listener.address) {
                let sockets = listen::bind(listener.address, self.workers);
                fresh
                    .push((listener.address, sockets.map_err(|error| port_error(listener.address, &error))?));
            }
        }
        let Some(client) = link.client.as_mut() else { return Err(Error::Edge("it has gone".into())) };
        if let Err(error) = client.apply(&table, &fresh).await {
            link.client = None;
            return Err(Error::Edge(error.to_string()));
        }
        link.sockets.extend(fresh);
        let used: BTreeSet<_> = table.listeners.iter().map(|l| l.address).collect();
        link.sockets.retain(|address, _| used.contains(address));
        Ok(())
    }

    /// Sockets that the edge listens on already.
    async fn adopt(&self, link: &mut Link) {
        if !link.sockets.is_empty() {
            return;
        }
        if let Some(client) = link.client.as_mut()
            && let Ok(sockets) = client.take_listeners().await
        {
            link.sockets.extend(sockets);
        }
    }

    async fn ask(&self, link: &mut Link) -> Result<EdgeStatus, Error> {
        self.reach(link).await?;
        let Some(client) = link.client.as_mut() else { return Err(Error::Edge("it has gone".into())) };
        match client.status().await {
            Ok(status) => {
                link.pid = Some(status.pid);
                Ok(status)
            }
            Err(error) => {
                link.client = None;
                Err(Error::Edge(error.to_string()))
            }
        }
    }

    async fn reach(&self, link: &mut Link) -> Result<(), Error> {
        if link.client.is_none() {
            let client = Client::connect(&self.socket()).await.map_err(|e| Error::Edge(e.to_string()))?;
            link.client = Some(client);
        }
        Ok(())
    }

    /// Reaches the edge, starting it when it is not there. Sockets held here keep their connections waiting.
    async fn ensure(&self, link: &mut Link) -> Result<(), Error> {
        if let Some(client) = link.client.as_mut()
            && client.status().await.is_ok()
        {
            return Ok(());
        }
        link.client = None;
        if self.reach(link).await.is_ok() {
            return Ok(());
        }
        self.spawn()?;
        let deadline = tokio::time::Instant::now() + START;
        while let Err(error) = self.reach(link).await {
            if tokio::time::Instant::now() > deadline || self.shutdown.is_cancelled() {
                return Err(Error::Edge(format!(
                    "it did not start ({error}); see {}",
                    self.dir.join("edge.log").display()
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
        // The new edge has no socket yet; ours are handed to it with the next table.
        let held = std::mem::take(&mut link.sockets);
        if let Some(client) = link.client.as_mut() {
            let listeners: Vec<_> = held.into_iter().collect();
            let table = merged(&self.lock().clone());
            client.apply(&table, &listeners).await.map_err(|e| Error::Edge(e.to_string()))?;
            link.sockets = listeners.into_iter().collect();
        }
        Ok(())
    }

    /// The edge outlives the agent: a session of its own, output to a file.
    fn spawn(&self) -> Result<(), Error> {
        let log = self.dir.join("edge.log");
        let file = |source| Error::File { what: "write", path: log.clone(), source };
        let out = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(file)?;
        let err = out.try_clone().map_err(file)?;
        let mut command = Command::new(&self.exe);
        command.arg("edge").arg("--control").arg(self.socket());
        command.arg("--table").arg(self.dir.join("table.json"));
        command.arg("--workers").arg(self.workers.to_string());
        if let Some(user) = &self.user {
            command.arg("--user").arg(user);
        }
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0).current_dir("/");
        let mut child = command.spawn().map_err(|source| Error::File {
            what: "start",
            path: self.exe.clone(),
            source,
        })?;
        // Somebody has to take its exit status.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The edge's own user may write to the edge's directory, and pass through the state directory but not read it.
fn give_to(state_dir: &Path, dir: &Path, name: &str) -> Result<(), Error> {
    let user = mainstay_edge::User::named(name).map_err(|e| Error::Edge(e.to_string()))?;
    let error = |path: &Path, source| Error::File { what: "hand over", path: path.to_owned(), source };
    std::os::unix::fs::chown(dir, Some(user.uid), Some(user.gid)).map_err(|e| error(dir, e))?;
    let passable = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(state_dir, passable).map_err(|e| error(state_dir, e))
}

/// Port 80 where that is allowed and free to us, else 8080.
pub(crate) fn default_http() -> SocketAddr {
    let port = if rustix::process::geteuid().is_root() { 80 } else { 8080 };
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

fn port_error(address: SocketAddr, error: &std::io::Error) -> Error {
    let text = error.to_string();
    let shown = address.to_string();
    Error::Port(if text.contains(&shown) { text } else { format!("cannot listen on {shown}: {text}") })
}

/// All parts as one table. A listener that two stacks want is one listener; a TCP port goes to the first that wants it.
fn merged(parts: &Parts) -> RouteTable {
    let mut table = RouteTable { version: parts.version, ..RouteTable::default() };
    let mut seen = BTreeSet::new();
    for part in parts.stacks.values() {
        let fresh = part.listeners.iter().filter(|l| seen.insert(l.address));
        table.listeners.extend(fresh.cloned());
        table.routes.extend(part.routes.iter().cloned());
        table.upstreams.extend(part.upstreams.iter().map(|(key, upstream)| (key.clone(), upstream.clone())));
    }
    table
}

fn read_parts(dir: &Path) -> Parts {
    let text = std::fs::read(dir.join("parts.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Atomic: a crash leaves the old parts or the new ones.
fn write_parts(dir: &Path, parts: &Parts) -> Result<(), Error> {
    let (path, fresh) = (dir.join("parts.json"), dir.join("parts.json.new"));
    let error = |source| Error::File { what: "write", path: path.clone(), source };
    let text = serde_json::to_vec(parts).map_err(|e| error(e.into()))?;
    let file = std::fs::File::create(&fresh).map_err(error)?;
    std::io::Write::write_all(&mut &file, &text).map_err(error)?;
    file.sync_all().map_err(error)?;
    std::fs::rename(&fresh, &path).map_err(error)
}
