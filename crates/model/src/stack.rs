//! A whole stack, as one resolved value.

use crate::{
    ClientRules, ExternalRoute, Limit, Model, Provider, Secret, Service, ServiceName, Site, StackName,
    TcpRoute, TlsSettings, sha256,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What is wanted: everything the Compose files, their environment and `x-mainstay` say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Its name.
    pub name: StackName,
    /// Absolute project directory.
    pub directory: PathBuf,
    /// Absolute paths of the files it was read from, in order.
    pub files: Vec<PathBuf>,
    /// Services active under the chosen profiles.
    pub services: BTreeMap<ServiceName, Service>,
    /// `jobs:`, containers that are run by hand, by `run`.
    #[serde(default)]
    pub jobs: BTreeMap<ServiceName, Service>,
    /// Services that plug-ins of Compose make.
    #[serde(default)]
    pub providers: BTreeMap<ServiceName, Provider>,
    /// Models in use, by key.
    #[serde(default)]
    pub models: BTreeMap<String, Model>,
    /// Networks in use, by key.
    pub networks: BTreeMap<String, Network>,
    /// Volumes in use, by key.
    pub volumes: BTreeMap<String, Volume>,
    /// Secrets in use, by key.
    pub secrets: BTreeMap<String, FileObject>,
    /// Configs in use, by key.
    pub configs: BTreeMap<String, FileObject>,
    /// `x-mainstay: edge:`.
    pub edge: EdgeSettings,
}

impl Stack {
    /// Hash of what makes two copies of `service` interchangeable: its own definition (without `replicas`,
    /// `depends_on`, routes and the release job, which change nothing inside a copy) and the image it runs.
    pub fn instance_hash(&self, service: &Service, image_id: Option<&str>) -> String {
        let mut definition = service.clone();
        definition.replicas = 0;
        definition.depends_on.clear();
        definition.routes.clear();
        definition.release_job = None;
        definition.build = None;
        definition.profiles.clear();
        let files: Vec<_> = service
            .secrets
            .iter()
            .map(|grant| self.secrets.get(&grant.source))
            .chain(service.configs.iter().map(|grant| self.configs.get(&grant.source)))
            .collect();
        let networks: Vec<_> = service.networks.keys().map(|key| self.networks.get(key)).collect();
        let text = serde_json::to_vec(&(&definition, image_id, files, networks)).unwrap_or_default();
        sha256(&text)
    }
}

/// One entry of top-level `networks:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Real name in the Engine (`<stack>_<key>` unless given).
    pub name: String,
    /// Exists outside the stack; never created or removed by us.
    pub external: bool,
    /// Driver; the Engine's default when absent.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// `internal:`.
    pub internal: bool,
    /// `attachable:`.
    pub attachable: bool,
    /// `enable_ipv4:`.
    #[serde(default)]
    pub enable_ipv4: Option<bool>,
    /// `enable_ipv6:`.
    pub enable_ipv6: Option<bool>,
    /// `ipam: driver:`; the Engine's when absent.
    #[serde(default)]
    pub ipam_driver: Option<String>,
    /// `ipam: options:`.
    #[serde(default)]
    pub ipam_options: BTreeMap<String, String>,
    /// `ipam: config:`.
    #[serde(default)]
    pub pools: Vec<AddressPool>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Hash that Docker Compose gives it, for the label `com.docker.compose.config-hash`.
    #[serde(default)]
    pub config_hash: String,
}

/// One entry of `ipam: config:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPool {
    /// The subnet in CIDR notation.
    pub subnet: Option<String>,
    /// Where containers get their addresses from, in CIDR notation.
    pub ip_range: Option<String>,
    /// The gateway.
    pub gateway: Option<String>,
    /// Addresses that the driver must not give away, by name.
    pub aux_addresses: BTreeMap<String, String>,
}

/// One entry of top-level `volumes:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Real name in the Engine.
    pub name: String,
    /// Exists outside the stack.
    pub external: bool,
    /// Driver.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Hash that Docker Compose gives it, for the label `com.docker.compose.config-hash`.
    #[serde(default)]
    pub config_hash: String,
}

/// One entry of top-level `secrets:` or `configs:`, with what it held when the stack was resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileObject {
    /// The file it comes from, where it comes from one.
    pub file: Option<PathBuf>,
    /// The content, where it comes from `environment:` or `content:`.
    pub content: Option<Secret>,
    /// Exists outside the stack.
    pub external: bool,
    /// `name:`, where the file gives one.
    #[serde(default)]
    pub name: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `x-mainstay: edge:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSettings {
    /// `listen: { http: … }`; `None`: port 80, or 8080 without the right to it.
    pub http: Option<SocketAddr>,
    /// `listen: { https: … }`; `None`: port 443 beside 80, else 8443. Listened on only with `tls:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<SocketAddr>,
    /// `listen: { proxy_protocol: … }`: whether a load balancer says who the client is, on both.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
    /// `listen: { http3: … }`: whether HTTP/3 is spoken beside HTTP/2, over UDP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http3: bool,
    /// `tls:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Routes to something outside the stack.
    pub routes: Vec<ExternalRoute>,
    /// `tcp:`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpRoute>,
    /// `limits:`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Limit>,
    /// `clients:`.
    #[serde(default, skip_serializing_if = "crate::route::is_default")]
    pub clients: ClientRules,
    /// What counts for all routes of the stack.
    #[serde(default, skip_serializing_if = "crate::route::is_default")]
    pub site: Site,
}
