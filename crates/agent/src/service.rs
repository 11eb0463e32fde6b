//! One task per service: orders in, news out. It carries out the steps about its instances and probes them.

use crate::carry::{self, Landed, Order};
use crate::probe::Prober;
use crate::runtimes::Known;
use crate::{Agent, Error, crash};
use mainstay_model::{
    Health, Healthcheck, Instance, InstanceId, InstanceState, Readiness, Service, ServiceName, StackName,
    Step, StepKey, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// What the service is told.
pub(crate) enum Control {
    /// Carry out a step.
    Carry(Box<Order>),
    /// An instance that is being started is not wanted any more: its hooks are left.
    Abandon(InstanceId),
    /// These are its running instances now: probe them, and none else.
    Probe { service: Box<Service>, image: Option<String>, instances: Vec<Instance> },
}

/// What the service tells.
#[derive(Debug)]
pub(crate) enum News {
    /// A step has ended.
    Landed { key: StepKey, outcome: Result<Landed, Error> },
    /// A probe says something new about an instance since its start.
    Health { instance: InstanceId, since: Timestamp, health: Health },
    /// A line of its release job or of a hook.
    JobLine { service: ServiceName, line: String },
}

/// The way to one service's task. The task ends when this is dropped.
pub(crate) struct ServiceHandle {
    controls: mpsc::UnboundedSender<Control>,
}

impl ServiceHandle {
    /// Starts the task of one service.
    pub fn start(agent: &Arc<Agent>, stack: &StackName, news: mpsc::UnboundedSender<News>) -> Self {
        let (controls, receiver) = mpsc::unbounded_channel();
        let task = Task {
            agent: Arc::clone(agent),
            stack: stack.clone(),
            news,
            probes: BTreeMap::new(),
            steps: JoinSet::new(),
            starts: BTreeMap::new(),
        };
        tokio::spawn(task.run(receiver));
        Self { controls }
    }

    pub fn tell(&self, control: Control) {
        // The task ends only after this handle.
        let _ = self.controls.send(control);
    }
}

struct Task {
    agent: Arc<Agent>,
    stack: StackName,
    news: mpsc::UnboundedSender<News>,
    probes: BTreeMap<(InstanceId, Timestamp), JoinHandle<()>>,
    steps: JoinSet<()>,
    /// Starts under way.
    starts: BTreeMap<InstanceId, CancellationToken>,
}

impl Task {
    async fn run(mut self, mut controls: mpsc::UnboundedReceiver<Control>) {
        loop {
            tokio::select! {
                control = controls.recv() => match control {
                    Some(Control::Carry(order)) => self.carry(*order),
                    Some(Control::Abandon(id)) => if let Some(start) = self.starts.remove(&id) { start.cancel() },
                    Some(Control::Probe { service, image, instances }) => self.probe(&service, image.as_deref(), &instances),
                    None => break,
                },
                Some(_) = self.steps.join_next() => {}
            }
        }
        self.probes.into_values().for_each(|probe| probe.abort());
        // Steps under way are finished: what an adapter has begun is better done than half done.
        while self.steps.join_next().await.is_some() {}
    }

    fn carry(&mut self, order: Order) {
        let (agent, news) = (Arc::clone(&self.agent), self.news.clone());
        let abandoned = CancellationToken::new();
        if let Step::Start { instance, .. } = &order.step {
            self.starts.insert(instance.clone(), abandoned.clone());
        }
        self.steps.spawn(async move {
            let service = match order.step.key() {
                StepKey::Job(service) => Some(service),
                StepKey::Instance(id) => Some(id.service),
                _ => None,
            };
            let lines = news.clone();
            let tell = move |line: String| {
                if let Some(service) = service.clone() {
                    let _ = lines.send(News::JobLine { service, line });
                }
            };
            crash::point("before a step");
            let outcome = carry::carry_out(&agent, &order, abandoned, tell).await;
            crash::point("after a step");
            let _ = news.send(News::Landed { key: order.step.key(), outcome });
        });
    }

    fn probe(&mut self, service: &Service, image: Option<&str>, instances: &[Instance]) {
        let mut kept = BTreeMap::new();
        for instance in instances {
            let InstanceState::Running { since } = instance.state else { continue };
            let key = (instance.id.clone(), since);
            let probe =
                self.probes.remove(&key).unwrap_or_else(|| self.start_probe(service, image, instance, since));
            kept.insert(key, probe);
        }
        std::mem::swap(&mut self.probes, &mut kept);
        kept.into_values().for_each(|gone| gone.abort());
    }

    fn start_probe(
        &self,
        service: &Service,
        image: Option<&str>,
        instance: &Instance,
        since: Timestamp,
    ) -> JoinHandle<()> {
        let (agent, news, service, instance) =
            (Arc::clone(&self.agent), self.news.clone(), service.clone(), instance.clone());
        let (stack, image) = (self.stack.clone(), image.map(str::to_owned));
        tokio::spawn(async move {
            let id = instance.id.clone();
            let tell = |health| {
                let _ = news.send(News::Health { instance: id.clone(), since, health });
            };
            let of_image = image_check(&agent, &service, image).await;
            match Prober::new(&service, &instance, of_image) {
                Ok(prober) => {
                    let (id, runtime, handle) =
                        (instance.id.clone(), instance.runtime, instance.handle.clone());
                    prober.watch(agent, Known { stack, id, runtime, handle }, tell).await;
                }
                Err(why) => tell(Health::Unhealthy { why }),
            }
        })
    }
}

/// The healthcheck that the image declares, where the file leaves it to the image.
async fn image_check(agent: &Agent, service: &Service, image: Option<String>) -> Option<Healthcheck> {
    let image = image.filter(|_| service.readiness == Readiness::Image)?;
    let docker = agent.runtimes.docker().await.ok()?;
    docker.image(&image).await.ok()?.healthcheck
}
