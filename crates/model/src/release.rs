//! Releases: what can be gone back to.

use crate::{ServiceName, Stack, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Releases of a stack are counted from 1; 0 marks containers that were there before us.
pub type ReleaseNumber = u32;

/// An immutable resolved stack: the files' content with every image pinned to an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub number: ReleaseNumber,
    /// The resolved stack.
    pub stack: Stack,
    /// Image id of every Docker service.
    pub images: BTreeMap<ServiceName, String>,
    /// When it was made.
    pub created: Timestamp,
}

impl Release {
    /// The hash every instance of `service` in this release carries; `None` for an unknown service.
    pub fn hash_of(&self, service: &ServiceName) -> Option<String> {
        let definition = self.stack.services.get(service)?;
        Some(self.stack.instance_hash(definition, self.images.get(service).map(String::as_str)))
    }
}
