//! Building images: BuildKit, through the Engine's own API.
//!
//! The context is sent as a tar archive with the request, which BuildKit takes without the session that the
//! docker CLI opens for it, on every Engine since API 1.39. What that leaves out, such as secrets, is `buildx`'s.

use super::build_context::{Context, Packing};
use super::build_trace::{self, Log, Status, Vertex};
use super::error::DockerError;
use super::frames::Output;
use super::labels;
use super::wire::{Answer, Call};
use super::{Docker, buildx};
use base64::Engine as _;
use mainstay_model::{Build, FileObject, ServiceName, StackName, Ulimit};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Lines of a failed step that go into the error.
const LAST_LINES: usize = 20;

/// BuildKit's number for standard error.
const STDERR: u64 = 2;

/// An image to be built.
#[derive(Debug, Clone, Copy)]
pub struct BuildOrder<'a> {
    /// The stack it is for; Compose's labels say so on the image.
    pub stack: &'a StackName,
    /// The service it is for.
    pub service: &'a ServiceName,
    /// From what.
    pub build: &'a Build,
    /// The name it gets.
    pub tag: &'a str,
    /// For which platform; the Engine's own where `None`.
    pub platform: Option<&'a str>,
    /// Run every step again.
    pub no_cache: bool,
    /// Ask the registries for newer base images.
    pub pull: bool,
    /// The stack's secrets, for those that the build may use.
    pub secrets: &'a BTreeMap<String, FileObject>,
}

/// News of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildProgress {
    /// A step began or ended. Steps whose name begins with `[internal]` are BuildKit's own.
    Step {
        /// Such as `[web 2/5] RUN npm ci`.
        name: String,
        /// How far it is.
        state: StepState,
    },
    /// A step wrote a line.
    Log {
        /// The step's name.
        step: String,
        /// Where to.
        stream: Output,
        /// The line, without its end.
        line: String,
    },
    /// A step moves bytes.
    Transfer {
        /// The step's name.
        step: String,
        /// What of, in BuildKit's words.
        what: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all; 0 where not known.
        total: u64,
    },
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// It runs.
    Started,
    /// Its result was in the cache.
    Cached,
    /// It is done.
    Done { took: Duration },
    /// It failed, or was ended because another one did.
    Failed { why: String },
}

/// One line of the answer to `POST /build`.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: String,
    #[serde(default)]
    aux: serde_json::Value,
    #[serde(default)]
    error: Option<String>,
}

impl Docker {
    /// Builds an image, tells `news` how it goes, and gives the image's id. Base images whose registries need a
    /// login are pulled first.
    ///
    /// # Errors
    /// [`DockerError::BuildFailed`] with the failed step and what it wrote last; [`DockerError::Unreadable`] for
    /// a Dockerfile or context that is not there; those of [`Docker::pull`] for base images.
    pub async fn build(
        &self,
        order: &BuildOrder<'_>,
        mut news: impl FnMut(BuildProgress) + Send,
    ) -> Result<String, DockerError> {
        if let Some(key) = buildx::needed_for(order.build) {
            self.build_with_plugin(order, key, &mut news).await?;
            return self.image_id(order.tag).await;
        }
        let mut progress = Progress::new(order.tag);
        if let Some(remote) = order.build.remote() {
            let call = request(order, &order.build.dockerfile.display().to_string())?.query("remote", remote);
            return self.built(order, self.wire.send(call).await, &mut progress, &mut news).await;
        }
        let build = order.build.clone();
        let opened = tokio::task::spawn_blocking(move || Context::open(&build)).await;
        let context = opened.map_err(|e| DockerError::broken("the build context", e))??;
        self.pull_guarded_bases(&context.text, order).await?;
        let call = request(order, &context.dockerfile)?;
        let (pieces, packing) = context.pack();
        let answer = self.wire.send(call.tar(pieces)).await;
        let outcome = self.built(order, answer, &mut progress, &mut news).await;
        // A context that could not be read is why the Engine got a broken one.
        packed(packing).await?;
        outcome
    }

    /// Follows a build to its end; gives the image's id.
    async fn built(
        &self,
        order: &BuildOrder<'_>,
        answer: Result<Answer, DockerError>,
        progress: &mut Progress,
        news: &mut (impl FnMut(BuildProgress) + Send),
    ) -> Result<String, DockerError> {
        let id = match answer {
            Ok(mut answer) => progress.follow(&mut answer, news).await?,
            Err(DockerError::Refused { message, .. }) => return Err(progress.failure(message)),
            Err(error) => return Err(error),
        };
        match id {
            Some(id) => Ok(id),
            None => self.image_id(order.tag).await,
        }
    }
}

async fn packed(packing: Packing) -> Result<(), DockerError> {
    packing.await.map_err(|e| DockerError::broken("the build context", e))?
}

fn request(order: &BuildOrder<'_>, dockerfile: &str) -> Result<Call, DockerError> {
    let BuildOrder { stack, service, build, tag, platform, no_cache, pull, secrets: _ } = *order;
    let platform = platform.or(build.more.platforms.first().map(String::as_str));
    let what = format!("building {tag}");
    let json = |value| serde_json::to_string(value).map_err(|e| DockerError::broken(&what, e));
    let mut call = Call::post("/build", what.clone())
        .patient()
        // 2 is BuildKit.
        .query("version", "2")
        .query("t", tag)
        .query("dockerfile", dockerfile)
        .query("buildargs", &json(&build.args)?)
        .query("labels", &json(&labels::of_image(stack, service, &build.more.labels))?);
    for name in &build.more.tags {
        call = call.query("t", name);
    }
    call = steps(call, build, &what)?;
    if let Some(target) = &build.target {
        call = call.query("target", target);
    }
    if let Some(platform) = platform {
        call = call.query("platform", platform);
    }
    if no_cache || build.more.no_cache {
        call = call.query("nocache", "1");
    }
    if pull || build.more.pull {
        call = call.query("pull", "1");
    }
    Ok(call)
}

/// What steps may use, and where their results may come from.
fn steps(mut call: Call, build: &Build, what: &str) -> Result<Call, DockerError> {
    let more = build.more.as_ref();
    if let Some(network) = &more.network {
        call = call.query("networkmode", network);
    }
    if let Some(size) = more.shm_size {
        call = call.query("shmsize", &size.to_string());
    }
    for (host, addresses) in &more.extra_hosts {
        for address in addresses {
            call = call.query("extrahosts", &format!("{host}:{address}"));
        }
    }
    let json =
        |value: serde_json::Value| serde_json::to_string(&value).map_err(|e| DockerError::broken(what, e));
    if !more.cache_from.is_empty() {
        call = call.query("cachefrom", &json(more.cache_from.iter().map(|from| image_of(from)).collect())?);
    }
    if !more.ulimits.is_empty() {
        let one = |(name, limit): (&String, &Ulimit)| serde_json::json!({ "Name": name, "Soft": limit.soft, "Hard": limit.hard });
        call = call.query("ulimits", &json(more.ulimits.iter().map(one).collect())?);
    }
    Ok(call)
}

/// The image of `type=registry,ref=…`, or the entry itself.
fn image_of(from: &str) -> &str {
    let reference = from.split(',').find_map(|part| part.trim().strip_prefix("ref="));
    reference.unwrap_or(from)
}

/// What has been reported of a build.
pub(super) struct Progress {
    tag: String,
    steps: HashMap<String, Step>,
    /// The first step that failed by itself.
    failed: Option<String>,
}

#[derive(Default)]
struct Step {
    name: String,
    told_start: bool,
    told_end: bool,
    /// Last lines by stream, each with its place among all lines of the step.
    last_lines: HashMap<u64, VecDeque<(u64, String)>>,
    lines: u64,
    /// Beginnings of lines whose ends have not come yet, by stream.
    partial: HashMap<u64, Vec<u8>>,
}

impl Progress {
    pub(super) fn new(tag: &str) -> Self {
        Self { tag: tag.to_owned(), steps: HashMap::new(), failed: None }
    }

    /// Reads the answer to its end; gives the image's id, where it says it.
    async fn follow(
        &mut self,
        answer: &mut Answer,
        news: &mut (impl FnMut(BuildProgress) + Send),
    ) -> Result<Option<String>, DockerError> {
        let mut image = None;
        while let Some(Line { id, aux, error }) = answer.next_json().await? {
            if let Some(message) = error {
                return Err(self.failure(message));
            }
            match id.as_str() {
                "moby.image.id" => image = aux.get("ID").and_then(|id| id.as_str()).map(str::to_owned),
                "moby.buildkit.trace" => {
                    let bytes =
                        aux.as_str().map(|text| base64::engine::general_purpose::STANDARD.decode(text));
                    if let Some(status) = bytes.and_then(Result::ok).as_deref().and_then(build_trace::read) {
                        self.take(status, news);
                    }
                }
                _ => {}
            }
        }
        Ok(image)
    }

    pub(super) fn take(&mut self, status: Status, news: &mut impl FnMut(BuildProgress)) {
        let Status { vertexes, transfers, logs } = status;
        for vertex in vertexes {
            if !vertex.error.is_empty() && !vertex.error.contains("context canceled") {
                self.failed.get_or_insert_with(|| vertex.digest.clone());
            }
            self.steps.entry(vertex.digest.clone()).or_default().advance(vertex, news);
        }
        for transfer in transfers {
            let step = self.steps.get(&transfer.vertex).map(|step| step.name.clone()).unwrap_or_default();
            let build_trace::Transfer { id: what, current, total, .. } = transfer;
            news(BuildProgress::Transfer { step, what, current, total });
        }
        for log in logs {
            self.steps.entry(log.vertex.clone()).or_default().write(log, news);
        }
    }

    pub(super) fn failure(&mut self, message: String) -> DockerError {
        let step = self.failed.take().and_then(|digest| self.steps.remove(&digest));
        let tag = self.tag.clone();
        let Some(mut step) = step else {
            return DockerError::BuildFailed { tag, step: None, log: Vec::new(), message };
        };
        let partial = std::mem::take(&mut step.partial);
        for (stream, line) in partial.into_iter().filter(|(_, line)| !line.is_empty()) {
            step.keep(stream, String::from_utf8_lossy(&line).into_owned());
        }
        DockerError::BuildFailed { tag, log: step.last_words(), step: Some(step.name), message }
    }
}

impl Step {
    fn advance(&mut self, vertex: Vertex, news: &mut impl FnMut(BuildProgress)) {
        let Vertex { name, cached, started, completed, error, .. } = vertex;
        self.name = name;
        if started.is_some() && !self.told_start && !cached {
            self.told_start = true;
            news(BuildProgress::Step { name: self.name.clone(), state: StepState::Started });
        }
        let Some(completed) = completed.filter(|_| !self.told_end) else { return };
        self.told_end = true;
        let took = Duration::from_millis(completed.saturating_sub(started.unwrap_or(completed)));
        let state = if !error.is_empty() {
            StepState::Failed { why: error }
        } else if cached {
            StepState::Cached
        } else {
            StepState::Done { took }
        };
        news(BuildProgress::Step { name: self.name.clone(), state });
    }

    fn write(&mut self, log: Log, news: &mut impl FnMut(BuildProgress)) {
        let Log { stream, message, .. } = log;
        let mut partial = self.partial.remove(&stream).unwrap_or_default();
        for piece in message.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&partial).trim_end_matches(['\n', '\r']).to_owned();
                partial.clear();
                self.keep(stream, line.clone());
                let output = if stream == STDERR { Output::Stderr } else { Output::Stdout };
                news(BuildProgress::Log { step: self.name.clone(), stream: output, line });
            }
        }
        self.partial.insert(stream, partial);
    }

    fn keep(&mut self, stream: u64, line: String) {
        self.lines += 1;
        let last = self.last_lines.entry(stream).or_default();
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back((self.lines, line));
    }

    /// The last lines of both streams. The two overtake each other on their way here, and the reason of a failure
    /// is mostly on standard error: half of the room is kept for it.
    fn last_words(&mut self) -> Vec<String> {
        let mut errors = self.last_lines.remove(&STDERR).unwrap_or_default();
        let mut others: VecDeque<_> = self.last_lines.drain().flat_map(|(_, lines)| lines).collect();
        let room = (LAST_LINES / 2).max(LAST_LINES.saturating_sub(others.len()));
        errors.drain(..errors.len().saturating_sub(room));
        others.drain(..(others.len() + errors.len()).saturating_sub(LAST_LINES));
        let mut all: Vec<_> = others.into_iter().chain(errors).collect();
        all.sort();
        all.into_iter().map(|(_, line)| line).collect()
    }
}
