//! One task per stack: looks, decides, has steps carried out, and again. It alone changes the stack's journal.

mod converge;
mod journal;
mod news;
mod steps;

use crate::observe::Healths;
use crate::service::{News, ServiceHandle};
use crate::waiters::Waiter;
use crate::{Agent, Error, sites};
use mainstay_model::{
    Event, InstanceId, Observed, ReleaseNumber, RuntimeKind, ServiceName, StackName, StackState, StepKey,
    Timestamp, Transition,
};
use mainstay_plan::Blueprint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// What the stack is told.
pub(crate) enum Order {
    /// Record a transition that a command asks for, and tell `waiter` how it goes on.
    Record { transition: Box<Transition>, waiter: Option<Waiter>, answer: oneshot::Sender<Result<(), Error>> },
    /// From now on instances may take this long to stop, whatever their release says, until the next deploy.
    Grace(Duration),
    /// Look again: something happened outside.
    Look,
    /// Whether what happens on a runtime is heard from here on. Look again either way.
    Hears(RuntimeKind, bool),
}

/// What everybody may see of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub state: StackState,
    pub observed: Observed,
    /// Why what is not done waits, from the last plan.
    pub waiting: Vec<(ServiceName, String)>,
    /// Whether the host was looked at yet, with or without success.
    pub looked: bool,
}

/// The way to one stack's task.
#[derive(Clone)]
pub(crate) struct StackHandle {
    pub name: StackName,
    orders: mpsc::UnboundedSender<Order>,
    pub sight: watch::Receiver<Sight>,
    pub events: broadcast::Sender<Event>,
    /// Held by whoever deploys; the next one waits for it.
    pub deploying: Arc<tokio::sync::Mutex<()>>,
}

impl StackHandle {
    /// Records `transition`; an error says why it was not.
    pub async fn record(&self, transition: Transition, waiter: Option<Waiter>) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let order = Order::Record { transition: Box::new(transition), waiter, answer };
        self.orders.send(order).map_err(|_| Error::Ending)?;
        answered.await.map_err(|_| Error::Ending)?
    }

    /// Lets instances take `seconds` to stop in what is asked for next, where given.
    pub fn grace(&self, seconds: Option<u64>) {
        if let Some(seconds) = seconds {
            // A task that has ended stops nothing any more.
            let _ = self.orders.send(Order::Grace(Duration::from_secs(seconds)));
        }
    }
}

/// Events that a slow follower may lag behind.
const EVENTS_KEPT: usize = 1024;

/// Reads the stack's state and starts its task.
pub(crate) async fn start(agent: &Arc<Agent>, name: &StackName) -> Result<StackHandle, Error> {
    let state = agent.journal.state(name).await?;
    if state.deploy.is_none() {
        // An agent before us died after the end of a deploy, before it had tidied up.
        agent.runtimes.remove_native_jobs(name).await;
    }
    let (orders, inbox) = mpsc::unbounded_channel();
    let (news, heard) = mpsc::unbounded_channel();
    let observed = blank();
    let (show, sight) = watch::channel(Sight {
        state: state.clone(),
        observed: observed.clone(),
        waiting: Vec::new(),
        looked: false,
    });
    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let mut task = Task {
        agent: Arc::clone(agent),
        name: name.clone(),
        state,
        blueprints: BTreeMap::new(),
        observed,
        healths: Healths::new(),
        services: BTreeMap::new(),
        busy: BTreeMap::new(),
        failures: BTreeMap::new(),
        waiters: Vec::new(),
        news,
        show,
        events: events.clone(),
        told: BTreeMap::new(),
        waiting: Vec::new(),
        grace: None,
        looked: None,
        asked_edge: None,
        hears: BTreeSet::new(),
        adopted: false,
    };
    task.load_blueprints().await?;
    if task.state.deploy.is_none() {
        sites::prune(agent, name, task.blueprints.values().cloned().collect()).await;
    }
    let watcher = orders.downgrade();
    tokio::spawn(task.run(inbox, heard));
    news::docker(Arc::clone(agent), name.clone(), watcher.clone());
    news::native(Arc::clone(agent), name.clone(), watcher.clone());
    news::edge(agent, watcher);
    Ok(StackHandle { name: name.clone(), orders, sight, events, deploying: Arc::default() })
}

fn blank() -> Observed {
    Observed {
        instances: BTreeMap::new(),
        networks: BTreeSet::new(),
        volumes: BTreeSet::new(),
        edge: mainstay_model::Seen::Unknown("not asked yet".into()),
        table: None,
        free_memory: None,
    }
}

struct Task {
    agent: Arc<Agent>,
    name: StackName,
    state: StackState,
    /// The releases that the state speaks of.
    blueprints: BTreeMap<ReleaseNumber, Arc<Blueprint>>,
    observed: Observed,
    healths: Healths,
    services: BTreeMap<ServiceName, ServiceHandle>,
    /// Steps under way, and those that failed and are not tried again before a time.
    busy: BTreeMap<StepKey, Option<Timestamp>>,
    /// Failures in a row of steps about the same thing.
    failures: BTreeMap<StepKey, u32>,
    waiters: Vec<Waiter>,
    news: mpsc::UnboundedSender<News>,
    show: watch::Sender<Sight>,
    events: broadcast::Sender<Event>,
    /// What was last told of every instance, so that changes are told once.
    told: BTreeMap<InstanceId, String>,
    waiting: Vec<(ServiceName, String)>,
    /// How long instances may take to stop, over what their release says: the wish of one command.
    grace: Option<Duration>,
    /// When the host was last looked at.
    looked: Option<tokio::time::Instant>,
    /// When the edge was last asked.
    asked_edge: Option<tokio::time::Instant>,
    /// Runtimes whose changes are told, so that looking is only for what was missed.
    hears: BTreeSet<RuntimeKind>,
    /// What ran before this agent has been seen, and what served is believed to serve.
    adopted: bool,
}
