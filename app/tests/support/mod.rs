//! A stack of native services in a directory of its own, with the real agent and the real edge.

// Every test program uses another part of this.
#![allow(dead_code)]

pub mod load;
pub mod processes;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const BIN: &str = env!("CARGO_BIN_EXE_mainstay");
/// Long enough for any machine; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// A web service in two instances with a release job, one that must not run twice, a worker, a clock that never
/// changes.
const STACK: &str = r#"
name: shop
x-app: &app
  environment: { VERSION: "${VERSION}", SITE: "${SITE}" }
  restart: always
  stop_grace_period: 5s
  healthcheck: { test: [CMD, "${BIN}", demo-app, healthcheck], interval: 200ms, timeout: 20s, retries: 3 }
services:
  web:
    <<: *app
    command: ["${BIN}", demo-app, web]
    deploy: { replicas: 2 }
    x-mainstay:
      release: sh -c 'echo $$VERSION >> "$$SITE/jobs"'
      routes: [{ host: web.test, path: / }]
  beat:
    <<: *app
    environment: { VERSION: "${BEAT}", SITE: "${SITE}" }
    command: ["${SITE}/celery", beat]
    x-mainstay:
      routes: [{ host: beat.test, path: / }]
  worker:
    <<: *app
    command: [sleep, infinity]
    healthcheck: { test: [CMD, "true"], interval: 200ms }
    depends_on: { web: { condition: service_healthy } }
  clock:
    command: [sleep, infinity]
    environment: { SITE: "${SITE}" }
    restart: always
x-mainstay:
  edge:
    listen: { http: "${LISTEN}" }
"#;

/// Stands for Celery Beat, of which two must never run; says so when two do.
const CELERY: &str = r#"#!/bin/sh
exec 9> "$SITE/beat.lock"
flock -n 9 || echo "$VERSION" >> "$SITE/overlaps"
exec "$MAINSTAY" demo-app web
"#;

/// The directory, and what runs in it.
pub struct Site {
    dir: TempDir,
    pub port: u16,
    pub agent: Option<Child>,
}

impl Site {
    /// The usual stack.
    pub fn new() -> Self {
        Self::of(STACK)
    }

    /// Another stack.
    pub fn of(stack: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("mainstay-test-").tempdir().unwrap();
        let port = free_port();
        fs::write(dir.path().join("compose.yaml"), stack).unwrap();
        let celery = dir.path().join("celery");
        fs::write(&celery, CELERY.replace("$MAINSTAY", BIN)).unwrap();
        fs::set_permissions(&celery, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, port, agent: None }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Starts the agent, that it may die at its `crash_at`-th crash point. False: it has died already.
    pub fn start_agent(&mut self, crash_at: Option<u64>) -> bool {
        assert!(self.agent.is_none(), "an agent runs already");
        fs::create_dir_all(self.state_dir()).unwrap();
        let log = File::options().create(true).append(true).open(self.dir().join("agent.log")).unwrap();
        let mut command = Command::new(BIN);
        command.arg("agent").args(["--edge-user", ""]).arg("--state-dir").arg(self.state_dir());
        command.args(["--http", &format!("127.0.0.1:{}", self.port)]);
        command.env_remove("MAINSTAY_CRASH_AT").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        if let Some(number) = crash_at {
            command.env("MAINSTAY_CRASH_AT", number.to_string());
        }
        self.agent = Some(command.spawn().unwrap());
        let alive = until("the agent answers", || match self.agent_has_ended() {
            true => Some(false),
            false => self.get("/v1/info").map(|_| true),
        });
        if !alive {
            self.agent = None;
        }
        alive
    }

    pub fn agent_has_ended(&mut self) -> bool {
        self.agent.as_mut().is_none_or(|agent| agent.try_wait().unwrap().is_some())
    }

    /// `kill -9`.
    pub fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    /// After a crash point the process is gone; takes note of that and starts another one.
    pub fn restart_agent(&mut self) {
        self.kill_agent();
        // A command that found none has started one itself.
        processes::of(self.dir())
            .iter()
            .filter(|p| processes::is_agent(p))
            .for_each(|p| processes::kill(p.pid));
        until("no agent is left", || {
            (!processes::of(self.dir()).iter().any(processes::is_agent)).then_some(())
        });
        assert!(self.start_agent(None), "the agent does not start again: {}", self.log());
    }

    /// Chooses what the next `up` deploys.
    pub fn write_env(&self, web: u32, beat: u32) {
        let text = format!(
            "BIN='{BIN}'\nSITE='{}'\nVERSION={web}\nBEAT={beat}\nLISTEN=127.0.0.1:{}\n",
            self.dir().display(),
            self.port
        );
        fs::write(self.dir().join(".env"), text).unwrap();
    }

    pub fn up(&self, web: u32, beat: u32) -> Output {
        self.write_env(web, beat);
        self.run(&["up"])
    }

    /// Runs a command of the CLI to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BIN);
        command.args(["-f", "compose.yaml", "--state-dir"]).arg(self.state_dir()).args(args);
        command.current_dir(self.dir()).env_remove("MAINSTAY_CRASH_AT").env("NO_COLOR", "1");
        command.stdin(Stdio::null());
        command
    }

    /// Asks the agent; `None` when it cannot be asked.
    pub fn get(&self, path: &str) -> Option<Value> {
        ask(&self.state_dir().join("agent.sock"), "GET", path)
    }

    pub fn post(&self, path: &str) -> Option<Value> {
        ask(&self.state_dir().join("agent.sock"), "POST", path)
    }

    pub fn view(&self) -> Value {
        self.get("/v1/stacks/shop").expect("the agent knows the stack")
    }

    /// Instances by id.
    pub fn instances(&self) -> BTreeMap<String, Value> {
        instances(&self.view())
    }

    /// Waits until no deploy is under way and every service has what it should have, then gives the release.
    pub fn settled(&self) -> Option<u64> {
        self.settled_view()["release"].as_u64()
    }

    /// The same, with all that is seen; nothing where the stack is not known.
    pub fn settled_view(&self) -> Value {
        until("the stack settles", || {
            if self.get("/v1/stacks")?.as_array()?.is_empty() {
                return Some(Value::Null);
            }
            let view = self.get("/v1/stacks/shop")?;
            let whole = |service: &Value| {
                let instances = service["instances"].as_array().unwrap();
                let ready = instances.iter().filter(|i| i["health"] == "ready").count() as u64;
                Some(ready) == service["replicas"].as_u64() && ready == instances.len() as u64
            };
            let services = view["services"].as_array()?;
            let settled = view["deploy"].is_null() && services.iter().all(whole);
            settled.then(|| view.clone())
        })
    }

    /// Process id of an instance's command, from what its shim wrote.
    pub fn pid(&self, instance: &str) -> i32 {
        let path = self.state_dir().join("native/shop").join(instance).join("status.json");
        let status: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        status["child"]["pid"].as_i64().unwrap() as i32
    }

    pub fn pids(&self) -> BTreeMap<String, i32> {
        self.instances().into_keys().map(|id| (id.clone(), self.pid(&id))).collect()
    }

    pub fn edge_pid(&self) -> Option<i32> {
        self.get("/v1/info")?["edge_pid"].as_i64().map(|pid| pid as i32)
    }

    /// What the agent keeps on disk for instances and jobs.
    pub fn kept(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.state_dir().join("native/shop")) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Lines of a file that the services write.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Last lines of the agent's log, for messages.
    pub fn log(&self) -> String {
        let lines = self.lines("agent.log");
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill_agent();
        processes::kill_all_of(self.dir());
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Instances of a view by id.
pub fn instances(view: &Value) -> BTreeMap<String, Value> {
    let services = view["services"].as_array().unwrap().iter();
    let all = services.flat_map(|s| s["instances"].as_array().unwrap().clone());
    all.map(|i| (i["id"].as_str().unwrap().to_owned(), i)).collect()
}

/// Looks until there is what is looked for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}

/// A port that nobody listens on, below those that native instances and clients are given, so that none takes it.
pub fn free_port() -> u16 {
    let begin = 10_000 + (std::process::id() % 9_900) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    // Tests that run at once in one process must not choose the same.
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    std::iter::repeat_with(|| begin + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        .find(free)
        .unwrap()
}

fn ask(socket: &Path, method: &str, path: &str) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let head = "Host: agent\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2";
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\n\r\n{{}}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).ok())?
}

/// Standard error as text.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
