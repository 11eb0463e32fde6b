//! What Mainstay makes of a file, held against what Docker Compose makes of it: containers, networks and volumes agree but
//! for ids, times, our own labels, and the port bindings of containers whose ports the edge holds.

use mainstay_config::{ReadError, Request, Source};
use mainstay_host::docker::{Creation, Docker};
use mainstay_model::{InstanceId, RuntimeKind, Service, ServiceName, Stack};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of `corpus/`, each a project of its own.
const FILES: [&str; 5] = ["process", "limits", "network", "storage", "other"];

/// What is there of a project, by name.
#[derive(Debug, Default, PartialEq)]
struct Sight {
    containers: BTreeMap<String, Value>,
    networks: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
}

/// Files and variables of this process.
struct Host;

impl Source for Host {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        std::fs::read(path).map_err(|error| ReadError::Other(error.to_string()))
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn variables(&self) -> BTreeMap<String, String> {
        std::env::vars().collect()
    }
}

struct Project {
    name: String,
    directory: PathBuf,
    file: PathBuf,
    host: String,
}

impl Project {
    fn compose(&self, words: &[&str]) {
        let program = std::env::var("MAINSTAY_TEST_COMPOSE").unwrap_or_else(|_| "docker-compose".into());
        let mut command = Command::new(program);
        command.arg("-f").arg(&self.file).args(["-p", &self.name]).args(words);
        let output = command.current_dir(&self.directory).env("DOCKER_HOST", &self.host).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker-compose {words:?} on {}: {text}", self.file.display());
    }

    fn load(&self) -> Stack {
        let request = Request {
            working_dir: self.directory.clone(),
            files: vec![self.file.clone()],
            project_name: Some(self.name.clone()),
            ..Request::default()
        };
        let loaded = mainstay_config::load(&request, &Host);
        loaded.stack.unwrap_or_else(|| panic!("{}: {:?}", self.file.display(), loaded.diagnostics))
    }

    /// Makes everything, as the agent does it: what is shared first, services after those they need.
    async fn create(&self, docker: &Docker) {
        let stack = self.load();
        for (key, network) in stack.networks.iter().filter(|(_, network)| !network.external) {
            docker.create_network(&stack.name, key, network).await.unwrap();
        }
        for (key, volume) in stack.volumes.iter().filter(|(_, volume)| !volume.external) {
            docker.create_volume(&stack.name, key, volume).await.unwrap();
        }
        let mut made = BTreeSet::new();
        for service in stack.services.values() {
            self.create_service(docker, &stack, service, &mut made).await;
        }
    }

    async fn create_service(
        &self,
        docker: &Docker,
        stack: &Stack,
        service: &Service,
        made: &mut BTreeSet<ServiceName>,
    ) {
        if !made.insert(service.name.clone()) || service.runtime() == RuntimeKind::Native {
            return;
        }
        for needed in service.depends_on.keys().filter_map(|name| stack.services.get(name)) {
            Box::pin(self.create_service(docker, stack, needed, made)).await;
        }
        let image = docker.image_id(service.image.as_deref().unwrap()).await.unwrap();
        for number in 1..=service.replicas {
            let instance = &InstanceId { service: service.name.clone(), release: 1, slot: number };
            let own = format!("{}-{}-{number}", self.name, service.name);
            let name = service.container_name.as_ref().unwrap_or(&own);
            let edge_holds_ports = mainstay_plan::edge_holds_ports(stack, service);
            let reached = &BTreeSet::new();
            let (image, hash) = (image.as_str(), "ours");
            docker
                .create(&Creation {
                    stack,
                    service,
                    instance,
                    name,
                    number,
                    hash,
                    image,
                    edge_holds_ports,
                    reached,
                })
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", service.name));
        }
    }

    fn look(&self) -> Sight {
        let filter = format!(r#"{{"label":["com.docker.compose.project={}"]}}"#, self.name);
        let list = |path: &str| self.get(&format!("{path}filters={}", escape(&filter)));
        let mut sight = Sight::default();
        let ids: Vec<String> = names(&list("/containers/json?all=1&"), "Id");
        let containers = ids.iter().map(|id| self.get(&format!("/containers/{id}/json")));
        let containers: Vec<Value> = containers.collect();
        // References between containers are by id; names say the same and stay.
        let called: BTreeMap<String, String> =
            containers.iter().map(|c| (text(c, "Id"), text(c, "Name"))).collect();
        for container in containers {
            sight.containers.insert(text(&container, "Name"), tidy_container(container, &called));
        }
        for network in names(&list("/networks?"), "Id") {
            let network = self.get(&format!("/networks/{network}"));
            sight.networks.insert(text(&network, "Name"), tidy_network(network));
        }
        for volume in list("/volumes?")["Volumes"].as_array().cloned().unwrap_or_default() {
            sight.volumes.insert(text(&volume, "Name"), tidy(volume, &["CreatedAt"]));
        }
        sight
    }

    fn get(&self, path: &str) -> Value {
        let socket = self.host.trim_start_matches("unix://");
        let address = format!("http://docker{path}");
        let output = Command::new("curl").args(["-sS", "--unix-socket", socket, &address]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| text(one, key)).collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Without what can differ between two makings of the same thing.
fn tidy(mut value: Value, without: &[&str]) -> Value {
    let fields = value.as_object_mut().unwrap();
    without.iter().for_each(|key| drop(fields.remove(*key)));
    if let Some(Value::Object(labels)) = fields.get_mut("Labels") {
        tidy_labels(labels);
    }
    value
}

fn tidy_labels(labels: &mut Map<String, Value>) {
    labels.retain(|key, _| !key.starts_with("mainstay.") && key != "com.docker.compose.version");
    if let Some(Value::String(depends)) = labels.get_mut("com.docker.compose.depends_on") {
        // Compose writes it in the order of a Go map, another one each time.
        let mut each: Vec<_> = depends.split(',').collect();
        each.sort_unstable();
        *depends = each.join(",");
    }
}

/// Subnets that the Engine chose itself are others each time.
fn tidy_network(network: Value) -> Value {
    let chosen = !text(&network, "Name").ends_with("_addressed");
    let mut network = tidy(network, &["Id", "Created", "Containers", "Status"]);
    if chosen {
        network["IPAM"]["Config"] = Value::Null;
    }
    network
}

fn tidy_container(container: Value, called: &BTreeMap<String, String>) -> Value {
    let id = text(&container, "Id");
    let held = container["Config"]["Labels"]["mainstay.edge.ports"].is_string();
    // Paths and hashes that are made of the id.
    let without = [
        "Id",
        "Created",
        "State",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "GraphDriver",
        "Storage",
        "ImageManifestDescriptor",
    ];
    let mut container = tidy(container, &without);
    let config = container["Config"].as_object_mut().unwrap();
    if let Some(Value::Object(labels)) = config.get_mut("Labels") {
        tidy_labels(labels);
    }
    if config["Hostname"].as_str().is_some_and(|name| id.starts_with(name)) {
        config.insert("Hostname".into(), "its id".into());
    }
    if let Some(Value::Array(env)) = config.get_mut("Env") {
        env.sort_by_key(Value::to_string);
    }
    if held {
        container["HostConfig"]["PortBindings"] = Value::Null;
    }
    for (_, endpoint) in container["NetworkSettings"]["Networks"].as_object_mut().into_iter().flatten() {
        tidy_endpoint(endpoint.as_object_mut().unwrap(), &id);
    }
    let network_settings = container["NetworkSettings"].as_object_mut().unwrap();
    network_settings.retain(|key, _| key == "Networks");
    // Compose writes these in the order of a Go map, another one each time.
    for key in ["Binds", "ExtraHosts", "Mounts", "Ulimits"] {
        if let Some(Value::Array(items)) = container["HostConfig"].get_mut(key) {
            items.sort_by_key(|item| item["Target"].as_str().map_or_else(|| item.to_string(), str::to_owned));
        }
    }
    if let Some(Value::Array(mounts)) = container.get_mut("Mounts") {
        mounts.sort_by_key(|mount| text(mount, "Destination"));
        mounts.iter_mut().filter(|m| m["Type"] == "image").for_each(|m| m["Source"] = Value::Null);
        for mount in mounts.iter_mut().filter(|m| m["Name"].as_str().is_some_and(|name| name.len() == 64)) {
            mount["Name"] = "anonymous".into();
            mount["Source"] = "anonymous".into();
        }
    }
    // Where the container of another service is part of what is hashed, so is its id.
    let host = &container["HostConfig"];
    let shares =
        ["NetworkMode", "PidMode", "IpcMode"].iter().any(|key| text(host, key).starts_with("container:"));
    if shares || host["VolumesFrom"].as_array().is_some_and(|from| !from.is_empty()) {
        container["Config"]["Labels"]["com.docker.compose.config-hash"] = Value::Null;
    }
    let mut written = container.to_string();
    for (id, name) in called {
        written = written.replace(id.as_str(), name);
    }
    serde_json::from_str(&written).unwrap()
}

/// Without addresses, and with the names that do not come from the id.
fn tidy_endpoint(fields: &mut Map<String, Value>, id: &str) {
    for key in ["NetworkID", "EndpointID", "Gateway", "IPAddress", "GlobalIPv6Address", "IPv6Gateway"] {
        fields.remove(key);
    }
    for key in ["Aliases", "DNSNames"] {
        if let Some(Value::Array(names)) = fields.get_mut(key) {
            names.retain(|name| name.as_str().is_some_and(|name| !id.starts_with(name)));
            names.sort_by_key(Value::to_string);
            names.dedup();
        }
    }
}

/// Every place at which two values differ.
pub fn differences(at: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                differences(&format!("{at}.{key}"), a, b, found);
            }
        }
        (a, b) if is_nothing(a) && is_nothing(b) => {}
        (a, b) if a != b => found.push(format!("{at}\n    compose:  {a}\n    mainstay: {b}")),
        _ => {}
    }
}

/// The Engine shows what was sent as `null` and what was sent empty differently, and takes it for the same.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn compare(engine: &str) {
    let host = crate::harness::docker_host(engine);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let docker = runtime.block_on(Docker::connect(Some(&host))).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/corpus");
    let mut found = Vec::new();
    let mut count = 0;
    let newest = (engine == "NEWEST").then_some("newest");
    for file in FILES.into_iter().chain(newest) {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        for name in [&format!("{file}.yaml"), "values.env"] {
            std::fs::copy(corpus.join(name), directory.join(name)).unwrap();
        }
        let name = format!("mst-inspect-{}-{file}", engine.to_lowercase());
        let file = directory.join(format!("{file}.yaml"));
        let project = Project { name, directory, file, host: host.clone() };
        project.compose(&["down", "-v", "--remove-orphans"]);
        project.compose(&["create"]);
        let theirs = project.look();
        project.compose(&["down", "-v"]);
        runtime.block_on(project.create(&docker));
        let ours = project.look();
        project.compose(&["down", "-v"]);
        count += theirs.containers.len();
        for (theirs, ours) in [
            (theirs.containers, ours.containers),
            (theirs.networks, ours.networks),
            (theirs.volumes, ours.volumes),
        ] {
            for name in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                let (a, b) =
                    (theirs.get(name).unwrap_or(&Value::Null), ours.get(name).unwrap_or(&Value::Null));
                differences(name, a, b, &mut found);
            }
        }
    }
    assert!(count >= 40, "only {count} containers were compared");
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn on_debian() {
    compare("DEBIAN");
}

#[test]
fn on_the_newest() {
    compare("NEWEST");
}
