//! The one edge of this host: started when it is not there, given the parts of all stacks as one table.
//!
//! Every stack hands in its part; the parts are kept on disk, so that an agent that comes back adds to what is in
//! force instead of replacing it.

mod keep;
mod keys;
mod parts;
mod process;
mod sockets;

use self::keys::Keys;
use self::parts::{Parts, merged, read_parts, write_parts};
use self::process::Process;
use self::sockets::missing;
use crate::{Config, Error, crash};
use mainstay_edge::control::Client;
use mainstay_edge::{User, listen};
use mainstay_model::table::{EdgeStatus, Listener, RouteTable};
use mainstay_model::{Seen, StackName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longest wait for an edge that was just started and neither answers nor ends; it needs some 20 ms.
const START: Duration = Duration::from_secs(10);
/// Pause between attempts to reach it.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest that a look waits for an edge that is just being started or given a table; the next look will see it.
const LOOK: Duration = Duration::from_millis(500);

/// The way to the edge.
pub(crate) struct Edge {
    dir: PathBuf,
    exe: PathBuf,
    user: Option<String>,
    /// Copies of what its user may not read.
    keys: Option<Keys>,
    workers: usize,
    shutdown: CancellationToken,
    /// What every stack wants, as last put in force.
    parts: Mutex<Parts>,
    link: tokio::sync::Mutex<Link>,
    /// Whether there has to be an edge; false also from the moment it is ended on purpose.
    wanted: watch::Sender<bool>,
    /// Counts the times that an edge which had died was replaced.
    revivals: watch::Sender<u64>,
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
        let user =
            config.edge_user.as_deref().map(|name| give_to(&config.state_dir, &dir, name)).transpose()?;
        let keys = user.map(|user| Keys::new(&config.state_dir, user));
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let parts = read_parts(&dir);
        let (exe, user) = (config.exe.clone(), config.edge_user.clone());
        let wanted = watch::Sender::new(parts.want_an_edge());
        let (parts, link) = (Mutex::new(parts), tokio::sync::Mutex::default());
        let revivals = watch::Sender::new(0);
        Ok(Self { dir, exe, user, keys, workers, shutdown, parts, link, wanted, revivals })
    }

    /// The part of `stack` that is in force, as far as is known.
    pub fn part(&self, stack: &StackName) -> Option<RouteTable> {
        let parts = self.lock();
        Some(parts.stacks.get(stack).cloned().unwrap_or_default())
    }

    /// What the edge says of itself; nothing is started for it.
    pub async fn status(&self) -> Seen<EdgeStatus> {
        if !self.lock().want_an_edge() {
            return Seen::Known(EdgeStatus::default());
        }
        let Ok(mut link) = tokio::time::timeout(LOOK, self.link.lock()).await else {
            return Seen::Unknown("it is being started".into());
        };
        let wanted = self.lock().clone();
        match self.ask(&mut link).await {
            Ok(status) if status.version == wanted.version => Seen::Known(status),
            // An agent before us died between telling the edge and writing down what it had told it; or the edge lost
            // its table.
            Ok(_) => match self.settle(&mut link, wanted).await {
                Ok(()) => {
                    self.ask(&mut link).await.map_or_else(|e| Seen::Unknown(e.to_string()), Seen::Known)
                }
                Err(error) => Seen::Unknown(error.to_string()),
            },
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }

    /// What the edge has counted, as Prometheus text; empty where no edge runs.
    ///
    /// # Errors
    /// There should be one, and it does not answer.
    pub async fn metrics(&self) -> Result<String, Error> {
        if !self.lock().want_an_edge() {
            return Ok(String::new());
        }
        let mut link = self.link.lock().await;
        self.reach(&mut link).await?;
        let Some(client) = link.client.as_mut() else { return Err(Error::Edge("it has gone".into())) };
        match client.metrics().await {
            Ok(text) => Ok(text),
            Err(error) => {
                link.client = None;
                Err(Error::Edge(error.to_string()))
            }
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
        if let Err(error) = self.settle(&mut link, wanted).await {
            tracing::warn!(%error, "cannot take a stack's routes away");
        }
    }

    /// Ends the edge, for a host that is to be left as it was.
    pub async fn end(&self) {
        self.wanted.send_replace(false);
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
        // Without an edge nothing is listened on.
        let _ = self.reach(&mut link).await;
        for address in addresses {
            if !link.sockets.contains_key(address) {
                listen::bind(*address, 1).map_err(|error| port_error(*address, &error))?;
            }
        }
        Ok(())
    }

    /// Whether an edge can be had at all: starts it when it is not there.
    ///
    /// # Errors
    /// It does not start; the last lines it wrote are in the message.
    pub async fn prove(&self) -> Result<(), Error> {
        let mut link = self.link.lock().await;
        self.ensure(&mut link).await.map(drop)
    }

    async fn settle(&self, link: &mut Link, mut wanted: Parts) -> Result<(), Error> {
        let any = wanted.want_an_edge();
        if any || self.reach(link).await.is_ok() {
            self.push(link, &mut wanted).await?;
        } else {
            wanted.version += 1;
        }
        crash::point("between edge and disk");
        write_parts(&self.dir, &wanted)?;
        if let Some(keys) = &self.keys {
            keys.forget_others(&wanted.key_files());
        }
        *self.lock() = wanted;
        self.wanted.send_replace(any);
        Ok(())
    }

    /// Gives the edge the table of `wanted`, newer than any before, with the sockets that it lacks.
    async fn push(&self, link: &mut Link, wanted: &mut Parts) -> Result<(), Error> {
        let status = self.ensure(link).await?;
        wanted.version = wanted.version.max(status.version) + 1;
        let table = self.table_of(wanted);
        let mut fresh = Vec::new();
        for listener in &table.listeners {
            let held = link.sockets.get(&listener.address).map_or(&[][..], |held| held);
            let missing = missing(listener, held, self.workers);
            let missing = missing.map_err(|error| port_error(listener.address, &error))?;
            if !missing.is_empty() {
                fresh.push((listener.address, missing));
            }
        }
        let Some(client) = link.client.as_mut() else { return Err(Error::Edge("it has gone".into())) };
        if let Err(error) = client.apply(&table, &fresh).await {
            link.client = None;
            return Err(Error::Edge(error.to_string()));
        }
        for (address, sockets) in fresh {
            link.sockets.entry(address).or_default().extend(sockets);
        }
        link.sockets.retain(|address, held| {
            let listener = table.listeners.iter().find(|listener| listener.address == *address);
            held.retain(|socket| {
                listener.is_some_and(Listener::speaks_http3) || !listen::is_datagrams(socket)
            });
            listener.is_some()
        });
        Ok(())
    }

    /// What the edge is told, with files where its user can read them.
    fn table_of(&self, parts: &Parts) -> RouteTable {
        let mut table = merged(parts);
        if let Some(keys) = &self.keys {
            keys.refresh(&table.tls.files);
            table.tls.files = table.tls.files.iter().map(|files| keys.copies_of(files)).collect();
        }
        table
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

    /// Connects, and takes copies of its sockets at once: whoever holds them keeps connections waiting when it dies.
    async fn reach(&self, link: &mut Link) -> Result<(), Error> {
        if link.client.is_none() {
            let client = Client::connect(&self.socket()).await.map_err(|e| Error::Edge(e.to_string()))?;
            link.client = Some(client);
            self.adopt(link).await;
        }
        Ok(())
    }

    /// Reaches the edge, starting it when it is not there. Sockets held here keep their connections waiting.
    async fn ensure(&self, link: &mut Link) -> Result<EdgeStatus, Error> {
        // The first may fail for having spoken to one that has died.
        for _ in 0..2 {
            if let Ok(status) = self.ask(link).await {
                return Ok(status);
            }
        }
        let mut process = Process::start(&self.exe, &self.dir, self.workers, self.user.as_deref())?;
        tokio::select! {
            biased;
            () = self.appear(link) => {}
            died = process.death() => return Err(died),
            () = tokio::time::sleep(START) => return Err(process.mute()),
            () = self.shutdown.cancelled() => return Err(Error::Ending),
        }
        // It may have bound what nobody held; what we hold is handed to it now.
        let held: Vec<_> = std::mem::take(&mut link.sockets).into_iter().collect();
        let gone = || Error::Edge("it has gone".into());
        let client = link.client.as_mut().ok_or_else(gone)?;
        let version = client.status().await.map_err(|e| Error::Edge(e.to_string()))?.version;
        let mut table = self.table_of(&self.lock().clone());
        table.version = table.version.max(version);
        let applied = client.apply(&table, &held).await;
        link.sockets = held.into_iter().collect();
        applied.map_err(|e| Error::Edge(e.to_string()))?;
        self.adopt(link).await;
        self.ask(link).await
    }

    /// Ends when a new edge can be spoken to.
    async fn appear(&self, link: &mut Link) {
        while self.reach(link).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The edge's own user may write to the edge's directory, and pass through the state directory but not read it.
fn give_to(state_dir: &Path, dir: &Path, name: &str) -> Result<User, Error> {
    let user = User::named(name).map_err(|e| Error::Edge(e.to_string()))?;
    let error = |path: &Path, source| Error::File { what: "hand over", path: path.to_owned(), source };
    std::os::unix::fs::chown(dir, Some(user.uid), Some(user.gid)).map_err(|e| error(dir, e))?;
    let passable = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(state_dir, passable).map_err(|e| error(state_dir, e))?;
    Ok(user)
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
