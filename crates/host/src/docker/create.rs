//! Making a container for an instance: what the service says, in the Engine's words.
//!
//! A container is whole or it is not an instance. Where one request cannot make it whole (a second network
//! before API 1.44, files to write into it), it is made under a name of its own, completed, and only then given
//! the name it was to have; `observe` reports what was left half-made as dead.

use super::engine::{ApiVersion, Reach};
use super::error::DockerError;
use super::labels::{self, Identity, Labels};
use super::observe::{Inspected, UNFINISHED};
use super::spec::{ContainerBody, EndpointBody, EndpointIpam, NetworkingBody};
use super::wire::{Call, escape};
use super::{Docker, credentials, ports, process, storage};
use bytes::Bytes;
use hyper::Method;
use mainstay_model::{
    ConfigHash, ForeignMount, Instance, InstanceId, MountKind, NetworkAttachment, Secret, Service,
    ServiceMore, Stack,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

/// The bridge driver's option for `interface_name:`.
const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";

/// An instance to be made.
#[derive(Debug, Clone, Copy)]
pub struct Creation<'a> {
    /// The stack that defines it.
    pub stack: &'a Stack,
    /// Its service.
    pub service: &'a Service,
    /// Which copy. One of release 0 is made as Docker Compose makes it: without labels of ours.
    pub instance: &'a InstanceId,
    /// Name of the container.
    pub name: &'a str,
    /// Compose's container number.
    pub number: u32,
    /// `Stack::instance_hash` of what it is made from.
    pub hash: &'a str,
    /// Id of its image, as [`Docker::image_id`] gives it.
    pub image: &'a str,
    /// Published TCP ports are the edge's: the Engine does not bind them.
    pub edge_holds_ports: bool,
    /// Ports inside that this host connects to. They are published on its loopback interface where it cannot reach the
    /// container's address.
    pub reached: &'a BTreeSet<u16>,
}

/// A container to be made, whole.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) platform: Option<String>,
    pub(super) body: ContainerBody,
    /// Its networks, the one it is made on first.
    pub(super) networks: Vec<(String, EndpointBody)>,
    pub(super) archive: Vec<u8>,
}

impl Docker {
    /// Makes the container of an instance, not yet running, and gives its id. When a container of that name
    /// is already this instance's, nothing is made and its id given.
    ///
    /// # Errors
    /// [`DockerError::NameInUse`] when another container has the name, [`DockerError::ImageMissing`],
    /// [`DockerError::Undefined`] when the service refers to what the stack lacks.
    pub async fn create(&self, wanted: &Creation<'_>) -> Result<String, DockerError> {
        let Creation { stack, service, instance, name, number, hash, image, edge_holds_ports, reached } =
            *wanted;
        // One of release 0 is as Compose makes it, without labels of ours.
        let (as_compose, id) = (instance.release == 0, instance.to_string());
        let claim = if as_compose {
            (labels::SERVICE, service.name.as_str())
        } else {
            (labels::INSTANCE, id.as_str())
        };
        match self.inspect(name).await {
            Ok(there) => return there.claimed_by(name, claim, stack),
            Err(DockerError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        // What is drafted is large, and lives through every request below.
        let mut draft = Box::pin(self.draft(stack, service, name, image)).await?;
        let links = self.links(stack, service, number).await?;
        for (_, endpoint) in &mut draft.networks {
            endpoint.links.clone_from(&links);
        }
        let nothing = BTreeSet::new();
        let on_loopback = if self.engine.reach == Reach::Loopback { reached } else { &nothing };
        let ports = ports::of(service, edge_holds_ports, on_loopback);
        draft.body.exposed_ports = ports.exposed;
        draft.body.host_config.port_bindings = ports.bound;
        let config_hash = self.config_hash(stack, service).await?;
        let identity = Identity { number, oneoff: false, hash: &config_hash, image };
        draft.body.labels = labels::of_container(stack, service, &identity);
        if !as_compose {
            draft.body.labels.extend(labels::of_instance(instance, hash));
        }
        draft.body.labels.extend(self.label_of_mounted_images(service).await?);
        if !ports.held.is_empty() {
            draft.body.labels.insert(labels::EDGE_PORTS.to_owned(), ports.held.join(","));
        }
        Box::pin(self.make(draft, service, image)).await
    }

    /// What `service` says, except for ports and labels.
    pub(super) async fn draft(
        &self,
        stack: &Stack,
        service: &Service,
        name: &str,
        image: &str,
    ) -> Result<Draft, DockerError> {
        let logins = match service.more.use_api_socket {
            true => Some(credentials::all(self.logins.as_deref()).await?),
            false => None,
        };
        let mounts = storage::of(stack, service, self.engine.api, logins.as_deref())?;
        let networks = networks(stack, service, name)?;
        let mut host_config = process::limits(service);
        host_config.binds = mounts.binds;
        host_config.mounts = mounts.mounts;
        host_config.tmpfs = mounts.tmpfs;
        host_config.network_mode = match (&service.network_mode, networks.first()) {
            (Some(mode), _) => self.shared_with(stack, mode).await?,
            (None, Some((first, _))) => first.clone(),
            (None, None) => "none".to_owned(),
        };
        for from in &service.more.volumes_from {
            host_config.volumes_from.push(self.volumes_of(stack, from).await?);
        }
        host_config.pid_mode = self.optionally_shared(stack, service.pid.as_deref()).await?;
        host_config.ipc_mode = self.optionally_shared(stack, service.ipc.as_deref()).await?;
        let mut body = process::of(service, self.engine.api);
        body.host_config = host_config;
        if service.more.use_api_socket && !service.environment.contains_key("DOCKER_CONFIG") {
            body.env.push(format!("DOCKER_CONFIG={}", storage::LOGINS));
        }
        body.image = self.shown_image(service, image).await?;
        if body.cmd.as_ref().is_some_and(Vec::is_empty) && body.entrypoint.is_none() {
            // The Engine takes the image's command for an empty one, unless an entrypoint comes with it.
            body.entrypoint = self.image(image).await?.entrypoint;
        }
        let platform = service.platform.clone();
        Ok(Draft { name: name.to_owned(), platform, body, networks, archive: mounts.archive })
    }

    /// Makes `draft`. On failure nothing is left of it.
    pub(super) async fn make(
        &self,
        mut draft: Draft,
        service: &Service,
        image: &str,
    ) -> Result<String, DockerError> {
        let many_at_create = self.engine.api >= ApiVersion::v1(44);
        let first = if many_at_create { draft.networks.len() } else { draft.networks.len().min(1) };
        let later = draft.networks.split_off(first);
        draft.body.networking_config =
            NetworkingBody { endpoints_config: draft.networks.into_iter().collect() };
        let whole = later.is_empty() && draft.archive.is_empty();
        let unfinished = format!("{UNFINISHED}{}", draft.name);
        // Whatever an earlier attempt left would pass for a second copy of the same instance.
        self.remove(&unfinished).await?;
        let name = if whole { draft.name.clone() } else { unfinished };
        let mut id = self.request(&name, draft.platform.as_deref(), &draft.body, service).await?;
        if draft.body.image != image && self.inspect(&id).await?.image != image {
            // The tag moved since it was looked up.
            self.remove(&id).await?;
            image.clone_into(&mut draft.body.image);
            id = self.request(&name, draft.platform.as_deref(), &draft.body, service).await?;
        }
        if whole {
            return Ok(id);
        }
        match self.complete(&id, later, draft.archive, &draft.name).await {
            Ok(()) => Ok(id),
            Err(error) => {
                self.remove(&id).await?;
                Err(error)
            }
        }
    }

    async fn request(
        &self,
        name: &str,
        platform: Option<&str>,
        body: &ContainerBody,
        service: &Service,
    ) -> Result<String, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Created {
            id: String,
        }
        let shown = name.strip_prefix(UNFINISHED).unwrap_or(name);
        let mut call = Call::post("/containers/create", format!("container {shown}")).query("name", name);
        if let Some(platform) = platform {
            call = call.query("platform", platform);
        }
        match self.wire.json(call.json(body)?).await {
            Ok(Created { id }) => Ok(id),
            Err(error) => Err(explain(error, shown, service)),
        }
    }

    async fn complete(
        &self,
        id: &str,
        networks: Vec<(String, EndpointBody)>,
        archive: Vec<u8>,
        name: &str,
    ) -> Result<(), DockerError> {
        for (network, endpoint) in networks {
            let call =
                Call::post(format!("/networks/{}/connect", escape(&network)), format!("network {network}"));
            let body = serde_json::json!({ "Container": id, "EndpointConfig": endpoint });
            self.wire.done(call.json(&body)?).await?;
        }
        if !archive.is_empty() {
            let (sender, receiver) = mpsc::channel(1);
            // The receiver is held below, so that there is room and someone to take it.
            let _ = sender.try_send(Ok(Bytes::from(archive)));
            drop(sender);
            let what = format!("secrets and configs of {name}");
            let call = Call::new(Method::PUT, format!("/containers/{id}/archive"), what).query("path", "/");
            self.wire.done(call.tar(receiver)).await?;
        }
        self.rename(id, name).await
    }

    /// The name that people know the image by, where it still means `image`; else its id.
    async fn shown_image(&self, service: &Service, image: &str) -> Result<String, DockerError> {
        let Some(name) = &service.image else { return Ok(image.to_owned()) };
        match self.image_id(name).await {
            Ok(id) if id == image => Ok(name.clone()),
            Ok(_) | Err(DockerError::ImageMissing { .. }) => Ok(image.to_owned()),
            Err(error) => Err(error),
        }
    }

    /// As with Compose, which makes another container when a mounted image has changed.
    async fn label_of_mounted_images(&self, service: &Service) -> Result<Labels, DockerError> {
        let mut digests = Vec::new();
        for mount in &service.mounts {
            if let MountKind::Foreign(ForeignMount { kind, source: Some(image), .. }) = &mount.kind
                && kind == "image"
            {
                digests.push(format!("{}={}", mount.target, self.image_id(image).await?));
            }
        }
        digests.sort();
        let label = (labels::MOUNTED_IMAGES.to_owned(), digests.join(","));
        Ok(Some(label).filter(|(_, digests)| !digests.is_empty()).into_iter().collect())
    }

    /// What Compose would write on the container, so that it finds nothing to do with it.
    async fn config_hash(&self, stack: &Stack, service: &Service) -> Result<String, DockerError> {
        match &service.config_hash {
            None => Ok(String::new()),
            Some(ConfigHash::Fixed(hash)) => Ok(hash.clone()),
            Some(pieces) => {
                let instances = self.observe(&stack.name).await?;
                Ok(pieces.of_container(&|service| newest(&instances, service).map(|i| i.handle.clone())))
            }
        }
    }

    /// `links:` and `external_links:`, each container by every name that Compose gives it.
    async fn links(&self, stack: &Stack, service: &Service, number: u32) -> Result<Vec<String>, DockerError> {
        let ServiceMore { links, external_links, .. } = service.more.as_ref();
        let mut found = Vec::new();
        let instances = if links.is_empty() { Vec::new() } else { self.observe(&stack.name).await? };
        for link in links {
            let (linked, alias) = link.split_once(':').unwrap_or((link, link));
            for one in instances.iter().filter(|i| i.id.service.as_str() == linked) {
                found.push(format!("{}:{alias}", one.name));
                found.push(format!("{}:{linked}-{number}", one.name));
                found.push(format!("{}:{}-{linked}-{number}", one.name, stack.name));
            }
        }
        let aliased =
            |link: &String| if link.contains(':') { link.clone() } else { format!("{link}:{link}") };
        found.extend(external_links.iter().map(aliased));
        Ok(found)
    }

    /// `service[:ro]` is the newest container of the service, its rights those of its own mounts, as with Compose;
    /// `container:name[:ro]` passes through.
    async fn volumes_of(&self, stack: &Stack, from: &str) -> Result<String, DockerError> {
        if let Some(container) = from.strip_prefix("container:") {
            return Ok(container.to_owned());
        }
        let service = from.split(':').next().unwrap_or(from);
        self.container_of(stack, service).await
    }

    async fn container_of(&self, stack: &Stack, service: &str) -> Result<String, DockerError> {
        let instances = self.observe(&stack.name).await?;
        let found = newest(&instances, service).map(|instance| instance.handle.clone());
        found.ok_or_else(|| DockerError::NotFound { what: format!("a container of `{service}`") })
    }

    async fn optionally_shared(
        &self,
        stack: &Stack,
        mode: Option<&str>,
    ) -> Result<Option<String>, DockerError> {
        match mode {
            Some(mode) => self.shared_with(stack, mode).await.map(Some),
            None => Ok(None),
        }
    }

    /// `service:x` is the newest container of `x`; every other mode is the Engine's own.
    async fn shared_with(&self, stack: &Stack, mode: &str) -> Result<String, DockerError> {
        let Some(service) = mode.strip_prefix("service:") else { return Ok(mode.to_owned()) };
        Ok(format!("container:{}", self.container_of(stack, service).await?))
    }
}

fn newest<'i>(instances: &'i [Instance], service: &str) -> Option<&'i Instance> {
    instances.iter().rfind(|instance| instance.id.service.as_str() == service)
}

impl Inspected {
    /// Its id, when it is what `label` says and of `stack`.
    pub(super) fn claimed_by(
        &self,
        name: &str,
        (label, value): (&str, &str),
        stack: &Stack,
    ) -> Result<String, DockerError> {
        let has = |key: &str, value: &str| self.config.labels.get(key).is_some_and(|there| there == value);
        if has(label, value) && has(labels::PROJECT, stack.name.as_str()) {
            return Ok(self.id.clone());
        }
        let holder = self.id.get(..12).unwrap_or(&self.id).to_owned();
        Err(DockerError::NameInUse { name: name.to_owned(), holder })
    }
}

/// The networks of `service`, the one of highest priority first; on each it is known by its container's name,
/// its service's, and the file's aliases.
pub(super) fn networks(
    stack: &Stack,
    service: &Service,
    container: &str,
) -> Result<Vec<(String, EndpointBody)>, DockerError> {
    let mut by_priority: Vec<_> = service.networks.iter().collect();
    by_priority.sort_by_key(|(_, attachment)| std::cmp::Reverse(attachment.priority));
    let one = |(key, attachment): (&String, &NetworkAttachment)| {
        let network = stack
            .networks
            .get(key)
            .ok_or_else(|| DockerError::Undefined { what: format!("network `{key}`") })?;
        let mut aliases = vec![container.to_owned(), service.name.to_string()];
        aliases.extend(attachment.aliases.iter().cloned());
        let ipam_config = EndpointIpam {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: attachment.link_local_ips.clone(),
        };
        let mut driver_opts = attachment.driver_opts.clone();
        if let Some(name) = &attachment.interface_name {
            driver_opts.insert(INTERFACE_NAME.to_owned(), name.clone());
        }
        let endpoint = EndpointBody {
            aliases,
            ipam_config: (ipam_config != EndpointIpam::default()).then_some(ipam_config),
            links: Vec::new(),
            mac_address: attachment.mac_address.clone().unwrap_or_default(),
            driver_opts,
            gw_priority: attachment.gw_priority,
        };
        Ok((network.name.clone(), endpoint))
    };
    let mut networks: Vec<_> = by_priority.into_iter().map(one).collect::<Result<_, _>>()?;
    // The container's own address is that of the network it is made on.
    if let (Some((_, first)), Some(mac)) = (networks.first_mut(), &service.more.mac_address)
        && first.mac_address.is_empty()
    {
        first.mac_address.clone_from(mac);
    }
    Ok(networks)
}

/// Says what a refused creation is about, and takes every value of the environment out of the Engine's words.
fn explain(error: DockerError, name: &str, service: &Service) -> DockerError {
    match error {
        DockerError::Conflict { message, .. } if message.contains("already in use") => {
            DockerError::NameInUse { name: name.to_owned(), holder: "made just now".to_owned() }
        }
        DockerError::Refused { what, status, message } => {
            DockerError::Refused { what, status, message: redact(message, &service.environment) }
        }
        DockerError::Conflict { what, message } => {
            DockerError::Conflict { what, message: redact(message, &service.environment) }
        }
        other => other,
    }
}

fn redact(mut message: String, environment: &BTreeMap<String, Secret>) -> String {
    // Shorter values say nothing, and replacing them would make the message unreadable.
    const WORTH_HIDING: usize = 4;
    for value in environment.values().map(Secret::expose).filter(|value| value.len() >= WORTH_HIDING) {
        message = message.replace(value, "•••");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_environment_are_taken_out_of_messages() {
        let environment = [("KEY".to_owned(), Secret::new("hunter22"))].into();
        assert_eq!(redact("invalid: KEY=hunter22".to_owned(), &environment), "invalid: KEY=•••");
    }
}
