//! `env_file` and `label_file`: what they say goes below what `environment` and `labels` say.

use crate::diagnostic::{Code, Diagnostic, Sink, Texts};
use crate::dotenv::Variables;
use crate::environment::{EnvFile, Environment, read_file};
use crate::node::{Entry, KeyPath, Node, Value};
use crate::short::fields;
use std::path::Path;

/// Reads the files of every service into its `environment` and `labels`.
pub fn merge_in(tree: &mut Node, env: &Environment<'_>, texts: &mut Texts, sink: &mut Sink) {
    let services = KeyPath::root().key("services");
    for (name, entry) in tree.entries_mut("services") {
        let path = services.key(name);
        environment(&mut entry.node, env, &path, texts, sink);
        labels(&mut entry.node, env, &path, texts, sink);
    }
}

/// Values of a mapping that have one.
fn given(service: &Node, key: &str) -> Variables {
    service
        .entries(key)
        .filter_map(|(name, entry)| Some((name.clone(), entry.node.as_text()?.to_owned())))
        .collect()
}

fn environment(
    service: &mut Node,
    env: &Environment<'_>,
    path: &KeyPath,
    texts: &mut Texts,
    sink: &mut Sink,
) {
    let own = given(service, "environment");
    let mut variables = own.clone();
    for (index, file) in service.items("env_file").iter().enumerate() {
        let Some(file_path) = file.get_text("path").map(Path::new) else { continue };
        if !env.source().is_file(file_path) {
            if file.get_flag("required") {
                let message = format!("the environment file {} does not exist", file_path.display());
                let help = "create it, or write `required: false`";
                let path = path.key("env_file").index(index);
                sink.push(Diagnostic::error(Code::NoEnvFile, message).at(file.span).path(path).help(help));
            }
            continue;
        }
        let format = file.get_text("format").unwrap_or_default();
        let asked = EnvFile { path: file_path, format, asked_at: Some(file.span) };
        let lookup = |name: &str| env.get(name).or_else(|| own.get(name).cloned());
        read_file(&asked, &mut variables, &lookup, env.source(), texts, sink);
    }
    put_missing(service, "environment", variables);
}

fn labels(service: &mut Node, env: &Environment<'_>, path: &KeyPath, texts: &mut Texts, sink: &mut Sink) {
    let mut variables = Variables::new();
    for (index, file) in service.items("label_file").iter().enumerate() {
        let Some(file_path) = file.as_text().map(Path::new) else { continue };
        if env.source().is_file(file_path) {
            let earlier = variables.clone();
            let asked = EnvFile { path: file_path, format: "", asked_at: Some(file.span) };
            read_file(&asked, &mut variables, &|name| earlier.get(name).cloned(), env.source(), texts, sink);
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
