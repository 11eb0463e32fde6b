//! A project as Compose sees it: the files merged, resolved and normalised.

use crate::api_socket;
use crate::node::{Node, Value};
use crate::print::{self, Form};
use crate::profiles;
use mainstay_model::{ConfigHash, Secret};
use std::collections::{BTreeMap, BTreeSet};
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
    /// The variables that the files were interpolated with.
    pub environment: BTreeMap<String, Secret>,
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
        print::value(&print::project(&self.name, &self.tree, Form::Json), true)
    }

    /// What `docker compose config` prints for it, to the byte but for texts that need quotes.
    pub fn to_compose_yaml(&self) -> String {
        print::to_yaml(&print::project(&self.name, &self.tree, Form::Yaml)).replace('$', "$$")
    }

    /// Leaves the named services and those they depend on, and the resources those use.
    pub fn select(&mut self, services: &[String]) {
        if services.is_empty() {
            return;
        }
        let mut kept = BTreeSet::new();
        let mut next: Vec<String> = services.to_vec();
        while let Some(name) = next.pop() {
            let Some(service) = self.tree.at(&["services", &name]) else { continue };
            next.extend(service.entries("depends_on").map(|(n, _)| n.clone()).filter(|n| !kept.contains(n)));
            kept.insert(name);
        }
        if let Some(all) = self.tree.get_mut("services").and_then(Node::as_map_mut) {
            all.retain(|name, _| kept.contains(name));
        }
        profiles::drop_unused(&mut self.tree);
    }

    /// Names under a top-level key: `services`, `networks`, `volumes`.
    pub fn names(&self, kind: &str) -> Vec<String> {
        self.tree.entries(kind).map(|(name, _)| name.clone()).collect()
    }

    /// References of the models in use.
    pub fn models(&self) -> Vec<String> {
        let models = self.tree.entries("models");
        models.filter_map(|(_, entry)| entry.node.get_text("model").map(str::to_owned)).collect()
    }

    /// The images of services and of what runs before them. One that is built and has no name gets
    /// `<project>-<service>`.
    pub fn images(&self) -> Vec<String> {
        let compatible = self.environment.get("COMPOSE_COMPATIBILITY").map(Secret::expose);
        let separator =
            if matches!(compatible, Some("1" | "t" | "T" | "true" | "TRUE" | "True")) { "_" } else { "-" };
        let mut images = vec![];
        for (name, entry) in self.tree.entries("services").chain(self.tree.entries("jobs")) {
            let given = entry.node.get_text("image").filter(|image| !image.is_empty());
            let own = given.map_or_else(|| format!("{}{separator}{name}", self.name), str::to_owned);
            let hooks = entry.node.items("pre_start").iter().filter_map(|hook| hook.get_text("image"));
            let others: Vec<_> =
                hooks.filter(|image| !image.is_empty() && *image != own).map(str::to_owned).collect();
            images.push(own);
            images.extend(others);
        }
        images
    }

    /// A file that only pins images, for `--lock-image-digests`.
    pub fn images_only(&self) -> Self {
        let mut project = self.clone();
        let is_image = |mount: &Node| mount.get_text("type") == Some("image");
        for (_, entry) in project.tree.entries_mut("services") {
            let Some(map) = entry.node.as_map_mut() else { continue };
            map.retain(|key, _| matches!(key.as_str(), "image" | "volumes"));
            if let Some(Value::List(mounts)) = map.get_mut("volumes").map(|e| &mut e.node.value) {
                mounts.retain(is_image);
            }
        }
        if let Some(map) = project.tree.as_map_mut() {
            map.retain(|key, _| key == "services");
        }
        project.name.clear();
        project
    }

    /// What `docker compose config --format json` prints for it, to the byte.
    pub fn to_compose_text(&self) -> String {
        print::go_json(&print::project(&self.name, &self.tree, Form::Json), true).replace('$', "$$")
    }

    /// What `docker compose config --hash` prints for each service.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        let services = self.tree.entries("services");
        services.map(|(name, entry)| (name.clone(), self.hash(&entry.node).of_file())).collect()
    }

    /// What Compose writes on containers of a service.
    pub(crate) fn hash_of_container(&self, service: &Node) -> ConfigHash {
        self.hash(&api_socket::expanded(service))
    }

    /// Compose's hash of a service.
    fn hash(&self, service: &Node) -> ConfigHash {
        print::of_service(service, self.default_platform.as_deref())
    }
}
