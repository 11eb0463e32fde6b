//! The labels by which Compose, and we, know what belongs to whom.

use mainstay_model::{Dependency, DependencyCondition, InstanceId, Service, ServiceName, Stack, StackName};
use std::collections::BTreeMap;

/// Labels of an object of the Engine.
pub(super) type Labels = BTreeMap<String, String>;

pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
pub(super) const NUMBER: &str = "com.docker.compose.container-number";
pub(super) const ONEOFF: &str = "com.docker.compose.oneoff";
pub(super) const NETWORK: &str = "com.docker.compose.network";
pub(super) const VOLUME: &str = "com.docker.compose.volume";
pub(super) const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// A container of a lifecycle hook; the value says of which kind.
pub(super) const HOOK: &str = "com.docker.compose.hook";
const HOOK_INDEX: &str = "com.docker.compose.hook-index";
/// Ids of mounted images, by where they are mounted.
pub(super) const MOUNTED_IMAGES: &str = "com.docker.compose.image-volume-digest";
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
const IMAGE: &str = "com.docker.compose.image";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
const VERSION: &str = "com.docker.compose.version";

/// `InstanceId` as text.
pub(super) const INSTANCE: &str = "mainstay.instance";
pub(super) const HASH: &str = "mainstay.hash";
pub(super) const RELEASE: &str = "mainstay.release";
/// The published TCP ports that are the edge's and not in `PortBindings`.
pub(super) const EDGE_PORTS: &str = "mainstay.edge.ports";
/// A job rather than an instance; the value says which, such as `release.7`.
pub(super) const JOB: &str = "mainstay.job";

/// What tells one container of a service from the next.
pub(super) struct Identity<'a> {
    pub(super) number: u32,
    pub(super) oneoff: bool,
    /// Compose's hash of the service.
    pub(super) hash: &'a str,
    pub(super) image: &'a str,
}

/// The labels that Compose gives a container, over the service's own.
pub(super) fn of_container(stack: &Stack, service: &Service, identity: &Identity<'_>) -> Labels {
    let files: Vec<_> = stack.files.iter().map(|file| file.display().to_string()).collect();
    let mut labels = service.labels.clone();
    labels.extend(
        [
            (PROJECT, stack.name.to_string()),
            (SERVICE, service.name.to_string()),
            (NUMBER, identity.number.to_string()),
            (ONEOFF, if identity.oneoff { "True" } else { "False" }.to_owned()),
            (CONFIG_HASH, identity.hash.to_owned()),
            (CONFIG_FILES, files.join(",")),
            (WORKING_DIR, stack.directory.display().to_string()),
            (IMAGE, identity.image.to_owned()),
            (DEPENDS_ON, depends_on(&service.depends_on)),
            (VERSION, version()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    labels
}

/// The labels that Compose gives the container of a `pre_start:` hook, over its service's own.
pub(super) fn of_pre_start(stack: &Stack, hook: &Service, index: usize) -> Labels {
    let mut labels = hook.labels.clone();
    labels.extend(
        [
            (PROJECT, stack.name.to_string()),
            (SERVICE, hook.name.to_string()),
            (HOOK, "pre_start".to_owned()),
            (HOOK_INDEX, index.to_string()),
            (DEPENDS_ON, String::new()),
            (VERSION, version()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    labels
}

/// Our own labels of an instance.
pub(super) fn of_instance(instance: &InstanceId, hash: &str) -> Labels {
    [(INSTANCE, instance.to_string()), (HASH, hash.to_owned()), (RELEASE, instance.release.to_string())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

/// The labels of a network (`NETWORK`) or volume (`VOLUME`) of `stack`, over its own.
pub(super) fn of_part(stack: &StackName, kind: &str, key: &str, own: &Labels, hash: &str) -> Labels {
    let mut labels = own.clone();
    let hash = (CONFIG_HASH, hash.to_owned());
    labels.extend(
        [(PROJECT, stack.to_string()), (kind, key.to_owned()), (VERSION, version()), hash]
            .map(|(key, value)| (key.to_owned(), value)),
    );
    labels
}

/// The labels that Compose gives an image which it built, over those of the file.
pub(super) fn of_image(stack: &StackName, service: &ServiceName, own: &Labels) -> Labels {
    let mut labels = own.clone();
    labels.extend(
        [(PROJECT, stack.to_string()), (SERVICE, service.to_string()), (VERSION, version())]
            .map(|(key, value)| (key.to_owned(), value)),
    );
    labels
}

/// The Engine's filter for what belongs to `stack`, with `more` labels that it must carry.
pub(super) fn filter(stack: &StackName, more: &[&str]) -> String {
    let mut labels = vec![format!("{PROJECT}={stack}")];
    labels.extend(more.iter().map(|label| (*label).to_owned()));
    serde_json::json!({ "label": labels }).to_string()
}

/// Compose writes its own version here and reads it nowhere; ours says who made the thing.
fn version() -> String {
    concat!("mainstay-", env!("CARGO_PKG_VERSION")).to_owned()
}

/// `db:service_healthy:false,…`: dependency, condition, and whether it restarts with it.
fn depends_on(dependencies: &BTreeMap<ServiceName, Dependency>) -> String {
    let one = |(name, dependency): (&ServiceName, &Dependency)| {
        let condition = match dependency.condition {
            DependencyCondition::ServiceStarted => "service_started",
            DependencyCondition::ServiceHealthy => "service_healthy",
            DependencyCondition::ServiceCompletedSuccessfully => "service_completed_successfully",
        };
        format!("{name}:{condition}:{}", dependency.restart)
    };
    dependencies.iter().map(one).collect::<Vec<_>>().join(",")
}
