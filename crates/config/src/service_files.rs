//! `env_file` and `label_file`: what they say goes below what `environment` and `labels` say.

use crate::diagnostic::{Code, Diagnostic};
use crate::dotenv::Variables;
use crate::environment::{EnvFile, read_file};
use crate::load::Loader;
use crate::node::{Entry, KeyPath, Node, Value};
use crate::short::fields;
use std::path::Path;

/// Reads the files of every service into its `environment` and `labels`. Paths that are still relative are seen from
/// `directory`.
pub fn merge_in(tree: &mut Node, loader: &mut Loader<'_>, directory: &Path) {
    let services = KeyPath::root().key("services");
    for (name, entry) in tree.entries_mut("services") {
        let path = services.key(name);
        if !loader.skip.env_files {
            environment(&mut entry.node, loader, directory, &path);
        }
        labels(&mut entry.node, loader, directory, &path);
    }
}

/// Values of a mapping that have one.
fn given(service: &Node, key: &str) -> Variables {
    service
        .entries(key)
        .filter_map(|(name, entry)| Some((name.clone(), entry.node.as_text()?.to_owned())))
        .collect()
}

fn environment(service: &mut Node, loader: &mut Loader<'_>, directory: &Path, path: &KeyPath) {
    let own = given(service, "environment");
    let mut variables = own.clone();
    let Loader { env, texts, sink, .. } = loader;
    for (index, file) in service.items("env_file").iter().enumerate() {
        let Some(file_path) = file.get_text("path").map(|path| directory.join(path)) else { continue };
        if !env.source().is_file(&file_path) {
            if file.get_flag("required") {
                let message = format!("the environment file {} does not exist", file_path.display());
                let help = "create it, or write `required: false`";
                let path = path.key("env_file").index(index);
                sink.push(Diagnostic::error(Code::NoEnvFile, message).at(file.span).path(path).help(help));
            }
            continue;
        }
        let format = file.get_text("format").unwrap_or_default();
        let asked = EnvFile { path: &file_path, format, asked_at: Some(file.span) };
        let lookup = |name: &str| env.get(name).or_else(|| own.get(name).cloned());
        read_file(&asked, &mut variables, &lookup, env.source(), texts, sink);
    }
    put_missing(service, "environment", variables);
    if let Some(map) = service.as_map_mut() {
        map.remove("env_file");
    }
}

fn labels(service: &mut Node, loader: &mut Loader<'_>, directory: &Path, path: &KeyPath) {
    let mut variables = Variables::new();
    let Loader { env, texts, sink, .. } = loader;
    for (index, file) in service.items("label_file").iter().enumerate() {
        let Some(file_path) = file.as_text().map(|path| directory.join(path)) else { continue };
        if env.source().is_file(&file_path) {
            let earlier = variables.clone();
            let asked = EnvFile { path: &file_path, format: "", asked_at: Some(file.span) };
            let lookup = |name: &str| earlier.get(name).cloned();
            read_file(&asked, &mut variables, &lookup, env.source(), texts, sink);
        } else {
            let message = format!("the label file {} does not exist", file_path.display());
            let path = path.key("label_file").index(index);
            sink.push(Diagnostic::error(Code::NoEnvFile, message).at(file.span).path(path));
        }
    }
    put_missing(service, "labels", variables);
}

/// Adds variables to the mapping under `key`; what the file says there, even without a value, stays.
fn put_missing(service: &mut Node, key: &str, variables: Variables) {
    if variables.is_empty() {
        return;
    }
    let span = service.span;
    service.put_default(key, fields(span, []));
    let Some(map) = service.get_mut(key).and_then(Node::as_map_mut) else { return };
    for (name, value) in variables {
        map.entry(name).or_insert_with(|| Entry::new(Node::new(Value::Text(value), span)));
    }
}
