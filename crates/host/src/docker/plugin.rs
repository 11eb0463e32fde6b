//! Programs that the docker CLI and Docker Compose call plug-ins: where they are, and talking to them.
//!
//! Knows nothing about what they do. They run with this process's environment, told which Engine is meant.

use super::Docker;
use super::error::DockerError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// Where the docker CLI looks for plug-ins, after its own directory.
pub(super) const PLACES: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// Bytes of a plug-in's output that are read at a time.
const PIECE: usize = 4 << 10;

/// A program that Compose's protocol for providers is spoken with.
#[derive(Debug, Clone)]
pub struct ProviderPlugin {
    program: PathBuf,
    host: String,
}

/// What a provider gave: variables for those who depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Named after the service: `SERVICE_` comes before each.
    pub prefixed: BTreeMap<String, String>,
    /// As they are.
    pub raw: BTreeMap<String, String>,
}

/// A line of its output.
#[derive(Deserialize)]
struct Message {
    r#type: String,
    #[serde(default)]
    message: String,
}

/// Which options a provider knows, by command; it may not say.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    description: String,
    up: Known,
    down: Known,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Known {
    parameters: Option<Vec<Parameter>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameter {
    name: String,
    required: bool,
}

impl Docker {
    /// The plug-in `docker-<name>` of the docker CLI.
    pub(super) fn plugin(&self, name: &str) -> Option<PathBuf> {
        let own = self.logins.iter().map(|directory| directory.join("cli-plugins"));
        let places = own.chain(PLACES.map(PathBuf::from));
        places.map(|place| place.join(format!("docker-{name}"))).find(|plugin| is_program(plugin))
    }

    /// The program of providers of the type `kind`: a plug-in of the docker CLI, or a program of that name.
    ///
    /// # Errors
    /// [`DockerError::NotFound`] when there is none.
    pub fn provider(&self, kind: &str) -> Result<ProviderPlugin, DockerError> {
        let missing = || DockerError::NotFound {
            what: format!("the provider `{kind}` (a program of that name, or docker-{kind})"),
        };
        if kind == "compose" || kind.contains('/') {
            return Err(missing());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path =
            || std::env::split_paths(&path).map(|place| place.join(kind)).find(|program| is_program(program));
        let program = self.plugin(kind).or_else(on_path).ok_or_else(missing)?;
        Ok(ProviderPlugin { program, host: self.wire.endpoint.to_string() })
    }

    /// What the plug-in `name` of the docker CLI writes when it is called with `arguments`.
    ///
    /// # Errors
    /// [`DockerError::NotFound`] without such a plug-in, [`DockerError::Plugin`] when it fails.
    pub async fn ask_plugin(&self, name: &str, arguments: &[String]) -> Result<Vec<u8>, DockerError> {
        let program = self.plugin(name);
        let program = program.ok_or_else(|| DockerError::NotFound {
            what: format!("the plug-in docker-{name} of the docker CLI"),
        })?;
        let mut command = Command::new(&program);
        command.args(arguments).env("DOCKER_HOST", self.wire.endpoint.to_string()).stdin(Stdio::null());
        let failed = |why: String| DockerError::Plugin { program: program.clone(), why };
        let output = command.kill_on_drop(true).output().await.map_err(|e| failed(e.to_string()))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failed(if why.is_empty() { output.status.to_string() } else { why }));
        }
        Ok(output.stdout)
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

impl ProviderPlugin {
    /// Has it do `verb` (`up` or `down`) for `service` of `project`; `news` hears what it says for people.
    ///
    /// # Errors
    /// [`DockerError::Plugin`] with its own words when it fails, or says what is no message.
    pub async fn run(
        &self,
        verb: &str,
        project: &str,
        service: &str,
        options: &BTreeMap<String, Vec<String>>,
        mut news: impl FnMut(String) + Send,
    ) -> Result<Given, DockerError> {
        let options = self.known_options(verb, options).await?;
        let mut command = Command::new(&self.program);
        command.args(["compose", &format!("--project-name={project}"), verb]);
        for (name, value) in options {
            command.arg(format!("--{name}={value}"));
        }
        command.arg(service).env("DOCKER_HOST", &self.host).stdin(Stdio::null()).stdout(Stdio::piped());
        let failed = |why: String| self.failed(why);
        let mut child = command.kill_on_drop(true).spawn().map_err(|e| failed(e.to_string()))?;
        let (mut given, mut pending) = (Given::default(), Vec::new());
        if let Some(mut stdout) = child.stdout.take() {
            let mut piece = vec![0; PIECE];
            loop {
                let length = stdout.read(&mut piece).await.map_err(|e| failed(e.to_string()))?;
                if length == 0 {
                    break;
                }
                pending.extend_from_slice(piece.get(..length).unwrap_or_default());
                self.take(&mut pending, &mut given, &mut news)?;
            }
        }
        if !pending.trim_ascii().is_empty() {
            return Err(failed(format!(
                "it said what is no message: {}",
                String::from_utf8_lossy(&pending).trim()
            )));
        }
        let status = child.wait().await.map_err(|e| failed(e.to_string()))?;
        if status.success() { Ok(given) } else { Err(failed(format!("`{verb}` ended with {status}"))) }
    }

    /// Takes the whole messages off the beginning of `pending`.
    fn take(
        &self,
        pending: &mut Vec<u8>,
        given: &mut Given,
        news: &mut impl FnMut(String),
    ) -> Result<(), DockerError> {
        let mut messages = serde_json::Deserializer::from_slice(pending).into_iter::<Message>();
        let mut used = 0;
        loop {
            match messages.next() {
                Some(Ok(Message { r#type, message })) => {
                    used = messages.byte_offset();
                    let pair = || {
                        let (name, value) = message.split_once('=').ok_or(&message)?;
                        Ok((name.to_owned(), value.to_owned()))
                    };
                    let bad = |message: &String| self.failed(format!("`{message}` sets no variable"));
                    match r#type.as_str() {
                        "error" => return Err(self.failed(message)),
                        "info" => news(message.lines().next().unwrap_or_default().to_owned()),
                        "setenv" => given.prefixed.extend([pair().map_err(bad)?]),
                        "rawsetenv" => given.raw.extend([pair().map_err(bad)?]),
                        // For who works on the plug-in.
                        "debug" => {}
                        other => return Err(self.failed(format!("it sent a message of the type `{other}`"))),
                    }
                }
                Some(Err(error)) if !error.is_eof() => {
                    return Err(self.failed(format!("it said what is no message: {error}")));
                }
                Some(Err(_)) | None => break,
            }
        }
        pending.drain(..used);
        Ok(())
    }

    /// The options that it takes for `verb`: all, where it does not say which it knows.
    async fn known_options(
        &self,
        verb: &str,
        options: &BTreeMap<String, Vec<String>>,
    ) -> Result<Vec<(String, String)>, DockerError> {
        let mut command = Command::new(&self.program);
        command.args(["compose", "metadata"]).env("DOCKER_HOST", &self.host).stdin(Stdio::null());
        let answer = command.kill_on_drop(true).output().await.ok().filter(|output| output.status.success());
        let metadata: Metadata =
            answer.and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or_default();
        let says = !metadata.description.is_empty()
            || metadata.up.parameters.is_some()
            || metadata.down.parameters.is_some();
        let known = if verb == "up" { metadata.up } else { metadata.down }.parameters.unwrap_or_default();
        if let Some(lacking) = known.iter().find(|p| says && p.required && !options.contains_key(&p.name)) {
            return Err(self.failed(format!("it needs the option `{}`", lacking.name)));
        }
        let is_known = |name: &str| !says || known.iter().any(|parameter| parameter.name == name);
        let pairs = options.iter().filter(|(name, _)| is_known(name));
        Ok(pairs.flat_map(|(name, values)| values.iter().map(move |v| (name.clone(), v.clone()))).collect())
    }

    fn failed(&self, why: String) -> DockerError {
        DockerError::Plugin { program: self.program.clone(), why }
    }
}
