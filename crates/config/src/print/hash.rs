//! What Compose hashes to tell whether a container, network or volume still is what the file says.
//!
//! It is the printed form as compact JSON, without what changes nothing inside a container. References to containers
//! of other services are replaced by ids when a container is made, so they are kept apart.

use super::text::go_json;
use super::{Form, Printed, network, service, volume};
use crate::node::Node;
use mainstay_model::{ConfigHash, ConfigPiece, Secret, sha256};

/// Keys of a service that are part of its hash, in the order in which they are hashed: that in which Compose printed
/// them before it told services, jobs and hooks apart.
const ORDER: [&str; 88] = [
    "annotations",
    "attach",
    "develop",
    "blkio_config",
    "cap_add",
    "cap_drop",
    "cgroup_parent",
    "cgroup",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpus",
    "cpuset",
    "cpu_shares",
    "command",
    "configs",
    "container_name",
    "credential_spec",
    "deploy",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "provider",
    "environment",
    "env_file",
    "expose",
    "extends",
    "external_links",
    "extra_hosts",
    "group_add",
    "gpus",
    "hostname",
    "healthcheck",
    "image",
    "init",
    "ipc",
    "isolation",
    "labels",
    "label_file",
    "links",
    "logging",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "mem_swappiness",
    "mac_address",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "read_only",
    "restart",
    "runtime",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
    "pre_start",
    "post_start",
    "pre_stop",
    "pull_refresh_after",
];
/// Keys whose `service:NAME` becomes `container:ID`.
const NAMESPACES: [&str; 3] = ["network_mode", "ipc", "pid"];

/// The hash of a service. `platform` is `DOCKER_DEFAULT_PLATFORM`, for services that are built.
pub fn of_service(node: &Node, platform: Option<&str>) -> ConfigHash {
    let Printed::Object(mut fields) = service(node, Form::Json) else { return ConfigHash::new(vec![]) };
    if let Some(platform) = platform.filter(|_| node.get("build").is_some() && node.get("platform").is_none())
    {
        fields.push(("platform".to_owned(), Printed::Text(platform.to_owned())));
    }
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    fields.retain(|(name, _)| place(name).is_some());
    fields.sort_by_key(|(name, _)| place(name));
    let mut text = Text::default();
    text.push("{");
    for (index, (name, value)) in fields.into_iter().enumerate() {
        text.push(if index > 0 { ",\"" } else { "\"" });
        text.push(&name);
        text.push("\":");
        text.field(&name, value);
    }
    text.push("}");
    ConfigHash::new(text.finish())
}

/// The hash of a network.
pub fn of_network(node: &Node) -> String {
    sha256(go_json(&network(node, Form::Json), false).as_bytes())
}

/// The hash of a volume; one without driver counts as `local`.
pub fn of_volume(node: &Node) -> String {
    let mut printed = volume(node, Form::Json);
    if let Printed::Object(fields) = &mut printed
        && !fields.iter().any(|(name, _)| name == "driver")
    {
        let place = usize::from(fields.first().is_some_and(|(name, _)| name == "name"));
        fields.insert(place, ("driver".to_owned(), Printed::Text("local".to_owned())));
    }
    sha256(go_json(&printed, false).as_bytes())
}

#[derive(Default)]
struct Text {
    pieces: Vec<ConfigPiece>,
    open: String,
}

impl Text {
    fn push(&mut self, text: &str) {
        self.open.push_str(text);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(ConfigPiece::Text(Secret::new(std::mem::take(&mut self.open))));
        }
    }

    /// A reference to a container.
    fn reference(&mut self, service: Option<&str>, before: &str, unresolved: &str) {
        self.close();
        let unresolved = go_json(&Printed::Text(unresolved.to_owned()), false);
        let (service, before) = (service.map(str::to_owned), before.to_owned());
        self.pieces.push(ConfigPiece::Reference { service, before, unresolved });
    }

    fn field(&mut self, name: &str, value: Printed) {
        match value {
            Printed::Text(text) if NAMESPACES.contains(&name) => match text.strip_prefix("service:") {
                Some(service) => self.reference(Some(service), "container:", &text),
                None => self.push(&go_json(&Printed::Text(text), false)),
            },
            Printed::List(items) if name == "volumes_from" => {
                self.push("[");
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.push(",");
                    }
                    self.volumes_from(item);
                }
                self.push("]");
            }
            Printed::Object(mut fields) if name == "deploy" => {
                fields.retain(|(name, _)| name != "replicas");
                self.push(&go_json(&Printed::Object(fields), false));
            }
            value => self.push(&go_json(&value, false)),
        }
    }

    /// `service[:ro]` becomes the id alone, `container:name[:ro]` the name alone.
    fn volumes_from(&mut self, item: &Printed) {
        let Printed::Text(text) = item else { return };
        let mut parts = text.split(':');
        match (parts.next(), parts.next()) {
            (Some("container"), Some(name)) => self.reference(None, name, text),
            (Some(service), _) => self.reference(Some(service), "", text),
            (None, _) => {}
        }
    }

    fn finish(mut self) -> Vec<ConfigPiece> {
        self.close();
        self.pieces
    }
}
