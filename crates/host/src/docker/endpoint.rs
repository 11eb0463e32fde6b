//! Where the Engine listens.
//!
//! Knows nothing about HTTP: it finds the address and opens a byte stream to it.

use super::error::{DockerError, Unreachable};
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Address of an Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Unix(PathBuf),
    /// `host:port` of a plain TCP listener.
    Tcp(String),
}

/// A byte stream to the Engine.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

impl Endpoint {
    /// Reads an address in the form of `DOCKER_HOST`.
    ///
    /// # Errors
    /// [`DockerError::BadHost`] for schemes other than `unix://` and `tcp://`.
    pub(super) fn parse(host: &str) -> Result<Self, DockerError> {
        let bad = |why| DockerError::BadHost { host: host.to_owned(), why };
        if let Some(path) = host.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(bad("the path is not absolute"))
            };
        }
        if let Some(address) = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) {
            let address = address.trim_end_matches('/');
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            // 2375 is the port registered for Docker without TLS.
            return Ok(Self::Tcp(if has_port { address.to_owned() } else { format!("{address}:2375") }));
        }
        if host.starts_with('/') {
            return Ok(Self::Unix(host.into()));
        }
        if host.starts_with("ssh://") {
            return Err(bad("Engines behind ssh are not supported; run mainstay on that server"));
        }
        Err(bad("expected unix:///path/to/docker.sock or tcp://host:port"))
    }

    /// The address that is used when none is given: `DOCKER_HOST`, else the first socket that exists of the
    /// system's, the rootless Engine's and Docker Desktop's, else the system's.
    pub(super) fn from_environment() -> Result<Self, DockerError> {
        if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
            return Self::parse(&host);
        }
        let system = PathBuf::from("/var/run/docker.sock");
        let rootless = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("docker.sock"));
        let desktop =
            std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker/run/docker.sock"));
        let found =
            [Some(system.clone()), rootless, desktop].into_iter().flatten().find(|path| path.exists());
        Ok(Self::Unix(found.unwrap_or(system)))
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`DockerError::Unreachable`], with the reason told apart.
    pub(super) async fn open(&self) -> Result<Box<dyn Stream>, DockerError> {
        let opened = match self {
            Self::Unix(path) => UnixStream::connect(path).await.map(|s| Box::new(s) as Box<dyn Stream>),
            Self::Tcp(address) => TcpStream::connect(address).await.map(|s| Box::new(s) as Box<dyn Stream>),
        };
        opened.map_err(|source| DockerError::Unreachable {
            endpoint: self.to_string(),
            cause: match source.kind() {
                ErrorKind::NotFound => Unreachable::Absent,
                ErrorKind::PermissionDenied => Unreachable::Denied,
                ErrorKind::ConnectionRefused => Unreachable::Refused,
                _ => Unreachable::Other,
            },
            source,
        })
    }

    /// Whether a socket of this host's file system leads to it, so that its bridges and process ids may be ours too.
    pub(super) fn is_socket(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Whether the Engine is on this host, if only behind a door of its own.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
                host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        assert_eq!(Endpoint::parse("unix:///run/d.sock").unwrap(), Endpoint::Unix("/run/d.sock".into()));
        assert_eq!(Endpoint::parse("tcp://127.0.0.1").unwrap(), Endpoint::Tcp("127.0.0.1:2375".into()));
        assert_eq!(Endpoint::parse("tcp://[::1]:1/").unwrap(), Endpoint::Tcp("[::1]:1".into()));
        assert!(matches!(Endpoint::parse("ssh://me@there"), Err(DockerError::BadHost { .. })));
        assert!(matches!(Endpoint::parse("unix://relative"), Err(DockerError::BadHost { .. })));
    }
}
