//! A small load: a few clients that keep their connections and a few that make a new one each time, each at a fixed
//! pace, so that it stays the same on any machine.

mod client;

use self::client::{Answer, Connection};
use super::numbers::Tally;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Clients that keep their connection.
const KEEPING: usize = 8;
/// Clients that make a new connection for each request.
const FRESH: usize = 4;
/// Each sends a request this often: 12 clients make 300 requests a second.
const PACE: Duration = Duration::from_millis(40);
/// A request that took longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reasons of failures that are kept.
const REASONS: usize = 3;

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    seen: Arc<Mutex<Seen>>,
    end: CancellationToken,
    clients: JoinSet<()>,
    begun: Instant,
}

/// What the clients have seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// Time each answer took.
    took: Vec<Duration>,
    failed: u64,
    why: Vec<String>,
    /// Answers by version since [`Load::by_version`] was last asked.
    versions: BTreeMap<String, u64>,
    /// Processes that answered, newest last.
    process: Option<i32>,
}

impl Load {
    /// Begins.
    pub fn begin(address: SocketAddr) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let end = CancellationToken::new();
        let mut clients = JoinSet::new();
        for number in 0..KEEPING + FRESH {
            let (seen, end) = (seen.clone(), end.clone());
            clients.spawn(async move { send(address, number, number < KEEPING, &seen, &end).await });
        }
        Self { seen, end, clients, begun: Instant::now() }
    }

    /// Answers by version since this was last asked.
    pub fn by_version(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lock().versions)
    }

    /// A process that answered.
    pub fn process(&self) -> Option<i32> {
        self.lock().process
    }

    /// So far.
    pub fn tally(&self) -> Tally {
        let seen = self.lock();
        let mut took = seen.took.clone();
        took.sort_unstable();
        let at =
            |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied();
        let answered = u64::try_from(took.len()).unwrap_or(u64::MAX);
        let requests = answered + seen.failed;
        #[allow(clippy::cast_precision_loss)] // A few thousand.
        let rate = requests as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        Tally {
            requests,
            failed: seen.failed,
            why: seen.why.clone(),
            median: at(50).unwrap_or_default(),
            p99: at(99).unwrap_or_default(),
            rate,
        }
    }

    /// Ends once every request under way is answered.
    pub async fn end(mut self) -> Tally {
        let tally_rate = self.tally().rate;
        self.end.cancel();
        while self.clients.join_next().await.is_some() {}
        Tally { rate: tally_rate, ..self.tally() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(address: SocketAddr, number: usize, keep: bool, seen: &Mutex<Seen>, end: &CancellationToken) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Not all at once.
    tokio::time::sleep(
        PACE * u32::try_from(number).unwrap_or(0) / u32::try_from(KEEPING + FRESH).unwrap_or(1),
    )
    .await;
    let mut kept: Option<Connection> = None;
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            () = end.cancelled() => return,
        }
        let begun = Instant::now();
        let asked = tokio::time::timeout(PATIENCE, ask(address, &mut kept, keep)).await;
        let took = begun.elapsed();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match asked.unwrap_or_else(|_| Err("no answer in time".into())) {
            Ok(answer) => {
                seen.took.push(took);
                seen.process = answer.process.or(seen.process);
                *seen.versions.entry(answer.version).or_default() += 1;
            }
            Err(why) => {
                kept = None;
                seen.failed += 1;
                if seen.why.len() < REASONS && !seen.why.contains(&why) {
                    seen.why.push(why);
                }
            }
        }
    }
}

async fn ask(address: SocketAddr, kept: &mut Option<Connection>, keep: bool) -> Result<Answer, String> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address).await.map_err(|error| format!("cannot connect: {error}"))?,
    };
    let answer = connection.get("/", keep).await?;
    if keep && !answer.closes {
        *kept = Some(connection);
    }
    Ok(answer)
}
