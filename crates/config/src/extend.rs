//! `extends` (Compose Specification, "extends"): a service that starts from another one, of its own file or of a
//! second one.
//!
//! Runs on each file before files are merged. Paths of a second file are seen from that file's directory.

use crate::diagnostic::{Code, Diagnostic, Span};
use crate::load::Loader;
use crate::merge::{merge, settle};
use crate::node::{Entry, KeyPath, Map, Node, Value};
use crate::normalise;
use crate::paths;
use crate::shape::{Kind, SERVICE};
use crate::suggest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Deepest chain of services that extend each other; people use two or three.
const MOST_DEPTH: usize = 32;

/// Applies every `extends` of a document; `directory` is where its relative file names are seen from.
pub fn apply(loader: &mut Loader<'_>, document: &mut Node, directory: &Path) {
    let Some(services) = document.get("services").and_then(Node::as_map) else { return };
    if !services.values().any(|entry| entry.node.get("extends").is_some()) {
        return;
    }
    let file = File { path: PathBuf::new(), directory: directory.to_path_buf(), services: services.clone() };
    let mut chains = Chains { loader, files: BTreeMap::new() };
    let mut resolved = Map::new();
    for (name, entry) in services {
        let entry = match chains.resolve(&file, name, &mut vec![]) {
            Some(node) => Entry { key_span: entry.key_span, node },
            None => continue,
        };
        resolved.insert(name.clone(), entry);
    }
    if let Some(services) = document.get_mut("services") {
        services.value = Value::Map(resolved);
    }
}

/// Services of one file.
#[derive(Clone)]
struct File {
    /// Empty for the file that is being loaded.
    path: PathBuf,
    directory: PathBuf,
    services: Map,
}

struct Chains<'a, 'b> {
    loader: &'a mut Loader<'b>,
    files: BTreeMap<PathBuf, File>,
}

impl Chains<'_, '_> {
    /// A service with all it extends. `trail` holds the services on the way to it.
    fn resolve(&mut self, file: &File, name: &str, trail: &mut Vec<(PathBuf, String)>) -> Option<Node> {
        let entry = file.services.get(name)?;
        let Some(extends) = entry.node.get("extends") else { return Some(entry.node.clone()) };
        let path = KeyPath::root().key("services").key(name).key("extends");
        let step = (file.path.clone(), name.to_owned());
        if trail.contains(&step) || trail.len() >= MOST_DEPTH {
            let names: Vec<_> = trail.iter().map(|(_, n)| format!("`{n}`")).collect();
            let message = format!("services extend each other: {} → `{name}`", names.join(" → "));
            self.report(message, extends.span, &path, None);
            return None;
        }
        let Some(base_name) = extends.get_text("service").map(str::to_owned) else {
            self.report("`service` is missing here".to_owned(), extends.span, &path, None);
            return None;
        };
        trail.push(step);
        let base = match extends.get("file") {
            None => self.base(file, &base_name, extends, &path, trail),
            Some(other) => {
                let other = self.file(file, other, &path)?;
                self.base(&other, &base_name, extends, &path, trail)
            }
        };
        trail.pop();
        let mut own = entry.node.clone();
        let base = settle(base?);
        if base.is_null() {
            return Some(own);
        }
        own.as_map_mut()?.remove("extends");
        Some(merge(
            base,
            own,
            &Kind::Object(&SERVICE),
            &KeyPath::root().key("services").key(name),
            &mut self.loader.sink,
        ))
    }

    fn base(
        &mut self,
        file: &File,
        name: &str,
        extends: &Node,
        path: &KeyPath,
        trail: &mut Vec<(PathBuf, String)>,
    ) -> Option<Node> {
        if file.services.contains_key(name) {
            return self.resolve(file, name, trail);
        }
        let place = if file.path.as_os_str().is_empty() {
            String::new()
        } else {
            format!(" in {}", file.path.display())
        };
        let known = file.services.keys().map(String::as_str);
        let help = suggest::closest(name, known).map(|meant| format!("did you mean `{meant}`?"));
        self.report(format!("there is no service `{name}`{place} to extend"), extends.span, path, help);
        None
    }

    /// The services of a second file, its paths made absolute.
    fn file(&mut self, from: &File, name: &Node, path: &KeyPath) -> Option<File> {
        let home = self.loader.env.get("HOME");
        let file_path = paths::absolute(&from.directory, name.as_text()?, home.as_deref());
        if let Some(known) = self.files.get(&file_path) {
            return Some(known.clone());
        }
        let directory = file_path.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut services = Map::new();
        for document in self.loader.read(&file_path, Some(name.span)) {
            let mut document = self.loader.checked(document)?;
            let lookup = |_: &str| None;
            let seen = self.loader.seen_from(&directory);
            let view = normalise::Place { directory: &seen, home: home.as_deref(), lookup: &lookup };
            view.paths(&mut document);
            if let Some(more) = document.get_mut("services").and_then(Node::as_map_mut) {
                services.append(more);
            }
        }
        if services.is_empty() {
            let message = format!("{} has no services", file_path.display());
            self.report(message, name.span, path, None);
            return None;
        }
        let file = File { path: file_path.clone(), directory, services };
        self.files.insert(file_path, file.clone());
        Some(file)
    }

    fn report(&mut self, message: String, span: Span, path: &KeyPath, help: Option<String>) {
        let finding = Diagnostic::error(Code::Extends, message).at(span).path(path);
        self.loader.sink.push(Diagnostic { help, ..finding });
    }
}
