//! What a command asks for.

use mainstay_model::{Mount, PublishedPort, ReleaseNumber, ServiceName, Stack, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `POST /v1/stacks/{stack}/deploy` and `…/plan`: move to a release of this stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The stack, resolved.
    pub stack: Stack,
    /// Only these services and what they depend on; all when empty.
    pub services: Vec<ServiceName>,
    /// Leave out what they depend on.
    pub no_deps: bool,
    /// Build images even where they exist.
    pub build: bool,
    /// Never build.
    pub no_build: bool,
    /// When to pull images.
    pub pull: PullWish,
    /// Which instances are made anew.
    #[serde(default)]
    pub recreate: Recreate,
    /// Those of what the named services depend on are made anew in any case.
    #[serde(default)]
    pub recreate_dependencies: bool,
    /// Refuse, instead of waiting, while another deploy is under way.
    pub refuse_if_busy: bool,
}

/// Which instances a deploy makes anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recreate {
    /// Those whose definition or image changed.
    #[default]
    Changed,
    /// All.
    All,
    /// None: a service that is there stays as it is.
    Never,
}

/// `POST …/pull`, `…/build` and `…/push`: images without a deploy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImagesRequest {
    /// The stack, resolved.
    pub stack: Stack,
    /// Only of these services; of all when empty.
    pub services: Vec<ServiceName>,
    /// For `pull`: only images that are not there.
    #[serde(default)]
    pub missing_only: bool,
    /// For `pull`: leave out what can be built.
    #[serde(default)]
    pub ignore_buildable: bool,
    /// For `pull` and `push`: one that fails is told of, and the others go on.
    #[serde(default)]
    pub ignore_failures: bool,
    /// For `build`: take nothing from the cache.
    #[serde(default)]
    pub no_cache: bool,
    /// For `build`: look for newer base images.
    #[serde(default)]
    pub pull_bases: bool,
}

impl ImagesRequest {
    /// The plain wish, with every option off.
    pub fn new(stack: Stack, services: Vec<ServiceName>) -> Self {
        Self {
            stack,
            services,
            missing_only: false,
            ignore_buildable: false,
            ignore_failures: false,
            no_cache: false,
            pull_bases: false,
        }
    }
}

/// `POST …/images/remove`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveImagesRequest {
    /// Names of images.
    pub references: Vec<String>,
}

/// Query of `GET …/events`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EventQuery {
    /// Only events at or after this time.
    #[serde(default)]
    pub since: Timestamp,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Go on as things happen.
    #[serde(default)]
    pub follow: bool,
}

/// When images are pulled. `Policy` is what the file says, `missing` by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullWish {
    /// As the file says.
    #[default]
    Policy,
    /// Always.
    Always,
    /// Only images that are not there.
    Missing,
    /// Never.
    Never,
}

/// `POST …/rollback`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// The release to go back to; the one that served before the current one when absent.
    pub to: Option<ReleaseNumber>,
    /// Refuse, instead of waiting, while another deploy is under way.
    pub refuse_if_busy: bool,
}

/// `POST …/down`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DownRequest {
    /// Remove volumes too.
    pub volumes: bool,
    /// Seconds that an instance may take to stop, over what its release says.
    #[serde(default)]
    pub timeout: Option<u64>,
}

/// `POST …/stop`, `…/start`, `…/restart`: all services when empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServicesRequest {
    /// The services.
    pub services: Vec<ServiceName>,
    /// Seconds that an instance may take to stop, over what its release says; `start` has no use for it.
    #[serde(default)]
    pub timeout: Option<u64>,
}

/// Query of `GET …/logs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// Comma-separated services; all when empty.
    #[serde(default)]
    pub services: String,
    /// Go on as lines arrive.
    #[serde(default)]
    pub follow: bool,
    /// Only lines at or after this time, ms since the epoch.
    pub since: Option<u64>,
    /// Only lines before this time, ms since the epoch.
    pub until: Option<u64>,
    /// Only the last so many lines of each instance.
    pub tail: Option<usize>,
    /// Only of this instance of each service, counted from 1.
    pub index: Option<u32>,
}

/// `POST …/exec`: a command inside a running instance. The answer is an upgrade to [`crate::frame`]s.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The service.
    pub service: ServiceName,
    /// Which of its instances, counted from 1; the first when absent.
    pub index: Option<u32>,
    /// How the command runs.
    pub command: CommandRequest,
}

/// How a command runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CommandRequest {
    /// Program and arguments; for `run`, empty means the service's own command.
    pub argv: Vec<String>,
    /// Extra environment, `NAME=value`. Goes over the socket only, never into a process list.
    pub env: Vec<String>,
    /// User.
    pub user: Option<String>,
    /// Working directory.
    pub workdir: Option<String>,
    /// With a terminal of this many rows and columns.
    pub tty: Option<(u16, u16)>,
    /// Forward standard input.
    pub stdin: bool,
    /// Do not wait for the command; the answer ends once it runs.
    #[serde(default)]
    pub detach: bool,
    /// For `exec`: with all rights.
    #[serde(default)]
    pub privileged: bool,
}

/// `POST …/run/{service}`: a one-off copy of a service. The answer is an upgrade to [`crate::frame`]s.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunRequest {
    /// What runs, in place of the service's own command.
    pub command: CommandRequest,
    /// Another entrypoint, as one program; the service's own when absent.
    pub entrypoint: Option<String>,
    /// Name of the copy.
    pub name: Option<String>,
    /// Remove the copy when it has ended.
    pub remove: bool,
    /// The stack of the files, for a service that the release which serves does not have.
    pub stack: Option<Box<Stack>>,
    /// Use the image that its name means now, not the one of the release.
    pub fresh_image: bool,
    /// Ports to publish.
    pub ports: Vec<PublishedPort>,
    /// Publish the service's own ports, too.
    pub service_ports: bool,
    /// Answer to the service's names on its networks.
    pub use_aliases: bool,
    /// Mounts over the service's own.
    pub mounts: Vec<Mount>,
    /// Labels over the service's own.
    pub labels: BTreeMap<String, String>,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to take away.
    pub cap_drop: Vec<String>,
}

/// `POST …/kill`: all services when empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalRequest {
    /// The services.
    pub services: Vec<ServiceName>,
    /// Name or number.
    pub signal: String,
}

/// Query of what is about one instance of a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InstanceQuery {
    /// Which of its instances, counted from 1; the first when absent.
    pub index: Option<u32>,
}

/// Query of `GET …/port/{service}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortQuery {
    /// Which of its instances, counted from 1; the first when absent.
    pub index: Option<u32>,
    /// The port inside.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Query of `GET …/stat/{service}`, `GET` and `PUT …/files/{service}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CopyQuery {
    /// Which of its instances, counted from 1; when absent the first, and for `PUT` every one.
    pub index: Option<u32>,
    /// Path inside the instance: what to read, or the directory to unpack in.
    pub path: String,
    /// Read what a symbolic link means, not the link.
    #[serde(default)]
    pub follow_link: bool,
    /// Unpacked files belong to whom the archive says.
    #[serde(default)]
    pub archive: bool,
}

/// `POST …/commit/{service}`: an image made of an instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CommitRequest {
    /// Which of its instances, counted from 1; the first when absent.
    pub index: Option<u32>,
    /// `repository[:tag]`.
    pub reference: Option<String>,
    /// Who made it.
    pub author: String,
    /// What it is for.
    pub message: String,
    /// Instructions of a Dockerfile to apply.
    pub changes: Vec<String>,
    /// Freeze the instance meanwhile.
    pub pause: bool,
}

/// `POST …/attach/{service}`. The answer is an upgrade to [`crate::frame`]s.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Which of its instances, counted from 1; the first when absent.
    pub index: Option<u32>,
    /// Forward standard input.
    pub stdin: bool,
    /// Rows and columns of the terminal, where there is one.
    pub tty: Option<(u16, u16)>,
}
