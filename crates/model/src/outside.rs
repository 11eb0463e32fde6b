//! What a stack asks of things that are not its containers: plug-ins of Compose, model runners, Windows.

use crate::{Dependency, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A service with `provider:`: a plug-in makes it, and gives its variables to those who depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Name of the plug-in.
    pub kind: String,
    /// Its options; each may have several values.
    pub options: BTreeMap<String, Vec<String>>,
    /// `depends_on:` of the service.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// Services that depend on it, and get its variables.
    #[serde(default)]
    pub dependants: BTreeSet<ServiceName>,
}

/// One entry of top-level `models:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its reference, such as `ai/smollm2`.
    pub model: String,
    /// Its name, where the file gives one.
    pub name: Option<String>,
    /// Most tokens of context; 0 is the runner's default.
    pub context_size: i64,
    /// Arguments of the runner.
    pub runtime_flags: Vec<String>,
}

/// One entry of `models:` of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUse {
    /// Variable that gets the address; `<MODEL>_URL` by default.
    pub endpoint_var: Option<String>,
    /// Variable that gets the name; `<MODEL>_MODEL` by default.
    pub model_var: Option<String>,
}

/// `credential_spec:` (Windows). One of these is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialSpec {
    /// Key under top-level `configs:`.
    pub config: Option<String>,
    /// A file of the Docker host.
    pub file: Option<String>,
    /// A key of the registry of the Docker host.
    pub registry: Option<String>,
}
