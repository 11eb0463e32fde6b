//! Which Engine this is, and which version of the API is spoken with it.

use super::endpoint::Endpoint;
use super::error::DockerError;
use super::wire::{Call, Wire};
use serde::Deserialize;
use std::fmt;

/// Oldest version that has all we use: 1.41 brought `one-shot` statistics, and Debian 12's Engine speaks it.
const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 41 };
/// Newest version that the tests have run against (moby v2.0.0-beta.24).
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 56 };

/// A version of the Engine's API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Always 1 so far.
    pub major: u32,
    /// Counted up with every change.
    pub minor: u32,
}

impl ApiVersion {
    pub(super) const fn v1(minor: u32) -> Self {
        Self { major: 1, minor }
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How the Engine's host accounts for resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// The legacy hierarchies.
    V1,
    /// The unified one.
    V2,
}

/// What an Engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Where it listens.
    pub endpoint: String,
    /// Its version, as text: self-built ones have no number.
    pub version: String,
    /// The version of the API spoken with it.
    pub api: ApiVersion,
    /// Operating system as it names it, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Version of the control groups; `None` where it does not say.
    pub cgroups: Option<CgroupVersion>,
    /// It runs without root rights, in a user namespace.
    pub rootless: bool,
    /// Storage driver or snapshotter, such as `overlay2` or `overlayfs`.
    pub storage: String,
    /// Images live in containerd's store, where an image's id is the digest of its manifest.
    pub containerd_store: bool,
    /// How this host gets to what its containers listen on.
    pub reach: Reach,
}

/// How a host gets to what the containers of an Engine listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// By their addresses on the Engine's bridges, which are this host's own.
    Bridge,
    /// By ports that the Engine publishes on this host's loopback interface: rootless Engines and Docker Desktop keep
    /// their bridges to themselves.
    Loopback,
    /// Not at all: the Engine is elsewhere.
    Nowhere,
}

/// Answer of `GET /version`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    version: String,
    #[serde(default)]
    api_version: String,
    #[serde(default, rename = "MinAPIVersion")]
    min_api_version: String,
}

/// Answer of `GET /info`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default)]
    operating_system: String,
    #[serde(default)]
    cgroup_version: Option<String>,
    #[serde(default)]
    driver: String,
    #[serde(default)]
    driver_status: Option<Vec<Vec<String>>>,
    #[serde(default)]
    security_options: Option<Vec<String>>,
}

/// Agrees on a version and asks the Engine who it is.
pub(super) async fn greet(endpoint: Endpoint) -> Result<(Wire, EngineInfo), DockerError> {
    let mut wire = Wire { endpoint, prefix: String::new() };
    let version: Version = wire.json(Call::get("/version", "the Engine's version")).await?;
    let api = agree(&version)?;
    wire.prefix = format!("/v{api}");
    let info: Info = wire.json(Call::get("/info", "the Engine's description")).await?;
    let rootless = info.security_options.iter().flatten().any(|option| option.contains("name=rootless"));
    let desktop = info.operating_system.contains("Docker Desktop");
    let is_containerds =
        |line: &Vec<String>| line.iter().any(|word| word.starts_with("io.containerd.snapshotter"));
    let engine = EngineInfo {
        endpoint: wire.endpoint.to_string(),
        version: version.version,
        api,
        os: info.operating_system,
        cgroups: match info.cgroup_version.as_deref() {
            Some("1") => Some(CgroupVersion::V1),
            Some("2") => Some(CgroupVersion::V2),
            _ => None,
        },
        rootless,
        storage: info.driver,
        containerd_store: info.driver_status.iter().flatten().any(is_containerds),
        reach: match wire.endpoint.is_local() {
            true if wire.endpoint.is_socket() && !rootless && !desktop => Reach::Bridge,
            true => Reach::Loopback,
            false => Reach::Nowhere,
        },
    };
    Ok((wire, engine))
}

fn agree(version: &Version) -> Result<ApiVersion, DockerError> {
    let offered = ApiVersion::parse(&version.api_version)
        .ok_or_else(|| DockerError::broken("the Engine's version", "it names no API version"))?;
    // Engines before 1.12 named no minimum; they are refused below in any case.
    let required = ApiVersion::parse(&version.min_api_version).unwrap_or(offered);
    if offered < OLDEST {
        let (engine, offers, needs) = (version.version.clone(), offered.to_string(), OLDEST.to_string());
        return Err(DockerError::ApiTooOld { engine, offers, needs });
    }
    if required > NEWEST {
        let (engine, needs, knows) = (version.version.clone(), required.to_string(), NEWEST.to_string());
        return Err(DockerError::ApiTooNew { engine, needs, knows });
    }
    Ok(offered.min(NEWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(api: &str, min: &str) -> Version {
        Version { version: "x".to_owned(), api_version: api.to_owned(), min_api_version: min.to_owned() }
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        assert_eq!(agree(&version("1.41", "1.12")).unwrap(), ApiVersion::v1(41));
        assert_eq!(agree(&version("1.99", "1.44")).unwrap(), NEWEST);
        assert!(matches!(agree(&version("1.40", "1.12")), Err(DockerError::ApiTooOld { .. })));
        assert!(matches!(agree(&version("1.99", "1.90")), Err(DockerError::ApiTooNew { .. })));
    }
}
