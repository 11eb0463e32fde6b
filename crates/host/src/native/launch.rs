//! What a shim is told to run: everything of a [`Service`] that a native process can honour, resolved to what the
//! kernel is asked for. What it cannot honour is refused here by its Compose key.
//!
//! Knows nothing about how any of it is done.

use super::log::Rotation;
use super::{NativeError, signal};
use mainstay_model::{InstanceId, Resources, Secret, Service, Ulimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Docker's search path, for services that set none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file `launch.json` of an instance. It holds secrets and has mode 0600. It stays as long as the instance,
/// because a restart and an `exec` need the environment again (a program may overwrite the copy in its own memory),
/// just as Docker keeps it in `config.v2.json` and the journal keeps it in the release.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Launch {
    /// Which copy; slot 0 is a job.
    pub(super) id: InstanceId,
    /// Hash of what it was made from.
    pub(super) hash: String,
    /// Name shown to people.
    pub(super) name: String,
    /// Loopback port it was given as `PORT`.
    pub(super) port: Option<u16>,
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// The whole environment; nothing of the agent's is added.
    pub(super) environment: BTreeMap<String, Secret>,
    /// `user[:group]`, by name or number.
    pub(super) user: Option<String>,
    /// Further groups, by name or number.
    pub(super) groups: Vec<String>,
    /// Absolute working directory; `/` by default.
    pub(super) working_dir: String,
    /// Resource limits by Compose's names (`nofile`, …).
    pub(super) ulimits: BTreeMap<String, Ulimit>,
    /// Limits of the control group.
    pub(super) resources: Resources,
    /// What stops it.
    pub(super) stop_signal: String,
    /// How long it may take to stop when nobody says otherwise.
    pub(super) stop_grace: Duration,
    /// A terminal instead of pipes.
    pub(super) tty: bool,
    /// Standard input stays open (and silent) instead of being empty.
    pub(super) stdin_open: bool,
    /// How its log is kept; `None`: not at all.
    pub(super) log: Option<Rotation>,
}

impl Launch {
    /// The launch of a copy of `service`. With a `port`, `PORT` is set to it (over the file's own), and `$PORT` and
    /// `${PORT}` in the command mean it: there is no shell that would do so, and the number is ours to give.
    pub(super) fn of(
        service: &Service,
        id: &InstanceId,
        hash: &str,
        port: Option<u16>,
    ) -> Result<Self, NativeError> {
        let argv: Vec<String> =
            service.entrypoint.iter().flatten().chain(service.command.iter().flatten()).cloned().collect();
        if argv.first().is_none_or(String::is_empty) {
            return Err(NativeError::NoCommand(service.name.to_string()));
        }
        Self::running(service, id, hash, port, argv)
    }

    /// As [`Self::of`], with `argv` in place of the service's own command.
    pub(super) fn running(
        service: &Service,
        id: &InstanceId,
        hash: &str,
        port: Option<u16>,
        argv: Vec<String>,
    ) -> Result<Self, NativeError> {
        let keys = unsupported(service);
        if !keys.is_empty() {
            return Err(NativeError::Unsupported { service: service.name.to_string(), keys });
        }
        let stop_signal = service.stop_signal.clone().unwrap_or_else(|| "SIGTERM".to_owned());
        signal::parse(&stop_signal)?;
        let log = Rotation::of(service.logging.as_ref())
            .map_err(|why| NativeError::Logging { service: service.name.to_string(), why })?;
        Ok(Self {
            id: id.clone(),
            hash: hash.to_owned(),
            name: service.container_name.clone().unwrap_or_else(|| id.to_string()),
            port,
            argv: argv.into_iter().map(|word| with_port(word, port)).collect(),
            environment: environment(service, port),
            user: service.user.clone().filter(|user| !user.is_empty()),
            groups: service.group_add.clone(),
            working_dir: service.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
            ulimits: service.ulimits.clone(),
            resources: service.resources.clone(),
            stop_signal,
            stop_grace: service.stop_grace_period,
            tty: service.tty,
            stdin_open: service.stdin_open,
            log,
        })
    }
}

fn environment(service: &Service, port: Option<u16>) -> BTreeMap<String, Secret> {
    let mut environment = service.environment.clone();
    environment.entry("PATH".to_owned()).or_insert_with(|| Secret::new(DEFAULT_PATH));
    if service.tty {
        environment.entry("TERM".to_owned()).or_insert_with(|| Secret::new("xterm"));
    }
    if let Some(port) = port {
        environment.insert("PORT".to_owned(), Secret::new(port.to_string()));
    }
    environment
}

/// Replaces `${PORT}`, and `$PORT` where no longer name goes on.
fn with_port(word: String, port: Option<u16>) -> String {
    let Some(port) = port.map(|port| port.to_string()) else { return word };
    let word = word.replace("${PORT}", &port);
    let mut done = String::with_capacity(word.len());
    let mut rest = word.as_str();
    while let Some((before, after)) = rest.split_once("$PORT") {
        let longer = after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        done.push_str(before);
        done.push_str(if longer { "$PORT" } else { &port });
        rest = after;
    }
    done.push_str(rest);
    done
}

/// Compose keys of `service` that only a container can honour. A native process shares the host's file system,
/// network and host name.
pub fn unsupported(service: &Service) -> Vec<String> {
    let present = [
        ("volumes", !service.mounts.is_empty()),
        ("secrets", !service.secrets.is_empty()),
        ("configs", !service.configs.is_empty()),
        ("networks", service.networks.keys().any(|key| key != "default")),
        ("network_mode", service.network_mode.as_deref().is_some_and(|mode| mode != "host")),
        ("hostname", service.hostname.is_some()),
        ("domainname", service.domainname.is_some()),
        ("extra_hosts", !service.extra_hosts.is_empty()),
        ("dns", !service.dns.is_empty()),
        ("dns_search", !service.dns_search.is_empty()),
        ("dns_opt", !service.dns_opt.is_empty()),
        ("cap_add", !service.cap_add.is_empty()),
        ("cap_drop", !service.cap_drop.is_empty()),
        ("privileged", service.privileged),
        ("read_only", service.read_only),
        ("security_opt", !service.security_opt.is_empty()),
        ("sysctls", !service.sysctls.is_empty()),
        ("shm_size", service.shm_size.is_some()),
        ("devices", !service.devices.is_empty()),
        ("pid", service.pid.as_deref().is_some_and(|mode| mode != "host")),
        ("ipc", service.ipc.as_deref().is_some_and(|mode| mode != "host")),
        ("platform", service.platform.is_some()),
    ];
    let mut keys: Vec<String> =
        present.iter().filter(|(_, present)| *present).map(|(key, _)| format!("`{key}`")).collect();
    let unknown = service.ulimits.keys().filter(|name| super::spawn::rlimit(name).is_none());
    keys.extend(unknown.map(|name| format!("`ulimits: {name}`")));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_put_where_it_is_named() {
        let put = |word: &str| with_port(word.to_owned(), Some(81));
        assert_eq!(put("--port=$PORT"), "--port=81");
        assert_eq!(put("${PORT}:$PORTS:$PORT_A:$PORT/$PORT"), "81:$PORTS:$PORT_A:81/81");
        assert_eq!(with_port("$PORT".to_owned(), None), "$PORT");
    }
}
