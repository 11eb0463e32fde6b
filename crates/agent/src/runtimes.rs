//! The two runtimes, behind the same verbs.
//!
//! The Engine is connected to when something first needs it: a stack of native services never asks for Docker.

use crate::{Config, Error};
use mainstay_host::docker::{Creation, Docker, DockerError};
use mainstay_host::native::Native;
use mainstay_model::{InstanceId, RuntimeKind, Service, Stack, StackName};
use mainstay_plan::{Blueprint, edge_holds_ports, reached_ports};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Access to both.
pub(crate) struct Runtimes {
    pub native: Native,
    host: Option<String>,
    docker: Mutex<Option<Docker>>,
}

/// An instance, as the adapters know it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub stack: StackName,
    pub id: InstanceId,
    pub runtime: RuntimeKind,
    /// Container id; not used for native ones.
    pub handle: String,
}

impl Runtimes {
    pub fn new(config: &Config) -> Self {
        let native = Native::new(&config.state_dir, &config.exe);
        Self { native, host: config.docker_host.clone(), docker: Mutex::default() }
    }

    /// The Engine.
    pub async fn docker(&self) -> Result<Docker, Error> {
        let mut slot = self.docker.lock().await;
        if let Some(docker) = slot.as_ref() {
            return Ok(docker.clone());
        }
        let docker = Docker::connect(self.host.as_deref()).await?;
        *slot = Some(docker.clone());
        Ok(docker)
    }

    /// The Engine, if one was connected to.
    pub async fn connected(&self) -> Option<Docker> {
        self.docker.lock().await.clone()
    }

    /// After an Engine could not be reached it may come back as another version: greet it again.
    pub async fn forget_docker(&self, error: &DockerError) {
        if matches!(error, DockerError::Unreachable { .. }) {
            *self.docker.lock().await = None;
        }
    }

    /// Makes an instance of `service`.
    pub async fn create(
        &self,
        blueprint: &Arc<Blueprint>,
        id: &InstanceId,
        name: &str,
        number: u32,
    ) -> Result<(), Error> {
        let stack = &blueprint.release.stack;
        let missing = || Error::NoService { stack: stack.name.clone(), service: id.service.clone() };
        let service = blueprint.service(&id.service).ok_or_else(missing)?;
        let hash = blueprint.hash(&id.service).unwrap_or_default();
        match service.runtime() {
            RuntimeKind::Docker => {
                let image = blueprint.release.images.get(&id.service).map(String::as_str).unwrap_or_default();
                // One of release 0 is Compose's: nothing reaches it but through its own ports.
                let as_compose = id.release == 0;
                let edge_holds_ports = !as_compose && edge_holds_ports(stack, service);
                let reached = if as_compose { BTreeSet::new() } else { reached_ports(blueprint, service) };
                let reached = &reached;
                let instance = id;
                let creation = Creation {
                    stack,
                    service,
                    instance,
                    name,
                    number,
                    hash,
                    image,
                    edge_holds_ports,
                    reached,
                };
                self.docker().await?.create(&creation).await?;
            }
            RuntimeKind::Native => {
                let port = if needs_port(service) { Some(self.native.free_port().await?) } else { None };
                self.native.create(&stack.name, service, id, hash, port).await?;
            }
        }
        Ok(())
    }

    pub async fn start(&self, known: &Known) -> Result<(), Error> {
        match known.runtime {
            RuntimeKind::Docker => self.docker().await?.start(&known.handle).await?,
            RuntimeKind::Native => self.native.start(&known.stack, &known.id).await?,
        }
        Ok(())
    }

    pub async fn stop(&self, known: &Known, grace: Duration) -> Result<(), Error> {
        match known.runtime {
            RuntimeKind::Docker => self.docker().await?.stop(&known.handle, None, grace).await?,
            RuntimeKind::Native => self.native.stop(&known.stack, &known.id, None, grace).await?,
        }
        Ok(())
    }

    pub async fn remove(&self, known: &Known) -> Result<(), Error> {
        match known.runtime {
            RuntimeKind::Docker => self.docker().await?.remove(&known.handle).await?,
            RuntimeKind::Native => self.native.remove(&known.stack, &known.id).await?,
        }
        Ok(())
    }

    pub async fn rename(&self, known: &Known, name: &str) -> Result<(), Error> {
        if known.runtime == RuntimeKind::Docker {
            self.docker().await?.rename(&known.handle, name).await?;
        }
        Ok(())
    }

    /// Takes away what is left of native jobs, ending those that nobody waits for any more.
    pub async fn remove_native_jobs(&self, stack: &StackName) {
        let removed = async {
            for job in self.native.jobs(stack).await? {
                self.native.remove(stack, &job).await?;
            }
            Ok::<_, mainstay_host::native::NativeError>(())
        };
        if let Err(error) = removed.await {
            tracing::warn!(%stack, %error, "a release job is left behind");
        }
    }

    pub async fn create_network(&self, stack: &Stack, key: &str) -> Result<(), Error> {
        if let Some(network) = stack.networks.get(key) {
            self.docker().await?.create_network(&stack.name, key, network).await?;
        }
        Ok(())
    }

    pub async fn create_volume(&self, stack: &Stack, key: &str) -> Result<(), Error> {
        if let Some(volume) = stack.volumes.get(key) {
            self.docker().await?.create_volume(&stack.name, key, volume).await?;
        }
        Ok(())
    }
}

/// Native services that something reaches are told where to listen.
pub(crate) fn needs_port(service: &Service) -> bool {
    !service.routes.is_empty() || !service.ports.is_empty()
}
