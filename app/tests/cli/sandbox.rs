//! A directory with a stack file and a state directory of its own. Agent and edge end with it.

use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Long enough for any machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Sandbox {
    dir: tempfile::TempDir,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or(-1);
        Self { status, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Each line of the output as JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Sandbox {
    pub fn new(stack: &str) -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        sandbox.write("compose.yaml", stack);
        sandbox
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("MAINSTAY_STATE_DIR", self.dir.path().join("state"))
            .env_remove("COMPOSE_FILE")
            .env_remove("COMPOSE_PROJECT_NAME");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Asks again until the JSON that a command prints is what is waited for.
    #[track_caller]
    pub fn until(&self, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.run(args).ok().json();
            if wanted(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "waited in vain: {seen}");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let version = self.run(&["--json", "version"]).json();
        if version["agent"].is_null() {
            return;
        }
        self.run(&["-p", "test", "down", "-v"]);
        let version = self.run(&["--json", "version"]).json();
        for pid in
            [&version["agent"]["pid"], &version["agent"]["edge_pid"]].into_iter().filter_map(Value::as_u64)
        {
            let _ended = Command::new("kill").arg(pid.to_string()).status();
        }
    }
}

/// Looks again until it is so.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
