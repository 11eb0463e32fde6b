//! A state directory, services made of shell lines, and ways to wait for what they do.

use mainstay_host::native::{LogLine, Native, NativeError};
use mainstay_model::{
    Instance, InstanceId, InstanceState, Readiness, RestartPolicy, Secret, Service, ServiceName, StackName,
};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Long enough for any machine; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Host {
    pub dir: tempfile::TempDir,
    pub native: Native,
    pub stack: StackName,
}

impl Host {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let native = Native::new(dir.path(), env!("CARGO_BIN_EXE_host-test-process"));
        Self { dir, native, stack: StackName::new("shop").unwrap() }
    }

    pub async fn create(&self, service: &Service, port: Option<u16>) -> InstanceId {
        let id = id(service.name.as_str(), 1);
        self.native.create(&self.stack, service, &id, "hash", port).await.unwrap();
        id
    }

    pub async fn start(&self, service: &Service) -> InstanceId {
        let id = self.create(service, None).await;
        self.native.start(&self.stack, &id).await.unwrap();
        id
    }

    pub async fn try_start(&self, service: &Service) -> Result<(), NativeError> {
        let id = self.create(service, None).await;
        self.native.start(&self.stack, &id).await
    }

    pub async fn instance(&self, id: &InstanceId) -> Instance {
        let all = self.native.observe(&self.stack).await.unwrap();
        all.into_iter().find(|instance| instance.id == *id).unwrap()
    }

    /// Follows the log to the end of the instance, and gives the end.
    pub async fn run(&self, service: &Service) -> (i32, bool) {
        let id = self.start(service).await;
        self.end(&id).await
    }

    pub async fn end(&self, id: &InstanceId) -> (i32, bool) {
        self.log_to_the_end(id).await;
        match self.instance(id).await.state {
            InstanceState::Exited { code, oom, .. } => (code, oom),
            other => panic!("still {other:?}"),
        }
    }

    pub async fn log_to_the_end(&self, id: &InstanceId) -> Vec<LogLine> {
        let mut lines = self.native.logs(&self.stack, id, true, None, None).await.unwrap();
        let mut seen = Vec::new();
        while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap() {
            seen.push(line.unwrap());
        }
        seen
    }

    /// The first line of the log that satisfies `wanted`.
    pub async fn line(&self, id: &InstanceId, wanted: impl Fn(&str) -> bool) -> String {
        let mut lines = self.native.logs(&self.stack, id, true, None, None).await.unwrap();
        loop {
            let line =
                tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap().line;
            if wanted(&line) {
                return line;
            }
        }
    }

    pub fn instance_dir(&self, id: &InstanceId) -> std::path::PathBuf {
        self.dir.path().join("native").join(self.stack.as_str()).join(id.to_string())
    }

    pub fn status(&self, id: &InstanceId) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.instance_dir(id).join("status.json")).unwrap()).unwrap()
    }

    pub fn child(&self, id: &InstanceId) -> i32 {
        i32::try_from(self.status(id)["child"]["pid"].as_i64().unwrap()).unwrap()
    }

    pub fn shim(&self, id: &InstanceId) -> i32 {
        i32::try_from(self.status(id)["shim"]["pid"].as_i64().unwrap()).unwrap()
    }
}

impl Drop for Host {
    /// Leaves nothing running, whatever the test came to.
    fn drop(&mut self) {
        let Ok(stacks) = fs::read_dir(self.dir.path().join("native")) else { return };
        for instance in
            stacks.flatten().flat_map(|stack| fs::read_dir(stack.path()).into_iter().flatten().flatten())
        {
            let Ok(bytes) = fs::read(instance.path().join("status.json")) else { continue };
            let Ok(status) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
            if status["exited"].is_null()
                && let Some(pid) = status["child"]["pid"].as_i64()
            {
                kill(i32::try_from(pid).unwrap_or(i32::MAX));
            }
        }
    }
}

pub fn id(service: &str, slot: u32) -> InstanceId {
    InstanceId { service: ServiceName::new(service).unwrap(), release: 1, slot }
}

/// A service that runs `script` in a shell.
pub fn shell(script: &str) -> Service {
    service(&["/bin/sh", "-c", script])
}

pub fn service(command: &[&str]) -> Service {
    Service {
        image: None,
        command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        networks: BTreeMap::new(),
        readiness: Readiness::Running,
        restart: RestartPolicy::No,
        ..mainstay_testkit::fixture::service("app")
    }
}

pub fn with_env(mut service: Service, name: &str, value: &str) -> Service {
    service.environment.insert(name.to_owned(), Secret::new(value));
    service
}

/// Exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Returns when `pid` is gone, told by the kernel.
pub async fn gone(pid: i32) {
    let waited = tokio::task::spawn_blocking(move || {
        let Some(pid) = rustix::process::Pid::from_raw(pid) else { return };
        let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut fds, Some(&limit)), Ok(1), "{pid:?} is still there");
    });
    waited.await.unwrap();
}

pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
