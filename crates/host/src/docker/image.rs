//! Images: which one a reference means, what it says about itself, and getting it from its registry.

use super::error::DockerError;
use super::wire::{Call, escape};
use super::{Docker, credentials, time};
use mainstay_model::{Healthcheck, Timestamp};
use serde::Deserialize;
use std::time::Duration;

/// What an image says about itself, as far as it matters to what is made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its id, as [`super::Creation`] takes it: the digest of its configuration, or with containerd's store that
    /// of its manifest.
    pub id: String,
    /// Its own healthcheck, where it has one.
    pub healthcheck: Option<Healthcheck>,
    /// Its entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Its stop signal.
    pub stop_signal: Option<String>,
    /// Ports that it exposes, as `port/protocol`.
    pub exposed: Vec<String>,
    /// Bytes on disk, as the Engine counts them.
    pub size: u64,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// `os/architecture`, with `/variant` where it has one.
    pub platform: String,
}

/// One piece of news about a pull or push.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PullProgress {
    /// The layer (or the tag) that it is about; empty for the image as a whole.
    #[serde(default, rename = "id")]
    pub layer: String,
    /// What happens, in the Engine's words, such as `Downloading` or `Pull complete`.
    #[serde(default)]
    pub status: String,
    /// Bytes done, where they are counted.
    #[serde(skip)]
    pub current: Option<u64>,
    /// Bytes in all, where known.
    #[serde(skip)]
    pub total: Option<u64>,
}

/// Answer of `GET /images/{name}/json`, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    healthcheck: Option<Check>,
    entrypoint: Option<Vec<String>>,
    stop_signal: Option<String>,
    exposed_ports: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Times in nanoseconds, 0 for the default.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    test: Option<Vec<String>>,
    interval: u64,
    timeout: u64,
    retries: u32,
    start_period: u64,
    start_interval: u64,
}

/// One line of the answer to `POST /images/create` and `POST /images/{name}/push`.
#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(flatten)]
    progress: PullProgress,
    #[serde(default, rename = "progressDetail")]
    detail: Option<Detail>,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    current: Option<u64>,
    total: Option<u64>,
}

impl Docker {
    /// The id of the image that `reference` (a name, or an id) means in the Engine's store.
    ///
    /// # Errors
    /// [`DockerError::ImageMissing`] when it means none.
    pub async fn image_id(&self, reference: &str) -> Result<String, DockerError> {
        self.image(reference).await.map(|image| image.id)
    }

    /// What the image that `reference` means says about itself.
    ///
    /// # Errors
    /// [`DockerError::ImageMissing`] when it means none.
    pub async fn image(&self, reference: &str) -> Result<ImageInfo, DockerError> {
        let call = Call::get(format!("/images/{}/json", escape(reference)), format!("image {reference}"));
        let missing = |error| match error {
            DockerError::ImageMissing { .. } | DockerError::NotFound { .. } => {
                DockerError::ImageMissing { image: reference.to_owned() }
            }
            other => other,
        };
        let Inspected { id, size, created, os, architecture, variant, config } =
            self.wire.json(call).await.map_err(missing)?;
        let parts = [os, architecture, variant];
        let platform: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let Config { healthcheck, entrypoint, stop_signal, exposed_ports } = config.unwrap_or_default();
        Ok(ImageInfo {
            id,
            healthcheck: healthcheck.and_then(Check::read),
            entrypoint,
            stop_signal: stop_signal.filter(|signal| !signal.is_empty()),
            exposed: exposed_ports.into_iter().flatten().map(|(port, _)| port).collect(),
            size,
            created: created.as_deref().and_then(time::parse),
            platform: platform.join("/"),
        })
    }

    /// Pulls `reference` from its registry, with the credentials that `docker login` left, and tells `news` how
    /// it goes.
    ///
    /// # Errors
    /// [`DockerError::ImageUnknown`] when the registry has no such image or does not show it to us,
    /// [`DockerError::PullFailed`], [`DockerError::Credentials`].
    pub async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        mut news: impl FnMut(PullProgress) + Send,
    ) -> Result<(), DockerError> {
        let (name, version) = split_reference(reference);
        let mut call = Call::post("/images/create", format!("image {reference}"))
            .query("fromImage", name)
            .query("tag", version)
            .patient();
        if let Some(platform) = platform {
            call = call.query("platform", platform);
        }
        if let Some(login) = credentials::for_image(self.logins.as_deref(), name).await? {
            call = call.header("x-registry-auth", login.header());
        }
        let mut answer = self.wire.send(call).await.map_err(|error| explain(reference, error))?;
        while let Some(line) = answer.next_json::<Line>().await? {
            news(line.read().map_err(|message| refusal(reference, message))?);
        }
        Ok(())
    }

    /// Gives the image `id` another name.
    pub async fn tag_image(&self, id: &str, reference: &str) -> Result<(), DockerError> {
        let (name, version) = split_reference(reference);
        let call = Call::post(format!("/images/{}/tag", escape(id)), format!("image {id}"));
        self.wire.done(call.query("repo", name).query("tag", version)).await
    }

    /// Removes the name or image that `reference` means; what is gone is gone.
    ///
    /// # Errors
    /// [`DockerError::Conflict`] while a container uses it.
    pub async fn remove_image(&self, reference: &str) -> Result<(), DockerError> {
        let call = Call::delete(format!("/images/{}", escape(reference)), format!("image {reference}"));
        match self.wire.done(call).await {
            Err(DockerError::NotFound { .. } | DockerError::ImageMissing { .. }) => Ok(()),
            other => other,
        }
    }
}

impl Line {
    /// The progress that it tells of, or why nothing comes of it.
    pub(super) fn read(self) -> Result<PullProgress, String> {
        let Self { mut progress, detail, error } = self;
        if let Some(message) = error {
            return Err(message);
        }
        let detail = detail.unwrap_or_default();
        (progress.current, progress.total) = (detail.current, detail.total);
        Ok(progress)
    }
}

impl Check {
    fn read(self) -> Option<Healthcheck> {
        let mut words = self.test?.into_iter();
        let shell = match words.next()?.as_str() {
            "CMD" => false,
            "CMD-SHELL" => true,
            _ => return None,
        };
        let mut test: Vec<String> = words.collect();
        if shell {
            test.splice(0..0, ["/bin/sh".to_owned(), "-c".to_owned()]);
        }
        // The Engine's defaults, for what an image leaves out.
        let time = |nanos: u64, default: u64| Duration::from_nanos(if nanos == 0 { default } else { nanos });
        const HALF_A_MINUTE: u64 = 30_000_000_000;
        Some(Healthcheck {
            test,
            shell,
            interval: time(self.interval, HALF_A_MINUTE),
            timeout: time(self.timeout, HALF_A_MINUTE),
            retries: if self.retries == 0 { 3 } else { self.retries },
            start_period: Duration::from_nanos(self.start_period),
            start_interval: (self.start_interval > 0).then(|| Duration::from_nanos(self.start_interval)),
        })
    }
}

fn explain(image: &str, error: DockerError) -> DockerError {
    match error {
        DockerError::Refused { message, .. } => refusal(image, message),
        DockerError::NotFound { .. } | DockerError::ImageMissing { .. } => {
            DockerError::ImageUnknown { image: image.to_owned(), message: "not found".to_owned() }
        }
        other => other,
    }
}

fn refusal(image: &str, message: String) -> DockerError {
    const UNKNOWN: [&str; 8] = [
        "not found",
        "manifest unknown",
        "pull access denied",
        "does not exist",
        "no matching manifest",
        "no basic auth credentials",
        "authorization failed",
        "unauthorized",
    ];
    let image = image.to_owned();
    // "server misbehaving" and the like say "lookup x: not found" about the registry itself.
    let about_the_network = message.contains("dial tcp") || message.contains("lookup ");
    if !about_the_network && UNKNOWN.iter().any(|words| message.contains(words)) {
        return DockerError::ImageUnknown { image, message };
    }
    DockerError::PullFailed { image, message }
}

/// A reference's name, and its tag (`latest` when it has none) or digest.
pub(super) fn split_reference(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_at_tag_or_digest() {
        assert_eq!(split_reference("redis"), ("redis", "latest"));
        assert_eq!(split_reference("redis:7"), ("redis", "7"));
        assert_eq!(split_reference("localhost:5000/redis"), ("localhost:5000/redis", "latest"));
        assert_eq!(split_reference("localhost:5000/redis:7"), ("localhost:5000/redis", "7"));
        assert_eq!(split_reference("redis@sha256:ab"), ("redis", "sha256:ab"));
    }

    #[test]
    fn an_unknown_image_is_not_an_unreachable_registry() {
        let unknown = "manifest for x:1 not found: manifest unknown: manifest unknown";
        assert!(matches!(refusal("x:1", unknown.to_owned()), DockerError::ImageUnknown { .. }));
        let network = "Get \"https://r.example/v2/\": dial tcp: lookup r.example: not found";
        assert!(matches!(refusal("x:1", network.to_owned()), DockerError::PullFailed { .. }));
    }
}
