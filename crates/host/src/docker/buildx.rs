//! Builds that the Engine's own request cannot express, by the docker CLI's plug-in `docker-buildx`, which Docker Compose
//! builds everything with.
//!
//! Knows nothing about how progress is told: it reads the plug-in's reports into those that the Engine gives.

use super::Docker;
use super::build::{BuildOrder, BuildProgress, Progress};
use super::build_trace::{Log, Status, Transfer, Vertex};
use super::error::DockerError;
use super::labels;
use super::plugin::PLACES;
use super::time;
use base64::Engine as _;
use mainstay_model::{Build, BuildMore, FileObject, Ulimit};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// Lines that are no reports and kept for the error: what the plug-in says for itself.
const LAST_LINES: usize = 20;

/// The first key of `build` that the Engine's own request has no place for.
pub(super) fn needed_for(build: &Build) -> Option<&'static str> {
    let BuildMore {
        additional_contexts,
        cache_to,
        entitlements,
        no_cache_filter,
        platforms,
        privileged,
        secrets,
        ssh,
        ..
    } = build.more.as_ref();
    let keys = [
        ("secrets", !secrets.is_empty()),
        ("ssh", !ssh.is_empty()),
        ("additional_contexts", !additional_contexts.is_empty()),
        ("entitlements", !entitlements.is_empty()),
        ("privileged", *privileged),
        ("cache_to", !cache_to.is_empty()),
        ("no_cache_filter", !no_cache_filter.is_empty()),
        ("platforms", platforms.len() > 1),
        ("dockerfile_inline", build.remote().is_some() && build.dockerfile_inline.is_some()),
    ];
    keys.into_iter().find_map(|(key, asked)| asked.then_some(key))
}

/// A report of the plug-in, a line of JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    vertexes: Vec<ReportedVertex>,
    statuses: Vec<ReportedStatus>,
    logs: Vec<ReportedLog>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportedVertex {
    digest: String,
    name: String,
    cached: bool,
    started: Option<String>,
    completed: Option<String>,
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportedStatus {
    id: String,
    vertex: String,
    current: u64,
    total: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportedLog {
    vertex: String,
    stream: u64,
    /// Base64.
    data: String,
}

impl Docker {
    /// Builds `order` with the plug-in, because of `key`.
    pub(super) async fn build_with_plugin(
        &self,
        order: &BuildOrder<'_>,
        key: &str,
        news: &mut (impl FnMut(BuildProgress) + Send),
    ) -> Result<(), DockerError> {
        let mut progress = Progress::new(order.tag);
        let Some(plugin) = self.plugin("buildx") else {
            let why = format!(
                "`build.{key}` needs docker-buildx, as Docker Compose does for every build; it is in none of the \
                 directories for plug-ins of the docker CLI, such as {}",
                PLACES[0]
            );
            return Err(progress.failure(why));
        };
        let mut command = Command::new(plugin);
        command.args(["build", "--progress", "rawjson"]).env("DOCKER_HOST", self.wire.endpoint.to_string());
        if let Some(directory) = &self.logins {
            command.env("DOCKER_CONFIG", directory.as_ref());
        }
        arguments(&mut command, order);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let broken = |e: std::io::Error| DockerError::broken("docker-buildx", e);
        let mut child = command.spawn().map_err(broken)?;
        if let (Some(mut stdin), Some(text)) = (child.stdin.take(), &order.build.dockerfile_inline) {
            stdin.write_all(text.as_bytes()).await.map_err(broken)?;
        }
        let mut own_words = Vec::new();
        if let Some(reports) = child.stderr.take() {
            let mut lines = BufReader::new(reports).lines();
            while let Some(line) = lines.next_line().await.map_err(broken)? {
                match serde_json::from_slice::<Report>(line.as_bytes()) {
                    Ok(report) => progress.take(report.status(), news),
                    Err(_) if own_words.len() < LAST_LINES => own_words.push(line),
                    Err(_) => {}
                }
            }
        }
        match child.wait().await.map_err(broken)?.success() {
            true => Ok(()),
            false => Err(progress.failure(own_words.join("\n"))),
        }
    }
}

/// What `order` says, in the plug-in's flags. Secrets are files or variables of the plug-in's, never arguments.
fn arguments(command: &mut Command, order: &BuildOrder<'_>) {
    let BuildOrder { stack, service, build, tag, platform, no_cache, pull, secrets } = *order;
    let more = build.more.as_ref();
    let mut flag = |name: &str, value: &str| {
        command.arg(format!("--{name}={value}"));
    };
    for name in std::iter::once(tag).chain(more.tags.iter().map(String::as_str)) {
        flag("tag", name);
    }
    for (name, value) in labels::of_image(stack, service, &more.labels) {
        flag("label", &format!("{name}={value}"));
    }
    for (name, value) in &build.args {
        flag("build-arg", &format!("{name}={value}"));
    }
    let dockerfile = match (&build.dockerfile_inline, build.remote()) {
        (Some(_), _) => "-".to_owned(),
        (None, Some(_)) => build.dockerfile.display().to_string(),
        (None, None) => build.context.join(&build.dockerfile).display().to_string(),
    };
    flag("file", &dockerfile);
    let platforms =
        if more.platforms.is_empty() { platform.map(str::to_owned) } else { Some(more.platforms.join(",")) };
    for (name, value) in [("target", &build.target), ("network", &more.network), ("platform", &platforms)] {
        value.iter().for_each(|value| flag(name, value));
    }
    flag("output", if more.platforms.len() > 1 { "type=image" } else { "type=docker" });
    if no_cache || more.no_cache {
        command.arg("--no-cache");
    }
    if pull || more.pull {
        command.arg("--pull");
    }
    more_flags(command, more);
    secret_flags(command, more, secrets);
    command.arg(&build.context);
}

/// What `build:` says beyond the usual.
fn more_flags(command: &mut Command, more: &BuildMore) {
    let mut flag = |name: &str, value: &str| {
        command.arg(format!("--{name}={value}"));
    };
    more.shm_size.iter().for_each(|size| flag("shm-size", &size.to_string()));
    more.no_cache_filter.iter().for_each(|stage| flag("no-cache-filter", stage));
    more.cache_from.iter().for_each(|from| flag("cache-from", from));
    more.cache_to.iter().for_each(|to| flag("cache-to", to));
    more.entitlements.iter().for_each(|right| flag("allow", right));
    if more.privileged {
        flag("allow", "security.insecure");
    }
    for (host, addresses) in &more.extra_hosts {
        addresses.iter().for_each(|address| flag("add-host", &format!("{host}={address}")));
    }
    for (name, Ulimit { soft, hard }) in &more.ulimits {
        flag("ulimit", &format!("{name}={soft}:{hard}"));
    }
    for (name, from) in &more.additional_contexts {
        flag("build-context", &format!("{name}={from}"));
    }
    for (id, path) in &more.ssh {
        flag("ssh", &if path.is_empty() { id.clone() } else { format!("{id}={path}") });
    }
}

fn secret_flags(command: &mut Command, more: &BuildMore, secrets: &BTreeMap<String, FileObject>) {
    for (index, grant) in more.secrets.iter().enumerate() {
        let Some(object) = secrets.get(&grant.source) else { continue };
        let id = &grant.target;
        match (&object.content, &object.file) {
            (Some(content), _) => {
                let variable = format!("MAINSTAY_BUILD_SECRET_{index}");
                command.arg(format!("--secret=id={id},type=env,env={variable}"));
                command.env(variable, content.expose());
            }
            (None, Some(file)) => {
                command.arg(format!("--secret=id={id},type=file,src={}", file.display()));
            }
            (None, None) => {}
        }
    }
}

impl Report {
    fn status(self) -> Status {
        let at = |text: Option<String>| text.as_deref().and_then(time::parse).map(|at| at.0);
        let vertex = |v: ReportedVertex| Vertex {
            started: at(v.started),
            completed: at(v.completed),
            digest: v.digest,
            name: v.name,
            cached: v.cached,
            error: v.error,
        };
        let transfer =
            |s: ReportedStatus| Transfer { id: s.id, vertex: s.vertex, current: s.current, total: s.total };
        let log = |l: ReportedLog| Log {
            vertex: l.vertex,
            stream: l.stream,
            message: base64::engine::general_purpose::STANDARD.decode(l.data).unwrap_or_default(),
        };
        Status {
            vertexes: self.vertexes.into_iter().map(vertex).collect(),
            transfers: self.statuses.into_iter().map(transfer).collect(),
            logs: self.logs.into_iter().map(log).collect(),
        }
    }
}
