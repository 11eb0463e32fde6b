//! A place on a real Engine for one test, and services to put there.

use mainstay_host::docker::{Creation, Docker, LogRequest};
use mainstay_model::{
    EdgeSettings, Instance, InstanceId, Network, Readiness, RestartPolicy, Service, Stack, StackName,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub const IMAGE: &str = "mainstay-test/busybox:1";

/// Longest that anything here may take: a hanging Engine is a failure and not a hanging test run.
const PATIENCE: Duration = Duration::from_secs(120);

/// One test's project on one Engine.
pub struct Site {
    pub docker: Docker,
    pub host: String,
    pub stack: Stack,
    pub directory: PathBuf,
}

/// Runs `test` on the Engine that `variable` names, in a project named for both.
pub fn run(variable: &str, name: &str, test: impl AsyncFn(&mut Site)) {
    let host = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: it names the socket of a Docker Engine; ./test sets it")
    });
    let engine = variable.rsplit('_').next().unwrap().to_lowercase();
    let project = format!("mst-host-{engine}-{}", name.replace('_', "-"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut site = Site::open(&host, &project).await;
        site.clean().await;
        let outcome = tokio::time::timeout(PATIENCE, async {
            use futures_util::FutureExt as _;
            std::panic::AssertUnwindSafe(test(&mut site)).catch_unwind().await
        })
        .await;
        site.clean().await;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => panic!("{name} took longer than {PATIENCE:?}"),
        }
    });
}

/// A service that runs `script` in a shell.
pub fn service(name: &str, script: &str) -> Service {
    Service {
        image: Some(IMAGE.to_owned()),
        command: Some(["/bin/sh", "-c", script].map(str::to_owned).into()),
        readiness: Readiness::Image,
        restart: RestartPolicy::No,
        ..mainstay_testkit::fixture::service(name)
    }
}

/// A service that runs until it is told to stop, and then stops at once.
pub fn idle(name: &str) -> Service {
    service(name, "trap 'exit 0' TERM; while :; do sleep 60 & wait; done")
}

impl Site {
    async fn open(host: &str, project: &str) -> Self {
        let docker = Docker::connect(Some(host)).await.unwrap();
        let directory = std::env::temp_dir().join(project);
        std::fs::create_dir_all(&directory).unwrap();
        let network = Network { name: format!("{project}_default"), ..Network::default() };
        let stack = Stack {
            name: StackName::new(project).unwrap(),
            files: vec![directory.join("compose.yaml")],
            directory: directory.clone(),
            services: BTreeMap::new(),
            networks: [("default".to_owned(), network)].into(),
            volumes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            providers: BTreeMap::new(),
            models: BTreeMap::new(),
            edge: EdgeSettings::default(),
        };
        Self { docker, host: host.to_owned(), stack, directory }
    }

    /// The name of a container of `service` as Compose would have it.
    pub fn name(&self, service: &str) -> String {
        format!("{}-{service}-1", self.stack.name)
    }

    /// Makes what the stack declares besides services.
    pub async fn prepare(&self) {
        for (key, network) in &self.stack.networks {
            self.docker.create_network(&self.stack.name, key, network).await.unwrap();
        }
        for (key, volume) in &self.stack.volumes {
            self.docker.create_volume(&self.stack.name, key, volume).await.unwrap();
        }
    }

    /// Adds `service` to the stack and makes its first instance, of release 1.
    pub async fn create(&mut self, service: Service) -> Result<String, mainstay_host::docker::DockerError> {
        let id = InstanceId { service: service.name.clone(), release: 1, slot: 1 };
        self.create_as(service, &id, false).await
    }

    pub async fn create_as(
        &mut self,
        service: Service,
        id: &InstanceId,
        edge_holds_ports: bool,
    ) -> Result<String, mainstay_host::docker::DockerError> {
        self.prepare().await;
        self.stack.services.insert(service.name.clone(), service.clone());
        let image = self.docker.image_id(service.image.as_deref().unwrap_or(IMAGE)).await.unwrap();
        let hash = self.stack.instance_hash(&service, Some(&image));
        let name = self.name(service.name.as_str());
        let creation = Creation {
            stack: &self.stack,
            service: &service,
            instance: id,
            name: &name,
            number: 1,
            hash: &hash,
            image: &image,
            edge_holds_ports,
            reached: &std::collections::BTreeSet::new(),
        };
        self.docker.create(&creation).await
    }

    /// Makes and starts the first instance of `service`.
    pub async fn up(&mut self, service: Service) -> String {
        let id = self.create(service).await.unwrap();
        self.docker.start(&id).await.unwrap();
        id
    }

    /// The only instance of the stack.
    pub async fn only(&self) -> Instance {
        let mut seen = self.docker.observe(&self.stack.name).await.unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// All that `container` has written so far, or until it ends.
    pub async fn log(&self, container: &str, follow: bool) -> Vec<String> {
        let request = LogRequest { follow, ..LogRequest::default() };
        let mut stream = self.docker.logs(container, &request).await.unwrap();
        let mut lines = Vec::new();
        while let Some(line) = stream.next().await.unwrap() {
            lines.push(line.text);
        }
        lines
    }

    /// Runs `script` in `container`, which has to end well, and gives what it wrote.
    pub async fn sh(&self, container: &str, script: &str) -> String {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        let probed = self.docker.probe(container, &argv, Duration::from_secs(30)).await.unwrap();
        assert_eq!(probed.exit, Some(0), "{script}: {}", probed.output);
        probed.output
    }

    /// What the Engine itself says of something, past the adapter.
    pub fn raw(&self, path: &str) -> serde_json::Value {
        let socket = self.host.trim_start_matches("unix://");
        let address = format!("http://docker{path}");
        let output = std::process::Command::new("curl")
            .args(["-sS", "--unix-socket", socket, &address])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the real docker-compose on the project, and gives what it wrote.
    pub fn compose(&self, arguments: &[&str]) -> String {
        let program = std::env::var("MAINSTAY_TEST_COMPOSE")
            .unwrap_or_else(|_| "/var/cache/mainstay-test/bin/docker-compose".to_owned());
        let output = std::process::Command::new(&program)
            .args(["-p", self.stack.name.as_str()])
            .args(arguments)
            .env("DOCKER_HOST", &self.host)
            .current_dir(&self.directory)
            .output()
            .unwrap_or_else(|e| panic!("{program}: {e}; ./test installs it"));
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker-compose {arguments:?}: {text}");
        text
    }

    /// Removes all of the project.
    async fn clean(&self) {
        let label =
            serde_json::json!({ "label": [format!("com.docker.compose.project={}", self.stack.name)] });
        let filters: String = url(&label.to_string());
        let list = |path: &str| self.raw(&format!("{path}filters={filters}"));
        for container in list("/containers/json?all=1&").as_array().unwrap() {
            self.docker.remove(container["Id"].as_str().unwrap()).await.unwrap();
        }
        for network in list("/networks?").as_array().unwrap() {
            self.docker.remove_network(network["Id"].as_str().unwrap()).await.unwrap();
        }
        for volume in list("/volumes?")["Volumes"].as_array().unwrap_or(&Vec::new()) {
            self.docker.remove_volume(volume["Name"].as_str().unwrap()).await.unwrap();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn url(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
