//! The whole way: files → trees → one tree → project → stack.
//!
//! Every stage goes on after an error as far as its input makes sense, so that one run reports all mistakes.

use crate::check::check;
use crate::complete::complete;
use crate::cross;
use crate::diagnostic::{Code, Diagnostic, FileId, Sink, Span, Texts};
use crate::environment::{Environment, read_text};
use crate::files::{self, Place};
use crate::interpolate::Interpolator;
use crate::merge::{forget_forms, merge, settle};
use crate::node::{Entry, KeyPath, Node, Value};
use crate::normalise;
use crate::origin::Origins;
use crate::profiles;
use crate::project::Project;
use crate::request::{Loaded, Request, Skip};
use crate::resolve;
use crate::shape::{Kind, TOP};
use crate::source::Source;
use crate::{extend, include, paths, raw, service_files, standing, template, yaml};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Loads a stack.
pub fn load(request: &Request, source: &dyn Source) -> Loaded {
    let mut loader = Loader::new(request, source);
    let project = loader.project(request);
    let stack = project.as_ref().filter(|_| request.skip == Skip::default()).and_then(|p| loader.stack(p));
    let (diagnostics, texts) = loader.finish();
    Loaded { stack, project, diagnostics, texts }
}

/// What the stages of a load share.
pub struct Loader<'a> {
    /// Variables.
    pub env: Environment<'a>,
    /// Texts read so far.
    pub texts: Texts,
    /// Findings so far.
    pub sink: Sink,
    /// Variables already reported as not set.
    pub warned: BTreeSet<String>,
    /// Which services extend others.
    pub origins: Origins,
    /// What is left out.
    pub skip: Skip,
    /// The directory of the file that is being read, or of the one that includes it: relative paths are seen from
    /// there.
    pub root: PathBuf,
    working_dir: PathBuf,
}

impl<'a> Loader<'a> {
    /// A loader that has read nothing yet.
    pub fn new(request: &Request, source: &'a dyn Source) -> Self {
        Self {
            env: Environment::new(source),
            texts: Texts::default(),
            sink: Sink::default(),
            warned: BTreeSet::new(),
            origins: Origins::default(),
            skip: request.skip,
            root: PathBuf::new(),
            working_dir: request.working_dir.clone(),
        }
    }

    /// Everything that was found, and read.
    pub fn finish(self) -> (Vec<Diagnostic>, Texts) {
        let mut diagnostics = self.sink.finish();
        self.texts.tell_origins(&mut diagnostics);
        self.origins.tell(&mut diagnostics);
        (diagnostics, self.texts)
    }

    /// How paths of files in another directory are written: from there, or, where paths stay relative, from the
    /// project directory.
    pub fn seen_from(&self, directory: &Path) -> PathBuf {
        if self.skip.paths { paths::relative(&self.root, directory) } else { directory.to_path_buf() }
    }

    fn project(&mut self, request: &Request) -> Option<Project> {
        let (tree, name, place) = self.merged(request)?;
        self.consistent(tree, &name, place, request)
    }

    /// All files merged, with the name of the stack and where it lives.
    pub fn merged(&mut self, request: &Request) -> Option<(Node, String, Place)> {
        let place = files::locate(request, &mut self.env, &mut self.texts, &mut self.sink)?;
        self.root.clone_from(&place.directory);
        let documents: Vec<(PathBuf, Node)> = place
            .files
            .iter()
            .flat_map(|path| self.read(path, None).into_iter().map(|d| (path.clone(), d)))
            .collect();
        let in_file = self.name_in_files(&documents);
        let name = files::stack_name(request, &self.env, in_file, &place.directory, &mut self.sink);
        self.env.set("COMPOSE_PROJECT_NAME", &name);
        let mut tree: Option<Node> = None;
        for (file, document) in documents {
            let Some(document) = self.document(document, &place.directory, &[file]) else { continue };
            tree = Some(match tree {
                None => settle(document),
                Some(base) => merge(base, document, &Kind::Object(&TOP), &KeyPath::root(), &mut self.sink),
            });
            self.settled(tree.as_mut());
        }
        if tree.is_none() && self.sink.errors() == 0 {
            let place = self.texts.span(FileId(0), 0, 0);
            let finding = Diagnostic::error(Code::NothingToRun, "the stack file is empty").at(place);
            self.sink.push(finding.help("write at least `services:`"));
        }
        let tree = tree?;
        if self.sink.has_gap() {
            // What could not be read would only be reported again as missing.
            return None;
        }
        Some((tree, name, place))
    }

    /// Fills in what is implied, and makes paths absolute.
    pub fn normalise(&mut self, tree: &mut Node, name: &str, directory: &Path) {
        let home = self.env.get("HOME");
        let raw = self.skip.interpolation;
        let lookup = |name: &str| self.env.get(name).filter(|_| !raw);
        let view = normalise::Place { directory, home: home.as_deref(), lookup: &lookup };
        view.defaults(tree);
        if !self.skip.paths {
            view.paths(tree);
        }
        if !self.skip.normalization {
            view.implied(tree, name);
        }
        if !self.skip.env_files {
            view.environment(tree);
        }
    }

    /// Everything after merging.
    fn consistent(&mut self, mut tree: Node, name: &str, place: Place, request: &Request) -> Option<Project> {
        self.normalise(&mut tree, name, &place.directory);
        cross::exclusions(&tree, &mut self.sink);
        let given = if request.profiles.is_empty() { None } else { Some(request.profiles.as_slice()) };
        let from_env = self.env.get("COMPOSE_PROFILES").unwrap_or_default();
        let chosen = profiles::choose(&mut tree, given, &from_env, &request.services, &mut self.sink);
        if !self.skip.consistency {
            cross::references(&tree, &chosen.disabled, &chosen.jobs, &mut self.sink);
        }
        if !request.all_resources {
            profiles::drop_unused(&mut tree);
        }
        let seen_from = self.working_dir.clone();
        service_files::merge_in(&mut tree, self, &seen_from);
        if self.sink.errors() > 0 {
            return None;
        }
        Some(Project {
            name: name.to_owned(),
            directory: place.directory,
            files: place.files,
            tree,
            disabled: chosen.disabled.into_keys().collect(),
            profiles: chosen.known,
            default_platform: self.env.get("DOCKER_DEFAULT_PLATFORM").filter(|p| !p.is_empty()),
            environment: self.env.all(),
        })
    }

    fn stack(&mut self, project: &Project) -> Option<mainstay_model::Stack> {
        let lookup = |name: &str| self.env.get(name);
        standing::report(project, &mut self.sink);
        let stack = resolve::stack(project, &lookup, self.env.source(), &mut self.sink)?;
        cross::conflicts(&stack, &project.tree, &mut self.sink);
        (self.sink.errors() == 0).then_some(stack)
    }

    /// Reads and parses a file into its documents. `by` is the place that asked for the file.
    pub fn read(&mut self, path: &Path, by: Option<Span>) -> Vec<Node> {
        let text = match read_text(path, self.env.source()) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                self.sink.push(Diagnostic::error(Code::Unreadable, message).at(by));
                return vec![];
            }
        };
        let file = self.texts.add(path, text, by);
        yaml::parse(file, &self.texts, &mut self.sink)
    }

    /// A tree with one more file merged: nothing may be missing in it, and how it was written does not count any more.
    pub fn settled(&mut self, tree: Option<&mut Node>) {
        let Some(tree) = tree else { return };
        forget_forms(tree);
        for kind in ["services", "jobs"] {
            for (_, entry) in tree.entries_mut(kind) {
                // An empty server is none, as in Compose.
                if let Some(Value::List(servers)) = entry.node.get_mut("dns").map(|node| &mut node.value) {
                    servers.retain(|server| server.as_text() != Some(""));
                }
            }
        }
        if !self.skip.interpolation {
            complete(tree, tree.span, &Kind::Object(&TOP), &KeyPath::root(), &mut self.sink);
        }
    }

    /// `name:` of the last file that has one, interpolated.
    fn name_in_files(&mut self, documents: &[(PathBuf, Node)]) -> Option<String> {
        let name = documents.iter().rev().find_map(|(_, d)| d.get_text("name").filter(|n| !n.is_empty()))?;
        if self.skip.interpolation {
            return Some(name.to_owned());
        }
        let lookup = |name: &str| self.env.get(name);
        // What is wrong with it is reported when the whole file is interpolated.
        template::expand(name, &lookup).ok().map(|expanded| expanded.text)
    }

    /// One document: checked, in its long form, with what it includes and extends. `including` are the files that
    /// lead to it, itself the last.
    pub fn document(&mut self, document: Node, directory: &Path, including: &[PathBuf]) -> Option<Node> {
        let mut document = self.checked(document)?;
        self.obsolete_version(&mut document);
        include::apply(self, &mut document, directory, including);
        extend::apply(self, &mut document, directory);
        Some(document)
    }

    /// One document: interpolated, checked, in its long form.
    pub fn checked(&mut self, mut document: Node) -> Option<Node> {
        if document.as_map().is_none() {
            let message = format!("a stack file is a mapping, and this is {}", document.kind_name());
            self.sink.push(Diagnostic::error(Code::WrongType, message).at(document.span));
            return None;
        }
        if !self.skip.interpolation {
            self.interpolate(&mut document);
        }
        name_of_external(&mut document, &mut self.sink);
        adopted_extensions(&mut document, &mut self.sink);
        let (kind, root) = (Kind::Object(&TOP), KeyPath::root());
        if self.skip.interpolation {
            raw::lengthen(&mut document, &kind, &root, &mut self.sink);
        } else {
            check(&mut document, &kind, &root, &mut self.sink);
        }
        self.origins.add(&document);
        Some(document)
    }

    /// Replaces the variables of a document.
    fn interpolate(&mut self, document: &mut Node) {
        let lookup = |name: &str| self.env.get(name);
        let mut interpolator = Interpolator { lookup: &lookup, texts: &self.texts, warned: &mut self.warned };
        interpolator.run(document, &KeyPath::root(), &mut self.sink);
    }

    fn obsolete_version(&mut self, document: &mut Node) {
        let Some(map) = document.as_map_mut() else { return };
        if let Some(version) = map.remove("version") {
            let finding = Diagnostic::warning(Code::Obsolete, "`version` is obsolete and has no effect");
            self.sink.push(finding.at(version.key_span).path("version").help("remove it"));
        }
    }
}

/// `x-develop` and `x-initialSync` are what `develop` and `initial_sync` were called before they were adopted. What
/// stands under the present name goes over them.
fn adopted_extensions(document: &mut Node, sink: &mut Sink) {
    for (name, entry) in document.entries_mut("services") {
        let path = KeyPath::root().key("services").key(name);
        adopt(&mut entry.node, "x-develop", "develop", &path, sink);
        let Some(develop) = entry.node.get_mut("develop") else { continue };
        for watch in develop.items_mut("watch") {
            adopt(watch, "x-initialSync", "initial_sync", &path, sink);
        }
    }
}

fn adopt(node: &mut Node, from: &str, to: &str, path: &KeyPath, sink: &mut Sink) {
    let Some(map) = node.as_map_mut() else { return };
    let Some(old) = map.remove(from) else { return };
    let finding = Diagnostic::warning(Code::Obsolete, format!("`{from}` is called `{to}` now"));
    sink.push(finding.at(old.key_span).path(path.key(from)).help(format!("write `{to}`")));
    let node = match map.remove(to) {
        Some(new) if !new.node.is_null() => merge(old.node, new.node, &Kind::Any, &path.key(to), sink),
        _ => old.node,
    };
    map.insert(to.to_owned(), Entry { key_span: old.key_span, node });
}

/// The old `external: { name: … }` gives the resource its name.
fn name_of_external(document: &mut Node, sink: &mut Sink) {
    for kind in ["networks", "volumes", "configs", "secrets"] {
        for (key, entry) in document.entries_mut(kind) {
            let Some(old) = entry.node.at(&["external", "name"]) else { continue };
            let Some(name) = old.as_text().map(str::to_owned) else { continue };
            let span = old.span;
            if entry.node.get_text("name").is_some_and(|given| given != name) {
                let message = "`name` and `external.name` must say the same";
                let path = KeyPath::root().key(kind).key(key).key("external");
                sink.push(
                    Diagnostic::error(Code::Conflict, message).at(span).path(path).help("write `name` only"),
                );
            }
            entry.node.put_default("name", Value::Text(name));
        }
    }
}
