//! A project as Compose sees it: the files merged, resolved and normalised.

use crate::node::Node;
use crate::print;
use mainstay_model::ConfigHash;
use std::collections::BTreeMap;
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
    /// `DOCKER_DEFAULT_PLATFORM`, the platform of what is built.
    pub default_platform: Option<String>,
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
    /// What `docker compose config --format json` prints for it, for programs. With dollar signs doubled.
    pub fn to_compose_json(&self) -> serde_json::Value {
        print::value(&print::project(&self.name, &self.tree), true)
    }

    /// What `docker compose config --format json` prints for it, to the byte.
    pub fn to_compose_text(&self) -> String {
        print::go_json(&print::project(&self.name, &self.tree), true).replace('$', "$$")
    }

    /// What `docker compose config --hash` prints for each service.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        let services = self.tree.entries("services");
        services.map(|(name, entry)| (name.clone(), self.hash(&entry.node).of_file())).collect()
    }

    /// Compose's hash of a service.
    pub(crate) fn hash(&self, service: &Node) -> ConfigHash {
        print::of_service(service, self.default_platform.as_deref())
    }
}
