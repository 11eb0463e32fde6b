//! What every stack wants of the edge, on disk and as one table.

use crate::Error;
use mainstay_model::table::{ListenerKind, RouteTable};
use mainstay_model::{CertificateFiles, StackName, TableTls};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The part of each stack, as last put in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Parts {
    pub version: u64,
    pub stacks: BTreeMap<StackName, RouteTable>,
}

impl Parts {
    /// Whether there is anything for an edge to do.
    pub fn want_an_edge(&self) -> bool {
        self.stacks.values().any(|part| !part.listeners.is_empty() || !part.upstreams.is_empty())
    }

    /// Certificates in files, of all stacks.
    pub fn key_files(&self) -> Vec<CertificateFiles> {
        self.stacks.values().flat_map(|part| part.tls.files.iter().cloned()).collect()
    }
}

/// All parts as one table. A listener that two stacks want is one listener; a TCP port goes to the first that wants it.
pub(super) fn merged(parts: &Parts) -> RouteTable {
    let mut table = RouteTable { version: parts.version, ..RouteTable::default() };
    let mut seen = BTreeSet::new();
    for part in parts.stacks.values() {
        for listener in &part.listeners {
            if seen.insert(listener.address) {
                table.listeners.push(listener.clone());
            } else if listener.speaks_http3()
                && let Some(same) = table.listeners.iter_mut().find(|l| l.address == listener.address)
                && same.kind == (ListenerKind::Https { http3: false })
            {
                // What one stack asks for an address has, the others have too.
                same.kind = listener.kind.clone();
            }
        }
        table.routes.extend(part.routes.iter().cloned());
        table.passthrough.extend(part.passthrough.iter().cloned());
        table.sites.extend(part.sites.clone());
        table.limits.extend(part.limits.clone());
        *table.clients = table.clients.and(&part.clients);
        let TableTls { files, managed, on_demand } = &part.tls;
        table.tls.files.extend(files.iter().cloned());
        table.tls.managed.extend(managed.iter().cloned());
        table.tls.on_demand = table.tls.on_demand.or_else(|| on_demand.clone());
        table.upstreams.extend(part.upstreams.iter().map(|(key, upstream)| (key.clone(), upstream.clone())));
    }
    table
}

pub(super) fn read_parts(dir: &Path) -> Parts {
    let text = std::fs::read(dir.join("parts.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Atomic: a crash leaves the old parts or the new ones.
pub(super) fn write_parts(dir: &Path, parts: &Parts) -> Result<(), Error> {
    let (path, fresh) = (dir.join("parts.json"), dir.join("parts.json.new"));
    let error = |source| Error::File { what: "write", path: path.clone(), source };
    let text = serde_json::to_vec(parts).map_err(|e| error(e.into()))?;
    // Keys of accounts and providers are in it.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&fresh).map_err(error)?;
    std::io::Write::write_all(&mut &file, &text).map_err(error)?;
    file.sync_all().map_err(error)?;
    std::fs::rename(&fresh, &path).map_err(error)
}
