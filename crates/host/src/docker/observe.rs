//! What the Engine has of a stack.
//!
//! Answers are read leniently: a field that is missing, null or new never hides a container.

use super::Docker;
use super::engine::Reach;
use super::error::DockerError;
use super::labels::{self, Labels};
use super::lifecycle::shown;
use super::time;
use super::wire::{Call, escape};
use futures_util::future::join_all;
use mainstay_model::{
    Health, Instance, InstanceId, InstanceState, MadeByCompose, RuntimeKind, ServiceName, StackName,
    Timestamp,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// What a half-made container is called until it is whole (see `create`).
pub(super) const UNFINISHED: &str = "mainstay-unfinished-";

/// Drivers whose containers have no address that their own host can reach.
const FOREIGN_DRIVERS: [&str; 3] = ["macvlan", "ipvlan", "overlay"];

/// Answer of `GET /containers/{id}/json`, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Inspected {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    restart_count: u32,
    #[serde(deserialize_with = "lenient")]
    pub(super) state: State,
    #[serde(deserialize_with = "lenient")]
    pub(super) config: Config,
    #[serde(deserialize_with = "lenient")]
    pub(super) host_config: HostConfig,
    #[serde(deserialize_with = "lenient")]
    pub(super) network_settings: NetworkSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    pub(super) status: String,
    pub(super) exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    started_at: String,
    finished_at: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    pub(super) tty: bool,
    image: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) labels: Labels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HostConfig {
    network_mode: String,
    #[serde(deserialize_with = "lenient")]
    port_bindings: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    #[serde(deserialize_with = "lenient")]
    pub(super) networks: BTreeMap<String, Endpoint>,
    #[serde(deserialize_with = "lenient")]
    ports: BTreeMap<String, Option<Vec<HostPort>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostPort {
    host_ip: String,
    host_port: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Endpoint {
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
}

/// One line of `GET /containers/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    labels: Labels,
}

/// One line of `GET /networks`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedNetwork {
    #[serde(default)]
    name: String,
    #[serde(default)]
    driver: String,
    #[serde(default, deserialize_with = "lenient")]
    labels: Labels,
}

/// Go writes empty maps and structs as `null`.
fn lenient<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl Docker {
    /// Every instance of `stack`: ours, and those that `docker compose` made (as release 0, with the container
    /// number for a slot). Jobs and one-off containers are none. Health is always `Starting`: probing is the
    /// caller's.
    ///
    /// # Errors
    /// Any; then nothing is known, which is not the same as there being nothing.
    pub async fn observe(&self, stack: &StackName) -> Result<Vec<Instance>, DockerError> {
        let call = Call::get("/containers/json", format!("containers of {stack}"))
            .query("all", "true")
            .query("filters", &labels::filter(stack, &[]));
        let listed: Vec<Listed> = self.wire.json(call).await?;
        let instances = listed.iter().filter(|one| !is_job(&one.labels));
        let (unreachable, inspected) = futures_util::join!(
            self.unreachable_networks(),
            join_all(instances.map(|one| self.inspect(&one.id)))
        );
        let unreachable = unreachable?;
        let mut seen = Vec::new();
        for inspected in inspected {
            match inspected {
                Ok(container) => seen.extend(self.as_instance(&container, &unreachable)),
                // Removed since it was listed.
                Err(DockerError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        seen.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(seen)
    }

    /// Keys of the networks of `stack` that exist.
    pub async fn observe_networks(&self, stack: &StackName) -> Result<BTreeSet<String>, DockerError> {
        let call = Call::get("/networks", format!("networks of {stack}"))
            .query("filters", &labels::filter(stack, &[labels::NETWORK]));
        let networks: Vec<ListedNetwork> = self.wire.json(call).await?;
        Ok(networks.into_iter().filter_map(|mut network| network.labels.remove(labels::NETWORK)).collect())
    }

    /// Keys of the volumes of `stack` that exist.
    pub async fn observe_volumes(&self, stack: &StackName) -> Result<BTreeSet<String>, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Volume {
            #[serde(default, deserialize_with = "lenient")]
            labels: Labels,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Volumes {
            #[serde(default, deserialize_with = "lenient")]
            volumes: Vec<Volume>,
        }
        let call = Call::get("/volumes", format!("volumes of {stack}"))
            .query("filters", &labels::filter(stack, &[labels::VOLUME]));
        let Volumes { volumes } = self.wire.json(call).await?;
        Ok(volumes.into_iter().filter_map(|mut volume| volume.labels.remove(labels::VOLUME)).collect())
    }

    /// Where the Engine publishes `port` (such as `53/udp`) of `container`, as `address:port`.
    pub async fn published(&self, container: &str, port: &str) -> Result<Vec<String>, DockerError> {
        let settings = self.inspect(container).await?.network_settings;
        let bound = settings.ports.get(port).cloned().flatten().unwrap_or_default();
        let shown = |at: HostPort| match at.host_ip.contains(':') {
            true => format!("[{}]:{}", at.host_ip, at.host_port),
            false => format!("{}:{}", at.host_ip, at.host_port),
        };
        Ok(bound.into_iter().map(shown).collect())
    }

    /// Name and id of the image that `container` was made of, as it was asked for.
    pub async fn image_of(&self, container: &str) -> Result<(String, String), DockerError> {
        let there = self.inspect(container).await?;
        Ok((there.config.image, there.image))
    }

    pub(super) async fn inspect(&self, container: &str) -> Result<Inspected, DockerError> {
        let path = format!("/containers/{}/json", escape(container));
        self.wire.json(Call::get(path, shown(container))).await
    }

    async fn unreachable_networks(&self) -> Result<BTreeSet<String>, DockerError> {
        let networks: Vec<ListedNetwork> = self.wire.json(Call::get("/networks", "networks")).await?;
        let foreign =
            networks.into_iter().filter(|network| FOREIGN_DRIVERS.contains(&network.driver.as_str()));
        Ok(foreign.map(|network| network.name).collect())
    }

    fn as_instance(&self, container: &Inspected, unreachable: &BTreeSet<String>) -> Option<Instance> {
        let labels = &container.config.labels;
        let number = labels.get(labels::NUMBER).and_then(|n| n.parse().ok()).unwrap_or(0);
        let ours = labels.get(labels::INSTANCE).and_then(|text| InstanceId::parse(text));
        let compose = ours.is_none().then(|| MadeByCompose {
            config_hash: labels.get(labels::CONFIG_HASH).cloned().unwrap_or_default(),
            image: container.image.clone(),
            holds_ports: container.host_config.port_bindings.keys().any(|port| port.ends_with("/tcp")),
        });
        let id = match ours {
            Some(id) => id,
            None => {
                let service = ServiceName::new(labels.get(labels::SERVICE)?).ok()?;
                InstanceId { service, release: 0, slot: number }
            }
        };
        let (address, published) = match self.engine.reach {
            Reach::Bridge => (container.address(unreachable), BTreeMap::new()),
            Reach::Loopback => (Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), container.published_on_loopback()),
            Reach::Nowhere => (None, BTreeMap::new()),
        };
        Some(Instance {
            id,
            runtime: RuntimeKind::Docker,
            hash: labels.get(labels::HASH).cloned().unwrap_or_default(),
            handle: container.id.clone(),
            name: container.shown_name().to_owned(),
            number,
            state: container.life(),
            health: Health::Starting,
            restarts: container.restart_count,
            address,
            port: None,
            published,
            compose,
        })
    }
}

fn is_job(labels: &Labels) -> bool {
    labels.get(labels::ONEOFF).is_some_and(|oneoff| oneoff == "True")
        || labels.contains_key(labels::JOB)
        || labels.contains_key(labels::HOOK)
}

impl Inspected {
    /// Its name, without the slash that the Engine puts before it.
    pub(super) fn shown_name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// Whether `container` (an id or a name) means this one.
    pub(super) fn is(&self, container: &str) -> bool {
        self.id == container || self.shown_name() == container
    }

    pub(super) fn exit_code(&self) -> i32 {
        i32::try_from(self.state.exit_code).unwrap_or(i32::MAX)
    }

    /// Life-cycle state. A container that was being made when we died is dead: it is not whole.
    pub(super) fn life(&self) -> InstanceState {
        if self.shown_name().starts_with(UNFINISHED) {
            return InstanceState::Dead;
        }
        let at = |text: &str| time::parse(text).unwrap_or(Timestamp(0));
        match self.state.status.as_str() {
            // Podman's word for it comes second.
            "created" | "configured" | "initialized" => InstanceState::Created,
            "running" => InstanceState::Running { since: at(&self.state.started_at) },
            "restarting" => InstanceState::Restarting,
            "paused" => InstanceState::Paused,
            "exited" | "stopped" => InstanceState::Exited {
                code: self.exit_code(),
                // The Engine says so too when a child was killed and the container went on to end well.
                oom: self.state.oom_killed && self.state.exit_code != 0,
                at: at(&self.state.finished_at),
            },
            _ => InstanceState::Dead,
        }
    }

    /// Ports of this host's loopback interface that lead to its TCP ports, by the port inside.
    fn published_on_loopback(&self) -> BTreeMap<u16, u16> {
        let here = |at: &&HostPort| matches!(at.host_ip.as_str(), "" | "0.0.0.0" | "127.0.0.1");
        let one = |(inside, bound): (&String, &Option<Vec<HostPort>>)| {
            let inside = inside.strip_suffix("/tcp")?.parse().ok()?;
            let outside = bound.iter().flatten().find(here)?.host_port.parse().ok()?;
            Some((inside, outside))
        };
        self.network_settings.ports.iter().filter_map(one).collect()
    }

    /// Its address on the network that it was made on, else on the first other one that this host can reach.
    fn address(&self, unreachable: &BTreeSet<String>) -> Option<IpAddr> {
        if self.host_config.network_mode == "host" {
            return Some(IpAddr::from([127, 0, 0, 1]));
        }
        let networks = &self.network_settings.networks;
        let first = networks.get_key_value(&self.host_config.network_mode);
        first
            .into_iter()
            .chain(networks)
            .filter(|(name, _)| !unreachable.contains(*name))
            .find_map(|(_, at)| at.ip_address.parse().or_else(|_| at.global_ipv6_address.parse()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_leaves_out_hides_nothing() {
        let bare: Inspected = serde_json::from_str(
            r#"{"Id":"ab","Name":"/x","State":{"Status":"exited","ExitCode":137,"OOMKilled":true},
                "Config":{"Labels":null},"NetworkSettings":null,"HostConfig":{},"New":{"field":1}}"#,
        )
        .unwrap();
        assert_eq!(bare.life(), InstanceState::Exited { code: 137, oom: true, at: Timestamp(0) });
        assert_eq!(bare.address(&BTreeSet::new()), None);
    }

    #[test]
    fn ports_published_where_this_host_is_are_found_by_the_port_inside() {
        let container: Inspected = serde_json::from_str(
            r#"{"Id":"ab","NetworkSettings":{"Ports":{"53/udp":[{"HostIp":"0.0.0.0","HostPort":"53"}],
                "80/tcp":[{"HostIp":"10.0.0.7","HostPort":"1"},{"HostIp":"127.0.0.1","HostPort":"49153"}],
                "81/tcp":[{"HostIp":"0.0.0.0","HostPort":"8081"}],"82/tcp":null}}}"#,
        )
        .unwrap();
        assert_eq!(container.published_on_loopback(), BTreeMap::from([(80, 49153), (81, 8081)]));
    }

    #[test]
    fn the_network_it_was_made_on_gives_the_address() {
        let container: Inspected = serde_json::from_str(
            r#"{"Id":"ab","HostConfig":{"NetworkMode":"b"},"NetworkSettings":{"Networks":{
                "a":{"IPAddress":"10.0.0.1"},"b":{"IPAddress":"10.0.1.1"}}}}"#,
        )
        .unwrap();
        let address = |unreachable: &[&str]| {
            container
                .address(&unreachable.iter().map(|name| (*name).to_owned()).collect())
                .map(|a| a.to_string())
        };
        assert_eq!(address(&[]).as_deref(), Some("10.0.1.1"));
        assert_eq!(address(&["b"]).as_deref(), Some("10.0.0.1"));
        assert_eq!(address(&["a", "b"]), None);
    }
}
