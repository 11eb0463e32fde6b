//! What happens to containers, as it happens.

use super::Docker;
use super::error::DockerError;
use super::labels;
use super::wire::{Answer, Call};
use mainstay_model::{InstanceId, ServiceName, StackName, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Waits between attempts to reach the Engine again: short at first, because it restarts in about a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is asked for: not the commands inside containers, of which probes make many a second.
const WANTED: [&str; 10] =
    ["create", "start", "die", "oom", "stop", "pause", "unpause", "rename", "destroy", "health_status"];

/// News of the Engine.
#[derive(Debug)]
pub enum News {
    /// The stream is open from here on. Whatever happened before was not seen: observe now.
    Open,
    /// Something happened to a container.
    Happened(ContainerEvent),
    /// The stream broke, or could not be opened. It is opened again by itself.
    Lost(DockerError),
}

/// Something that happened to a container of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    /// Its id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// Its stack, as labelled.
    pub stack: Option<StackName>,
    /// Its service, as labelled.
    pub service: Option<ServiceName>,
    /// Which instance, where it is one of ours.
    pub instance: Option<InstanceId>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: ContainerAction,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerAction {
    /// It was made.
    Created,
    /// Its process started, by command or by the restart policy.
    Started,
    /// Its process ended.
    Died { code: i32 },
    /// A process in it was killed for lack of memory.
    OutOfMemory,
    /// A command to stop it was carried out.
    Stopped,
    /// It was frozen.
    Paused,
    /// It goes on.
    Unpaused,
    /// It has another name.
    Renamed,
    /// It is gone.
    Destroyed,
    /// The Engine's own verdict on its health.
    Health { healthy: bool },
}

/// A stream of [`News`] that mends itself.
pub struct Events {
    docker: Docker,
    filters: String,
    answer: Option<Answer>,
    pause: Duration,
    /// Not to be tried before.
    retry_at: Option<Instant>,
}

/// One line of `GET /events`, as far as it matters.
#[derive(Deserialize)]
struct Line {
    #[serde(default, rename = "Action")]
    action: String,
    #[serde(default, rename = "Actor")]
    actor: Actor,
    #[serde(default, rename = "timeNano")]
    nanos: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    attributes: BTreeMap<String, String>,
}

impl Docker {
    /// What happens to the containers of `stack`, or of every stack where `None`. Nothing is asked before the
    /// first call of [`Events::next`].
    pub fn events(&self, stack: Option<&StackName>) -> Events {
        let label = match stack {
            Some(stack) => format!("{}={stack}", labels::PROJECT),
            None => labels::PROJECT.to_owned(),
        };
        let filters =
            serde_json::json!({ "type": ["container"], "label": [label], "event": WANTED }).to_string();
        Events { docker: self.clone(), filters, answer: None, pause: FIRST_PAUSE, retry_at: None }
    }
}

impl Events {
    /// The next news. Never ends. Safe to cancel.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(answer) = &mut self.answer {
                match answer.next_json::<Line>().await {
                    Ok(Some(line)) => match line.read() {
                        Some(event) => return News::Happened(event),
                        None => continue,
                    },
                    Ok(None) => {
                        return self.lost(DockerError::broken("events", "the Engine ended the stream"));
                    }
                    Err(error) => return self.lost(error),
                }
            }
            if let Some(at) = self.retry_at {
                tokio::time::sleep_until(at).await;
            }
            let call = Call::get("/events", "events").query("filters", &self.filters);
            match self.docker.wire.send(call).await {
                Ok(answer) => {
                    self.answer = Some(answer);
                    (self.pause, self.retry_at) = (FIRST_PAUSE, None);
                    return News::Open;
                }
                Err(error) => return self.lost(error),
            }
        }
    }

    fn lost(&mut self, error: DockerError) -> News {
        self.answer = None;
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        News::Lost(error)
    }
}

impl Line {
    fn read(self) -> Option<ContainerEvent> {
        let Actor { id, attributes } = self.actor;
        let attribute = |key: &str| attributes.get(key).map(String::as_str);
        let action = match self.action.as_str() {
            "create" => ContainerAction::Created,
            "start" => ContainerAction::Started,
            "die" => ContainerAction::Died { code: attribute("exitCode")?.parse().ok()? },
            "oom" => ContainerAction::OutOfMemory,
            "stop" => ContainerAction::Stopped,
            "pause" => ContainerAction::Paused,
            "unpause" => ContainerAction::Unpaused,
            "rename" => ContainerAction::Renamed,
            "destroy" => ContainerAction::Destroyed,
            "health_status: healthy" => ContainerAction::Health { healthy: true },
            "health_status: unhealthy" => ContainerAction::Health { healthy: false },
            _ => return None,
        };
        Some(ContainerEvent {
            name: attribute("name").unwrap_or_default().to_owned(),
            stack: attribute(labels::PROJECT).and_then(|name| StackName::new(name).ok()),
            service: attribute(labels::SERVICE).and_then(|name| ServiceName::new(name).ok()),
            instance: attribute(labels::INSTANCE).and_then(InstanceId::parse),
            at: Timestamp(self.nanos / 1_000_000),
            container: id,
            action,
        })
    }
}
