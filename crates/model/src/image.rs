//! Where a container's file system comes from.

use crate::{FileGrant, Ulimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An image reference as the user wrote it, such as `redis:7-alpine`.
pub type ImageRef = String;

/// `build:` of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Absolute path of the context directory.
    pub context: PathBuf,
    /// Path of the Dockerfile, relative to the context unless absolute.
    pub dockerfile: PathBuf,
    /// `dockerfile_inline`: the text that stands in for the file.
    pub dockerfile_inline: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// The stage to build; the last one when absent.
    pub target: Option<String>,
    /// What `docker buildx` can be asked beyond that.
    #[serde(default)]
    pub more: Box<BuildMore>,
}

impl Build {
    /// The context, where it is not a directory of this host: a repository or an archive that the Engine gets itself.
    pub fn remote(&self) -> Option<&str> {
        let context = self.context.to_str()?;
        let far = ["github.com/", "git@"].iter().any(|start| context.starts_with(start));
        (far || context.contains("://")).then_some(context)
    }
}

/// Keys of `build:` beyond what every builder knows. Field names are Compose's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildMore {
    /// Further contexts by name: paths, URLs, `docker-image://…`, `service:…`.
    pub additional_contexts: BTreeMap<String, String>,
    /// Where layers may come from.
    pub cache_from: Vec<String>,
    /// Where layers go.
    pub cache_to: Vec<String>,
    /// `network.host`, `security.insecure`, …
    pub entitlements: Vec<String>,
    /// Host to addresses.
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    /// Isolation (Windows).
    pub isolation: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Network of `RUN`.
    pub network: Option<String>,
    /// Ignore cached layers.
    pub no_cache: bool,
    /// Ignore cached layers of these stages.
    pub no_cache_filter: Vec<String>,
    /// Platforms to build for.
    pub platforms: Vec<String>,
    /// Privileged `RUN`.
    pub privileged: bool,
    /// Provenance attestation: a flag or settings, as written.
    pub provenance: Option<String>,
    /// Look for newer base images.
    pub pull: bool,
    /// SBOM attestation: a flag or settings, as written.
    pub sbom: Option<String>,
    /// Secrets for `RUN --mount=type=secret`.
    pub secrets: Vec<FileGrant>,
    /// Size of `/dev/shm`, bytes.
    pub shm_size: Option<u64>,
    /// Agent sockets or keys for `RUN --mount=type=ssh`: id to path; an empty path is the user's agent.
    pub ssh: BTreeMap<String, String>,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// Limits of `RUN`.
    pub ulimits: BTreeMap<String, Ulimit>,
}
