//! Stacks built in a line, for planner and simulation tests.

use mainstay_model::{
    Dependency, DependencyCondition, EdgeSettings, Healthcheck, Hook, HostPattern, Mount, MountKind, Network,
    PortRange, Protocol, PublishedPort, Readiness, Release, ReleaseNumber, Resources, RestartPolicy, Route,
    RoutePolicy, Secret, Service, ServiceName, Stack, StackName, Timestamp, Transport, Volume,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A service name.
///
/// # Panics
/// When `name` is not one.
pub fn name(name: &str) -> ServiceName {
    ServiceName::new(name).expect("a service name")
}

/// The stack name of all fixtures.
///
/// # Panics
/// Never.
pub fn stack_name() -> StackName {
    StackName::new("shop").expect("a stack name")
}

/// A container service with a healthcheck that restarts always and runs one copy.
#[allow(clippy::too_many_lines)] // One line for each field of the model.
pub fn service(service: &str) -> Service {
    Service {
        name: name(service),
        image: Some(format!("shop/{service}")),
        build: None,
        pull_policy: None,
        platform: None,
        command: None,
        entrypoint: None,
        config_hash: None,
        environment: BTreeMap::new(),
        ports: Vec::new(),
        expose: Vec::new(),
        mounts: Vec::new(),
        networks: BTreeMap::from([("default".into(), mainstay_model::NetworkAttachment::default())]),
        network_mode: None,
        depends_on: BTreeMap::new(),
        readiness: Readiness::Healthcheck { check: healthcheck() },
        restart: RestartPolicy::Always,
        resources: Resources::default(),
        replicas: 1,
        logging: None,
        labels: BTreeMap::new(),
        user: None,
        group_add: Vec::new(),
        working_dir: None,
        init: None,
        stop_signal: None,
        stop_grace_period: Duration::from_secs(10),
        container_name: None,
        hostname: None,
        domainname: None,
        extra_hosts: BTreeMap::new(),
        dns: Vec::new(),
        dns_search: Vec::new(),
        dns_opt: Vec::new(),
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        privileged: false,
        read_only: false,
        security_opt: Vec::new(),
        sysctls: BTreeMap::new(),
        ulimits: BTreeMap::new(),
        shm_size: None,
        tty: false,
        stdin_open: false,
        devices: Vec::new(),
        pid: None,
        ipc: None,
        more: Box::default(),
        secrets: Vec::new(),
        configs: Vec::new(),
        profiles: Vec::new(),
        routes: Vec::new(),
        release_job: None,
    }
}

fn healthcheck() -> Healthcheck {
    Healthcheck {
        test: vec!["true".into()],
        shell: false,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        retries: 3,
        start_period: Duration::ZERO,
        start_interval: None,
    }
}

/// Short ways to say what a fixture service is.
pub trait ServiceExt: Sized {
    /// Served at `host`, everything under `/`.
    #[must_use]
    fn routed(self, host: &str) -> Self;
    /// Writes to a volume of its own.
    #[must_use]
    fn with_volume(self, key: &str) -> Self;
    /// Needs `service` in `condition`.
    #[must_use]
    fn needs(self, service: &str, condition: DependencyCondition) -> Self;
    /// Has containers that run before it starts, and commands that run in it after that.
    #[must_use]
    fn hooked(self) -> Self;
    /// Carries `version` in its environment, so that two versions differ.
    #[must_use]
    fn version(self, version: u64) -> Self;
    /// With this TCP port published, one for one.
    fn publishes(self, port: u16) -> Self;
}

impl ServiceExt for Service {
    fn routed(mut self, host: &str) -> Self {
        let host = HostPattern::try_from(host.to_string()).unwrap_or(HostPattern::Any);
        let policy = RoutePolicy::default();
        let transport = Transport::default();
        self.routes.push(Route {
            host,
            path: "/".into(),
            port: Some(8000),
            www: false,
            transport,
            passthrough: false,
            policy,
        });
        self
    }

    fn with_volume(mut self, key: &str) -> Self {
        let kind =
            MountKind::Volume { key: key.into(), nocopy: false, subpath: None, labels: BTreeMap::new() };
        self.mounts.push(Mount { kind, target: "/data".into(), read_only: false });
        self
    }

    fn needs(mut self, service: &str, condition: DependencyCondition) -> Self {
        self.depends_on.insert(name(service), Dependency { condition, restart: false, required: true });
        self
    }

    fn publishes(mut self, port: u16) -> Self {
        let port = PortRange { start: port, end: port };
        let (host_ip, published, target, protocol) = (None, Some(port), port, Protocol::Tcp);
        self.ports.push(PublishedPort {
            host_ip,
            published,
            target,
            protocol,
            name: None,
            app_protocol: None,
        });
        self
    }

    fn hooked(mut self) -> Self {
        let hook = Hook {
            command: vec!["true".into()],
            user: None,
            privileged: false,
            working_dir: None,
            environment: BTreeMap::new(),
        };
        self.more.pre_start = vec![service("prepare")];
        self.more.post_start = vec![hook];
        self
    }

    fn version(mut self, version: u64) -> Self {
        self.environment.insert("VERSION".into(), Secret::new(version.to_string()));
        self
    }
}

/// A stack of `services`, with the networks and volumes that they name.
pub fn stack(services: impl IntoIterator<Item = Service>) -> Stack {
    let services: BTreeMap<_, _> = services.into_iter().map(|s| (s.name.clone(), s)).collect();
    let keys = services.values().flat_map(|s| &s.mounts).filter_map(|m| match &m.kind {
        MountKind::Volume { key, .. } => Some(key.clone()),
        _ => None,
    });
    let volumes =
        keys.map(|key| (key.clone(), Volume { name: format!("shop_{key}"), ..Volume::default() })).collect();
    let network = Network { name: "shop_default".into(), ..Network::default() };
    Stack {
        name: stack_name(),
        directory: PathBuf::from("/srv/shop"),
        files: vec![PathBuf::from("/srv/shop/compose.yaml")],
        services,
        networks: BTreeMap::from([("default".into(), network)]),
        volumes,
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        jobs: BTreeMap::new(),
        providers: BTreeMap::new(),
        models: BTreeMap::new(),
        edge: EdgeSettings::default(),
    }
}

/// Release `number` of `stack`, images named after the services.
pub fn release(number: ReleaseNumber, stack: Stack) -> Release {
    let images = stack.services.keys().map(|s| (s.clone(), format!("sha256:{s}"))).collect();
    Release { number, stack, images, created: Timestamp(0) }
}
