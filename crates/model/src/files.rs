//! Files that the edge serves itself.

use crate::ServiceName;
use crate::route::is_default;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `static:` of a service: a built site, without a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The service that is nothing but these.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service: Option<ServiceName>,
    /// Absolute path of the directory.
    pub root: PathBuf,
    /// Of so many releases the files are kept, the one that serves among them; 0: of none, and `root` is served as it is at
    /// each moment.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep: u32,
    /// The copy of `root` that a release has. Beside it are those of other releases, which answer for what is named by a hash
    /// of its contents.
    #[serde(default, skip_serializing_if = "is_default")]
    pub snapshot: Option<PathBuf>,
    /// Navigations to what is no file get the entry page: the page's own router knows what they mean.
    pub spa: bool,
    /// Variables that the entry page and `config.js` are given, by name. They reach every client.
    pub env: BTreeMap<String, String>,
}
