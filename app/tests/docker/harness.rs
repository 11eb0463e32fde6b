//! A directory with a stack file, an agent of its own, and somebody who keeps asking the stack for its page.

#![allow(clippy::print_stderr, reason = "a test that fails shows the log of its agent")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One test's place.
pub struct Site {
    pub directory: tempfile::TempDir,
    pub project: String,
    /// Where the edge serves routes.
    pub http: u16,
    /// A port that the stack may publish.
    pub port: u16,
    pub docker_host: String,
    /// Further variables of every process that is started.
    pub environment: Vec<(String, String)>,
    agent: Option<Child>,
}

/// The address of an Engine, which `./test` starts.
pub fn docker_host(engine: &str) -> String {
    let variable = format!("MAINSTAY_TEST_DOCKER_{engine}");
    std::env::var(&variable).unwrap_or_else(|_| panic!("{variable} names no Engine; run ./test"))
}

/// Runs `test` on an Engine.
pub fn run(engine: &str, name: &str, test: fn(&mut Site)) {
    let docker_host = docker_host(engine);
    let project = format!("mst-app-{}-{}", engine.to_lowercase(), name.replace('_', "-"));
    let mut site = Site::new(docker_host, project);
    site.start_agent();
    test(&mut site);
}

impl Site {
    pub fn new(docker_host: String, project: String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            project,
            http: free_port(),
            port: free_port(),
            docker_host,
            environment: Vec::new(),
            agent: None,
        }
    }

    /// Writes the stack file.
    pub fn compose(&self, text: &str) {
        let text = text.replace("@port@", &self.port.to_string());
        std::fs::write(self.directory.path().join("compose.yaml"), text).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn start_agent(&mut self) {
        let path = self.directory.path().join("agent.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        let http = format!("127.0.0.1:{}", self.http);
        let mut command = self.command();
        command.args(["agent", "--http", &http]).stdout(log.try_clone().unwrap()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
        let socket = self.state().join("agent.sock");
        until("the agent answers", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    }

    /// As `kill -9` does.
    pub fn kill_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// The binary, in the stack's directory.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.arg("--state-dir").arg(self.state()).args(["-p", &self.project]);
        command.current_dir(self.directory.path()).env("DOCKER_HOST", &self.docker_host).stdin(Stdio::null());
        command.envs(self.environment.clone());
        command
    }

    /// Runs the binary; what it printed, both streams.
    pub fn mainstay(&self, words: &[&str]) -> (bool, String) {
        both(&self.command().args(words).output().unwrap())
    }

    /// Runs the binary and expects success.
    pub fn ok(&self, words: &[&str]) -> String {
        let (ok, text) = self.mainstay(words);
        assert!(ok, "mainstay {words:?}: {text}\n{}", self.agent_log());
        text
    }

    /// Runs the binary and expects failure.
    pub fn fails(&self, words: &[&str]) -> String {
        let (ok, text) = self.mainstay(words);
        assert!(!ok, "mainstay {words:?} did not fail: {text}");
        text
    }

    /// Runs Compose on the same stack.
    pub fn docker_compose(&self, words: &[&str]) -> String {
        let mut command = self.docker_compose_command(words);
        let (ok, text) = both(&command.envs(self.environment.clone()).output().unwrap());
        assert!(ok, "docker-compose {words:?}: {text}");
        text
    }

    /// Compose on the same stack, with nothing of the stack's environment.
    pub fn docker_compose_command(&self, words: &[&str]) -> Command {
        let program = std::env::var("MAINSTAY_TEST_COMPOSE").unwrap_or_else(|_| "docker-compose".into());
        let mut command = Command::new(program);
        command.args(["-p", &self.project]).args(words).current_dir(self.directory.path());
        command.env("DOCKER_HOST", &self.docker_host);
        command
    }

    /// What the Engine's own API answers to a request of this method and path.
    pub fn engine(&self, method: &str, path: &str) -> String {
        let socket = self.docker_host.trim_start_matches("unix://");
        let address = format!("http://docker{path}");
        let mut curl = Command::new("curl");
        both(&curl.args(["-sS", "-X", method, "--unix-socket", socket, &address]).output().unwrap()).1
    }

    /// What the Engine says of a container.
    pub fn inspect(&self, container: &str) -> serde_json::Value {
        serde_json::from_str(&self.engine("GET", &format!("/containers/{container}/json"))).unwrap()
    }

    /// How many containers the stack has; `None` when one went while they were listed.
    pub fn containers(&self) -> Option<usize> {
        let (ok, text) = both(&self.docker_compose_command(&["ps", "-aq"]).output().unwrap());
        ok.then(|| text.lines().count())
    }

    /// The page behind the published port.
    pub fn page(&self) -> Result<String, String> {
        page(self.port)
    }

    pub fn agent_log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("agent.log")).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.agent.is_none() {
            self.start_agent();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.agent_log());
        }
        let _ = self.command().args(["down", "-v"]).output();
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let directory = self.state().join("edge");
        edges_in(&directory).into_iter().for_each(|pid| {
            let _ = Command::new("kill").arg(pid.to_string()).output();
        });
    }
}

/// An edge outlives the agent that started it; it is known by its directory.
fn edges_in(directory: &std::path::Path) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line)
            .split('\0')
            .any(|word| std::path::Path::new(word).starts_with(directory))
    };
    pids.filter(ours).collect()
}

/// Somebody who asks for the page all the time.
pub struct Visitor {
    end: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<Result<String, String>>>,
}

impl Visitor {
    pub fn of(port: u16) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !told.load(Ordering::Relaxed) {
                answers.push(page(port));
                std::thread::sleep(Duration::from_millis(10));
            }
            answers
        });
        Self { end, thread }
    }

    /// What came of every request.
    pub fn all(self) -> Vec<Result<String, String>> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }

    /// What was answered, every one.
    pub fn answers(self) -> Vec<String> {
        let answers = self.all();
        let total = answers.len();
        let lost: Vec<_> = answers.iter().filter_map(|a| a.as_ref().err()).collect();
        assert!(
            lost.is_empty(),
            "{} of {total} requests were lost: {:?}",
            lost.len(),
            &lost[..lost.len().min(3)]
        );
        answers.into_iter().flatten().collect()
    }
}

/// One request over a connection of its own; anything but a whole 200 is an error.
pub fn page(port: u16) -> Result<String, String> {
    page_of(port, "/")
}

/// The same of another path; an error is the whole answer.
pub fn page_of(port: u16, path: &str) -> Result<String, String> {
    let mut answer = Vec::new();
    let mut ask = || {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: any.test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        stream.read_to_end(&mut answer)
    };
    ask().map_err(|error: std::io::Error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("not HTTP: {text:?}"))?;
    let ok = head.split(' ').nth(1) == Some("200");
    if ok && !body.is_empty() { Ok(body.trim().to_owned()) } else { Err(text.into_owned()) }
}

/// Waits for something that is about to be so.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn both(output: &Output) -> (bool, String) {
    let text =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output.status.success(), text)
}
