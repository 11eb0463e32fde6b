//! What can go wrong with an Engine, told apart where a caller or a person would act differently.
//!
//! Messages never hold a container's environment: what an Engine says about a refused container is cleaned of
//! it before it comes here (see `create`).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A failure of the Docker adapter.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// `DOCKER_HOST`, or what was given instead, cannot be used.
    #[error("`{host}` cannot be used as the address of a Docker Engine: {why}")]
    BadHost { host: String, why: &'static str },
    /// No Engine answers at the address.
    #[error("the Docker Engine at {endpoint} cannot be reached: {cause}")]
    Unreachable {
        endpoint: String,
        cause: Unreachable,
        #[source]
        source: std::io::Error,
    },
    /// The Engine speaks only versions of the API older than we need.
    #[error("Docker Engine {engine} speaks API {offers} at most; {needs} or newer is needed")]
    ApiTooOld { engine: String, offers: String, needs: String },
    /// The Engine no longer speaks any version of the API that we know.
    #[error("Docker Engine {engine} speaks API {needs} and newer only; {knows} is the newest known here")]
    ApiTooNew { engine: String, needs: String, knows: String },
    /// Something asked for needs a newer API than this Engine's.
    #[error("{what} needs Docker API {needs}; this Engine speaks {offers}")]
    Unsupported { what: String, needs: String, offers: String },
    /// What was asked about does not exist.
    #[error("{what} does not exist")]
    NotFound { what: String },
    /// The Engine refuses because of the state that something is in.
    #[error("{what}: {message}")]
    Conflict { what: String, message: String },
    /// Another container has the name.
    #[error("the container name `{name}` is in use by another container ({holder})")]
    NameInUse { name: String, holder: String },
    /// Another program or container holds a port of the host. `port` where the Engine named it.
    #[error("{what}: port {} is taken: {message}", port.map_or_else(|| "of the host".to_owned(), |p| p.to_string()))]
    PortTaken { what: String, port: Option<u16>, message: String },
    /// The image is not in the Engine's store.
    #[error("image `{image}` is not there")]
    ImageMissing { image: String },
    /// The registry does not have the image, or does not show it to us.
    #[error("image `{image}` does not exist in its registry, or may not be pulled: {message}")]
    ImageUnknown { image: String, message: String },
    /// Pulling failed for another reason.
    #[error("image `{image}` could not be pulled: {message}")]
    PullFailed { image: String, message: String },
    /// The registry did not take the image.
    #[error("image `{image}` could not be pushed: {message}")]
    PushFailed { image: String, message: String },
    /// A plug-in did not do what it was asked.
    #[error("{}: {why}", program.file_name().unwrap_or_default().to_string_lossy())]
    Plugin { program: PathBuf, why: String },
    /// A build failed: the step at fault, and the last lines that it wrote.
    #[error("building `{tag}` failed{}: {message}", step.as_ref().map(|s| format!(" at `{s}`")).unwrap_or_default())]
    BuildFailed { tag: String, step: Option<String>, log: Vec<String>, message: String },
    /// A file that is needed for the request cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A line of `.dockerignore` or of Docker's configuration makes no sense.
    #[error("{path}: {why}")]
    BadFile { path: PathBuf, why: String },
    /// A credential helper did not give what it was asked for.
    #[error("`{helper}` gave no credentials for {registry}: {why}")]
    Credentials { helper: String, registry: String, why: String },
    /// The stack does not define what a service refers to.
    #[error("{what} is not defined in the stack")]
    Undefined { what: String },
    /// No answer came within the time that such a request may take.
    #[error("{what}: no answer from the Docker Engine within {} s", waited.as_secs())]
    Silent { what: String, waited: Duration },
    /// The connection broke, or the answer makes no sense.
    #[error("{what}: the exchange with the Docker Engine broke")]
    Broken {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Any other refusal, in the Engine's own words.
    #[error("{what}: {message}")]
    Refused { what: String, status: u16, message: String },
}

/// Why nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The socket does not exist: Docker is not installed, not started, or elsewhere.
    Absent,
    /// The socket exists and may not be used by this user.
    Denied,
    /// The socket exists and nobody listens.
    Refused,
    /// Anything else; see the source.
    Other,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "there is no such socket; is Docker installed and started?",
            Self::Denied => "permission denied; is this user in the `docker` group?",
            Self::Refused => "nobody listens; is the daemon running?",
            Self::Other => "the connection failed",
        })
    }
}

impl DockerError {
    pub(super) fn broken(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken { what: what.to_owned(), source: source.into() }
    }

    /// The Engine said 404.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Turns the Engine's refusal into the variant that says most.
    pub(super) fn from_answer(what: &str, status: u16, message: String) -> Self {
        let what = what.to_owned();
        let lower = message.to_ascii_lowercase();
        if lower.contains("port is already allocated") || lower.contains("address already in use") {
            return Self::PortTaken { port: port_in(&message), what, message };
        }
        match status {
            404 if lower.contains("no such image") => Self::ImageMissing {
                image: message.rsplit_once("image: ").map_or(message.as_str(), |(_, image)| image).to_owned(),
            },
            404 if ["no such", "not found", "could not find"].iter().any(|words| lower.contains(words)) => {
                Self::NotFound { what }
            }
            409 => Self::Conflict { what, message },
            _ => Self::Refused { what, status, message },
        }
    }
}

/// The port in `Bind for 0.0.0.0:8080 failed`, `listen tcp4 0.0.0.0:8080: bind: …` and `failed to bind host port
/// 0.0.0.0:8080/tcp: …`: what follows the first address that has one.
fn port_in(message: &str) -> Option<u16> {
    message.split_whitespace().find_map(|word| {
        let (host, port) = word.trim_end_matches(':').rsplit_once(':')?;
        let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
        let port = port.split('/').next()?;
        if is_address { port.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_in_either_wording() {
        let docker = "driver failed programming external connectivity on endpoint x (ab12): \
                      Bind for 0.0.0.0:8080 failed: port is already allocated";
        let kernel = "driver failed programming external connectivity on endpoint x (ab12): \
                      Error starting userland proxy: listen tcp4 127.0.0.1:81: bind: address already in use";
        let newest = "failed to set up container networking: driver failed programming external connectivity on \
                      endpoint x (ab12): failed to bind host port [::]:82/tcp: address already in use";
        assert_eq!(port_in(docker), Some(8080));
        assert_eq!(port_in(kernel), Some(81));
        assert_eq!(port_in(newest), Some(82));
        let error = DockerError::from_answer("container x", 500, newest.to_owned());
        assert!(matches!(error, DockerError::PortTaken { port: Some(82), .. }));
    }

    #[test]
    fn a_missing_image_is_not_a_missing_container() {
        let image = DockerError::from_answer("container x", 404, "No such image: redis:7".to_owned());
        assert!(matches!(image, DockerError::ImageMissing { image } if image == "redis:7"));
        let container = DockerError::from_answer("container x", 404, "No such container: x".to_owned());
        assert!(container.is_not_found());
    }
}
