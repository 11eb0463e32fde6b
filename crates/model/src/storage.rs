//! Mounts of a service, and the files given to it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One entry of `volumes:` or `tmpfs:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Absolute path inside the instance.
    pub target: String,
    /// `ro`.
    pub read_only: bool,
}

/// The source of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum MountKind {
    /// A volume of the stack, by its key under top-level `volumes:`.
    Volume {
        key: String,
        nocopy: bool,
        subpath: Option<String>,
        /// Labels, for volumes without a name that are made with the container.
        #[serde(default)]
        labels: BTreeMap<String, String>,
    },
    /// A volume without a name: fresh for every instance.
    Anonymous,
    /// A path of the host. `create` makes the directory when missing (Compose's short form does).
    Bind {
        source: PathBuf,
        create: bool,
        propagation: Option<String>,
        selinux: Option<char>,
        /// `recursive: enabled|disabled|writable|readonly`, for mounts below the source.
        #[serde(default)]
        recursive: Option<String>,
    },
    /// Memory. Size in bytes; permission bits; other mount options (`noexec`, `uid=1000` …) as written.
    Tmpfs {
        size: Option<u64>,
        mode: Option<u32>,
        options: Vec<String>,
        /// All options as an entry of `tmpfs:` has them; `None` for one of `volumes:`.
        #[serde(default)]
        written: Option<String>,
    },
    /// Something that no container of the stack can have yet.
    Foreign(ForeignMount),
}

/// Mounts of types that few Engines have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignMount {
    /// `image`, `cluster` or `npipe`.
    pub kind: String,
    /// An image reference, a volume of the cluster, or the path of a pipe.
    pub source: Option<String>,
    /// A directory within it.
    pub subpath: Option<String>,
}

/// A secret or config granted to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileGrant {
    /// Key under top-level `secrets:` or `configs:`.
    pub source: String,
    /// Absolute path inside the instance (`/run/secrets/<source>` and `/<source>` by default).
    pub target: String,
    /// Owner and mode, where given.
    pub uid: Option<String>,
    /// Group.
    pub gid: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}
