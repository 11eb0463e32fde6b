//! A project as Compose sees it: the files merged, resolved and normalised.

use crate::node::Node;
use crate::print;
use std::fmt;
use std::path::PathBuf;

/// Files merged into one tree.
#[derive(Clone, PartialEq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The project directory, absolute.
    pub directory: PathBuf,
    /// Absolute paths of the files, in the order of merging.
    pub files: Vec<PathBuf>,
    /// The tree, with active services only.
    pub tree: Node,
    /// Services that no active profile asks for, by name.
    pub disabled: Vec<String>,
    /// Every profile that a service names, sorted.
    pub profiles: Vec<String>,
}

impl fmt::Debug for Project {
    /// Without the tree: it holds the values of variables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project")
            .field("name", &self.name)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Project {
    /// What `docker compose config --format json` prints for it.
    pub fn to_compose_json(&self) -> serde_json::Value {
        print::to_compose_json(&self.name, &self.tree)
    }
}
