//! Flags of `run` that are keys of a service: `-p`, `-v`, `-l`, `--cap-add` … They are read as the file would be read,
//! by the file's own reader.

use crate::context::Context;
use crate::error::{Error, Findings};
use crate::source::Host;
use clap::Args;
use mainstay_config::{Loaded, ReadError, Request, Source};
use mainstay_model::{Mount, PublishedPort};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the file that stands for the flags.
const FILE: &str = "options.json";

/// The flags.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Port to publish, as under `ports:`
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
    /// Volume or path to mount, as under `volumes:`
    #[arg(short, long, value_name = "MOUNT")]
    volume: Vec<String>,
    /// Label of the copy
    #[arg(short, long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Capability to add
    #[arg(long, value_name = "NAME")]
    cap_add: Vec<String>,
    /// Capability to take away
    #[arg(long, value_name = "NAME")]
    cap_drop: Vec<String>,
    /// File of variables to set
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<String>,
}

/// What they say.
#[derive(Debug, Default)]
pub struct Keys {
    /// Ports to publish.
    pub ports: Vec<PublishedPort>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to take away.
    pub cap_drop: Vec<String>,
    /// Variables, `NAME=value`.
    pub environment: Vec<String>,
}

/// A file that is in memory, in front of all others.
struct InFront {
    path: PathBuf,
    text: String,
}

impl Source for InFront {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        if path == self.path { Ok(self.text.clone().into_bytes()) } else { Host.read(path) }
    }

    fn is_file(&self, path: &Path) -> bool {
        path == self.path || Host.is_file(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        Host.variable(name)
    }

    fn variables(&self) -> BTreeMap<String, String> {
        Host.variables()
    }
}

/// Reads the flags.
///
/// # Errors
/// [`Error::Stack`], with what is wrong about them.
pub fn read(args: KeyArgs, context: &Context) -> Result<Keys, Error> {
    let KeyArgs { publish, volume, label, cap_add, cap_drop, env_from_file } = args;
    if [&publish, &volume, &label, &cap_add, &cap_drop, &env_from_file].iter().all(|given| given.is_empty()) {
        return Ok(Keys::default());
    }
    // Volumes of the stack by their keys: what begins with none of these is one.
    let named = volume.iter().filter_map(|mount| mount.split_once(':').map(|(source, _)| source));
    let named = named.filter(|source| !source.starts_with(['.', '/', '~']));
    let volumes: serde_json::Map<_, _> = named.map(|source| (source.to_owned(), json!({}))).collect();
    let service = json!({
        "image": "any",
        "ports": publish,
        "volumes": volume,
        "labels": label,
        "cap_add": cap_add,
        "cap_drop": cap_drop,
        "env_file": env_from_file,
    });
    let text = json!({ "services": { "options": service }, "volumes": volumes }).to_string();
    // A dollar was the shell's to read.
    let text = text.replace('$', "$$");
    let working_dir = context.request.working_dir.clone();
    let source = InFront { path: working_dir.join(FILE), text };
    let request = Request {
        files: vec![PathBuf::from(FILE)],
        project_directory: Some(working_dir.clone()),
        project_name: Some("options".into()),
        working_dir,
        ..Request::default()
    };
    let Loaded { stack, diagnostics, texts, .. } = mainstay_config::load(&request, &source);
    let service = stack.and_then(|mut stack| stack.services.pop_first()).map(|(_, service)| service);
    let Some(service) = service else {
        return Err(Error::Stack(Box::new(Findings { diagnostics, texts })));
    };
    let environment =
        service.environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    Ok(Keys {
        ports: service.ports,
        mounts: service.mounts,
        labels: service.labels,
        cap_add: service.cap_add,
        cap_drop: service.cap_drop,
        environment,
    })
}
