//! Looking: what the directories and the kernel say about the instances of a stack.

use super::files::{Files, Status};
use super::{JOB_SLOT, Launch, Native, NativeError, blocking};
use mainstay_model::{Health, Instance, InstanceId, InstanceState, RuntimeKind, StackName, Timestamp};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

impl Native {
    /// Every native instance of `stack`, jobs excluded. Health is not ours to know: it is always `Starting`.
    ///
    /// An instance whose shim was killed and whose command is gone, too, has no recorded end. It is shown as exited
    /// with 137, the code that containerd gives a container whose shim died, at the time of its last sign of life.
    ///
    /// # Errors
    /// Whatever keeps any of the instances from being seen: then nothing is known, rather than something absent.
    pub async fn observe(&self, stack: &StackName) -> Result<Vec<Instance>, NativeError> {
        let dir = self.root.join(stack.as_str());
        blocking("observe", move || {
            let ids = instances(&dir)?.into_iter().filter(|id| id.slot != JOB_SLOT);
            let seen = ids.map(|id| see(&Files::at(dir.join(id.to_string()))));
            seen.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// What the file asks for and this host does not give: one sentence each, such as `memory limit is not in force:
    /// …`. Known once the instance was started.
    ///
    /// # Errors
    /// Failures to read the instance's files.
    pub async fn not_in_force(&self, stack: &StackName, id: &InstanceId) -> Result<Vec<String>, NativeError> {
        let files = self.files(stack, id);
        blocking("observe", move || Ok(files.status()?.map_or_else(Vec::new, |status| status.not_in_force)))
            .await
    }

    /// How an instance ended; `None` while it runs or was never started.
    ///
    /// # Errors
    /// Failures to read the instance's files.
    pub async fn exit(&self, stack: &StackName, id: &InstanceId) -> Result<Option<super::Exit>, NativeError> {
        let files = self.files(stack, id);
        blocking("observe", move || Ok(files.status()?.and_then(|status| status.exited))).await
    }
}

/// Names of the instances, jobs included, in the directory of a stack. Drafts and what is being removed have names
/// that are no instances'.
pub(super) fn instances(dir: &Path) -> Result<Vec<InstanceId>, NativeError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(NativeError::File { action: "read", path: dir.to_owned(), source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(NativeError::file("read", dir))?.file_name();
        let visible =
            name.to_str().filter(|name| !name.starts_with(".making-") && !name.starts_with(".removing-"));
        found.extend(visible.and_then(InstanceId::parse));
    }
    found.sort();
    Ok(found)
}

/// `None`: removed while we looked.
fn see(files: &Files) -> Result<Option<Instance>, NativeError> {
    let launch = match files.launch() {
        Ok(launch) => launch,
        Err(NativeError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let status = files.status()?;
    if status.is_none() && !files.dir().exists() {
        return Ok(None);
    }
    let Launch { id, hash, name, port, .. } = launch;
    Ok(Some(Instance {
        handle: files.name(),
        runtime: RuntimeKind::Native,
        number: 0,
        state: status.as_ref().map_or(InstanceState::Created, state),
        health: Health::Starting,
        restarts: status.map_or(0, |status| status.runs.saturating_sub(1)),
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        id,
        hash,
        name,
        port,
        published: BTreeMap::new(),
        compose: None,
    }))
}

fn state(status: &Status) -> InstanceState {
    match (&status.exited, status.started) {
        (Some(exit), _) => InstanceState::Exited { code: exit.code, oom: exit.oom, at: Timestamp(exit.at) },
        (None, Some(since)) => InstanceState::Running { since: Timestamp(since) },
        // The shim is about to start it.
        (None, None) => InstanceState::Created,
    }
}
