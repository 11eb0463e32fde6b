//! Files that the edge serves itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `static:` of a service: a built site, without a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Absolute path of the directory.
    pub root: PathBuf,
    /// Navigations to what is no file get the entry page: the page's own router knows what they mean.
    pub spa: bool,
    /// Variables that the entry page and `config.js` are given, by name. They reach every client.
    pub env: BTreeMap<String, String>,
}
