//! What the file itself says of things for which a resolved service has a default or another answer: the Engine is told no
//! more than Docker Compose tells it, so that the containers of both are the same.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Parts of a service as they stand in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AsWritten {
    /// `healthcheck:`, also where `x-mainstay: ready:` decides.
    pub healthcheck: Option<WrittenCheck>,
    /// There is a `restart:` or a `deploy: restart_policy:`.
    pub restart: bool,
    /// There is a `stop_grace_period:`.
    pub stop_grace_period: bool,
    /// Variables of `environment:` without a value anywhere: they take away what the image sets.
    pub unset: Vec<String>,
}

/// A healthcheck without defaults; what it leaves out is the image's or the Engine's to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenCheck {
    /// With its first word: `CMD`, `CMD-SHELL` or `NONE`. Empty: the image's.
    pub test: Vec<String>,
    /// `interval:`.
    pub interval: Option<Duration>,
    /// `timeout:`.
    pub timeout: Option<Duration>,
    /// `retries:`.
    pub retries: Option<u32>,
    /// `start_period:`.
    pub start_period: Option<Duration>,
    /// `start_interval:`.
    pub start_interval: Option<Duration>,
}
