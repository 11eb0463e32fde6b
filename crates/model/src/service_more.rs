//! What few files say of a service: other namespaces, devices, hooks, things outside the stack. Kept apart so that the
//! many copies of a service that are made stay small.

use crate::{AsWritten, CredentialSpec, DeviceRequest, Hook, ModelUse, Service, WatchRule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Keys of a service that few files use. Field names are Compose's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceMore {
    /// `pull_refresh_after:`, as written.
    pub pull_refresh_after: Option<String>,
    /// `gpus:` and `deploy.resources.reservations.devices:`.
    pub device_requests: Vec<DeviceRequest>,
    /// `device_cgroup_rules:`, as written.
    pub device_cgroup_rules: Vec<String>,
    /// `uts:` mode, as written.
    pub uts: Option<String>,
    /// `userns_mode:`, as written.
    pub userns_mode: Option<String>,
    /// `cgroup:`, `host` or `private`.
    pub cgroup: Option<String>,
    /// `cgroup_parent:`.
    pub cgroup_parent: Option<String>,
    /// `runtime:`, a runtime that the Engine knows.
    pub runtime: Option<String>,
    /// `isolation:`.
    pub isolation: Option<String>,
    /// `credential_spec:`.
    pub credential_spec: Option<CredentialSpec>,
    /// `mac_address:`.
    pub mac_address: Option<String>,
    /// `storage_opt:`.
    pub storage_opt: BTreeMap<String, String>,
    /// `annotations:`.
    pub annotations: BTreeMap<String, String>,
    /// `volumes_from:`, as written: `service[:ro|rw]` or `container:name[:ro|rw]`.
    pub volumes_from: Vec<String>,
    /// `links:`, `service[:alias]`.
    pub links: Vec<String>,
    /// `external_links:`, `container[:alias]`.
    pub external_links: Vec<String>,
    /// `attach:`; `false` keeps its output from the terminal of `up`.
    pub attach: Option<bool>,
    /// `use_api_socket:`.
    pub use_api_socket: bool,
    /// `pre_start:`, containers that run to their end before the service starts: whole, with what each has from the service.
    /// One without an image has the service's.
    pub pre_start: Vec<Service>,
    /// `post_start:`.
    pub post_start: Vec<Hook>,
    /// `pre_stop:`.
    pub pre_stop: Vec<Hook>,
    /// `develop: watch:`.
    pub watch: Vec<WatchRule>,
    /// `models:`, by key under top-level `models:`.
    pub models: BTreeMap<String, ModelUse>,
    /// What the file says where the rest of the service has defaults.
    pub written: AsWritten,
}
