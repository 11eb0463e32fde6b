//! The journal: what the agent decided, kept so that a crash at any moment leaves the state before a decision or after
//! it. SQLite in WAL mode, one file, `journal.db` in the state directory.
//!
//! One thread writes, in the order of the calls; a call returns when its transaction is committed. Transitions and
//! releases are synced to the disk first, because things are done on their word; events only survive our own death.
//! Reading has connections of its own and never waits for the writer.
//!
//! Knows nothing about what a state means or which transition may follow which: that is the planner's.

mod error;
mod lock;
mod read;
mod schema;
mod write;

pub use error::JournalError;

use self::lock::Lock;
use self::read::Reader;
use self::write::Writer;
use mainstay_model::{
    Event, Release, ReleaseNumber, ServiceName, Stack, StackName, StackState, Timestamp, Transition,
};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Name of the database in the state directory.
const NAME: &str = "journal.db";

/// Reading connections kept open; more are opened when more are at work, and closed again.
const READERS: usize = 4;

/// Work for the writing thread.
type Work = Box<dyn FnOnce(&mut Writer) + Send>;

/// An open journal. Cheap to clone; the lock on the state directory is held until the last clone is gone.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// `None` only while being dropped.
    writer: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    readers: Mutex<Vec<Connection>>,
    _lock: Lock,
}

impl Drop for Shared {
    /// Lets the writer finish what it was given and close the file, and only then gives up the lock.
    fn drop(&mut self) {
        self.writer = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// How a deploy of a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Routes moved to it.
    Served,
    /// It was undone.
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Failed => "failed",
        }
    }
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseStatus {
    /// It is the stack's current one.
    Serving,
    /// It served, and another one does now.
    Superseded,
    /// Its last deploy was undone.
    Failed,
    /// Its deploy did not come to an end.
    NeverServed,
}

/// One line of the list of releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseSummary {
    /// Its number.
    pub number: ReleaseNumber,
    /// When it was made.
    pub created: Timestamp,
    /// What became of it.
    pub status: ReleaseStatus,
}

impl Journal {
    /// Opens the journal in `state_dir`, making both (directory 0700, files 0600) where they are missing.
    ///
    /// # Errors
    /// [`JournalError::InUse`] with the pid of the other agent; [`JournalError::NotWritable`], [`JournalError::Full`],
    /// [`JournalError::Corrupt`], [`JournalError::TooNew`], each naming the path.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        let make = DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
        make.map_err(JournalError::file(state_dir))?;
        let lock = Lock::take(state_dir)?;
        let path = state_dir.join(NAME);
        let mut writer = Writer { connection: schema::open(&path)?, path: path.clone() };
        let (sender, work) = mpsc::channel::<Work>();
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            for piece in work {
                piece(&mut writer);
            }
        });
        let thread = Some(thread.map_err(JournalError::file(&path))?);
        let shared = Shared { path, writer: Some(sender), thread, readers: Mutex::default(), _lock: lock };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Names of all stacks ever recorded, sorted.
    ///
    /// # Errors
    /// Failures to read.
    pub async fn stacks(&self) -> Result<Vec<StackName>, JournalError> {
        self.read(|reader| reader.stacks()).await
    }

    /// State of a stack; the default one when nothing was recorded.
    ///
    /// # Errors
    /// Failures to read.
    pub async fn state(&self, stack: &StackName) -> Result<StackState, JournalError> {
        let stack = stack.clone();
        self.read(move |reader| reader.state(&stack)).await
    }

    /// Appends `transition` and replaces the stack's state by `after`, both or neither, if the state is still the one
    /// of generation `expected`. `after` has the next generation.
    ///
    /// # Errors
    /// [`JournalError::Stale`] when the state has moved on; [`JournalError::Miscounted`]; failures to write.
    pub async fn record(
        &self,
        stack: &StackName,
        transition: &Transition,
        after: &StackState,
        expected: u64,
    ) -> Result<(), JournalError> {
        let (stack, transition, after) = (stack.clone(), transition.clone(), after.clone());
        self.write(move |writer| writer.record(&stack, &transition, &after, expected)).await
    }

    /// Transitions of a stack with the generations they led to, those after generation `after`.
    ///
    /// # Errors
    /// Failures to read.
    pub async fn transitions(
        &self,
        stack: &StackName,
        after: u64,
    ) -> Result<Vec<(u64, Transition)>, JournalError> {
        let stack = stack.clone();
        self.read(move |reader| reader.transitions(&stack, after)).await
    }

    /// Keeps a resolved stack as its next release. Numbers count from 1 and are never given twice.
    ///
    /// # Errors
    /// Failures to write.
    pub async fn add_release(
        &self,
        stack: &Stack,
        images: BTreeMap<ServiceName, String>,
        created: Timestamp,
    ) -> Result<Release, JournalError> {
        let stack = stack.clone();
        self.write(move |writer| writer.add_release(stack, images, created)).await
    }

    /// One release.
    ///
    /// # Errors
    /// [`JournalError::NoRelease`], failures to read.
    pub async fn release(&self, stack: &StackName, number: ReleaseNumber) -> Result<Release, JournalError> {
        let stack = stack.clone();
        self.read(move |reader| reader.release(&stack, number)).await
    }

    /// The releases that are kept, newest first.
    ///
    /// # Errors
    /// Failures to read.
    pub async fn releases(&self, stack: &StackName) -> Result<Vec<ReleaseSummary>, JournalError> {
        let stack = stack.clone();
        self.read(move |reader| reader.releases(&stack)).await
    }

    /// Notes how the deploy of a release ended.
    ///
    /// # Errors
    /// [`JournalError::NoRelease`], failures to write.
    pub async fn mark_release(
        &self,
        stack: &StackName,
        number: ReleaseNumber,
        outcome: Outcome,
    ) -> Result<(), JournalError> {
        let stack = stack.clone();
        self.write(move |writer| writer.mark_release(&stack, number, outcome)).await
    }

    /// Forgets all but the last 20 releases and the newest transitions and events. The current release and those of a
    /// deploy under way stay, however old. Gives the numbers of the releases that went.
    ///
    /// # Errors
    /// Failures to write.
    pub async fn prune(&self, stack: &StackName) -> Result<Vec<ReleaseNumber>, JournalError> {
        let stack = stack.clone();
        self.write(move |writer| {
            let state = Reader { path: &writer.path, connection: &writer.connection }.state(&stack)?;
            writer.prune(&stack, &state.releases())
        })
        .await
    }

    /// Keeps an event.
    ///
    /// # Errors
    /// Failures to write.
    pub async fn add_event(&self, event: &Event) -> Result<(), JournalError> {
        let event = event.clone();
        self.write(move |writer| writer.add_event(&event)).await
    }

    /// The newest `limit` events of a stack that are not older than `since`, oldest first.
    ///
    /// # Errors
    /// Failures to read.
    pub async fn events(
        &self,
        stack: &StackName,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, JournalError> {
        let stack = stack.clone();
        self.read(move |reader| reader.events(&stack, since, limit)).await
    }

    /// Hands `work` to the writing thread. It is done even when the caller no longer waits.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, done) = oneshot::channel();
        let piece: Work = Box::new(move |writer| {
            let _nobody_waits = answer.send(work(writer));
        });
        let closed = || JournalError::Closed { path: self.shared.path.clone() };
        let writer = self.shared.writer.as_ref().ok_or_else(closed)?;
        writer.send(piece).map_err(|_| closed())?;
        done.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Reads on a thread that may block, with a connection from the pool.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let pooled = shared.readers.lock().ok().and_then(|mut readers| readers.pop());
            let connection = pooled.map_or_else(|| schema::open_reader(&shared.path), Ok)?;
            let done = work(&Reader { path: &shared.path, connection: &connection });
            if let Ok(mut readers) = shared.readers.lock()
                && readers.len() < READERS
            {
                readers.push(connection);
            }
            done
        });
        done.await.unwrap_or_else(|_| Err(JournalError::Closed { path: self.shared.path.clone() }))
    }
}
