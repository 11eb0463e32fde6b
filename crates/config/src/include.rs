//! `include` (Compose Specification, "Include"): whole stack files with a directory and variables of their own.
//!
//! What an including file says of a service goes over what the included file says.

use crate::diagnostic::{Code, Diagnostic};
use crate::dotenv::Variables;
use crate::environment::{EnvFile, read_file};
use crate::load::Loader;
use crate::merge::{merge, settle};
use crate::node::{Entry, KeyPath, Node, Value};
use crate::normalise;
use crate::paths;
use crate::shape::{Kind, TOP};
use crate::short::fields;
use std::path::{Path, PathBuf};

/// Deepest nesting of files that include each other.
const MOST_DEPTH: usize = 32;

/// Brings everything that a document includes into it. `including` are the files on the way to it.
pub fn apply(loader: &mut Loader<'_>, document: &mut Node, directory: &Path, including: &[PathBuf]) {
    let Some(include) = document.as_map_mut().and_then(|map| map.remove("include")) else { return };
    for (index, item) in include.node.as_list().unwrap_or_default().iter().enumerate() {
        let path = KeyPath::root().key("include").index(index);
        let Some(included) = one(loader, item, directory, including, &path) else { continue };
        import(loader, document, included);
    }
}

/// Loads what one item names.
fn one(
    loader: &mut Loader<'_>,
    item: &Node,
    directory: &Path,
    including: &[PathBuf],
    path: &KeyPath,
) -> Option<Node> {
    let home = loader.env.get("HOME");
    let seen_from =
        |node: &Node| node.as_text().map(|text| paths::absolute(directory, text, home.as_deref()));
    let files: Vec<PathBuf> = item.items("path").iter().filter_map(seen_from).collect();
    let Some(first) = files.first() else {
        let message = "this includes nothing: it has no `path`";
        loader.sink.push(Diagnostic::warning(Code::Include, message).at(item.span).path(path));
        return None;
    };
    if including.contains(first) || including.len() >= MOST_DEPTH {
        let names: Vec<_> = including.iter().map(|f| f.display().to_string()).collect();
        let message = format!("files include each other: {} → {}", names.join(" → "), first.display());
        loader.sink.push(Diagnostic::error(Code::Include, message).at(item.span).path(path));
        return None;
    }
    let own_directory = match item.get("project_directory").and_then(seen_from) {
        Some(given) => given,
        None => first.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    let variables = variables(loader, item, directory, &own_directory);
    let outer = loader.env.with(variables);
    let outer = std::mem::replace(&mut loader.env, outer);
    let seen = loader.seen_from(&own_directory);
    let outer_root = std::mem::replace(&mut loader.root, own_directory.clone());
    let mut tree: Option<Node> = None;
    for file in &files {
        let mut including = including.to_vec();
        including.push(file.clone());
        for document in loader.read(file, Some(item.span)) {
            let Some(document) = loader.document(document, &own_directory, &including) else { continue };
            tree = Some(match tree {
                None => settle(document),
                Some(base) => merge(base, document, &Kind::Object(&TOP), &KeyPath::root(), &mut loader.sink),
            });
            loader.settled(tree.as_mut());
        }
    }
    if let Some(tree) = &mut tree {
        let lookup = |name: &str| loader.env.get(name);
        let view = normalise::Place { directory: &seen, home: home.as_deref(), lookup: &lookup };
        view.paths(tree);
        view.environment(tree);
    }
    loader.env = outer;
    loader.root = outer_root;
    tree
}

/// Variables of an included file: its `env_file`, else `.env` in its directory.
fn variables(loader: &mut Loader<'_>, item: &Node, directory: &Path, own_directory: &Path) -> Variables {
    let source = loader.env.source();
    let mut files: Vec<PathBuf> = item
        .items("env_file")
        .iter()
        .filter_map(|node| node.as_text().filter(|text| *text != "/dev/null"))
        .map(|text| paths::absolute(directory, text, None))
        .collect();
    let default = own_directory.join(".env");
    if item.get("env_file").is_none() && source.is_file(&default) {
        files.push(default);
    }
    let mut variables = Variables::new();
    for file in files {
        let lookup = |name: &str| loader.env.get(name);
        let file = EnvFile { path: &file, format: "", asked_at: Some(item.span) };
        read_file(&file, &mut variables, &lookup, source, &mut loader.texts, &mut loader.sink);
    }
    variables
}

/// Puts resources of an included tree below those of a document.
fn import(loader: &mut Loader<'_>, document: &mut Node, included: Node) {
    let Value::Map(mut included) = included.value else { return };
    for kind in ["services", "jobs", "volumes", "networks", "secrets", "configs", "models"] {
        let (Some(entry), Some(key)) = (included.remove(kind), TOP.key(kind)) else { continue };
        let path = KeyPath::root().key(kind);
        let over = match document.as_map_mut().and_then(|map| map.remove(kind)) {
            Some(over) => over.node,
            None => Node::new(fields(entry.key_span, []), entry.node.span),
        };
        let node = merge(entry.node, over, &key.kind, &path, &mut loader.sink);
        if let Some(map) = document.as_map_mut() {
            map.insert(kind.to_owned(), Entry { key_span: entry.key_span, node });
        }
    }
}
