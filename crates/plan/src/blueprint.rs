//! A release with the hashes of its services worked out once.

use mainstay_model::{Release, Service, ServiceName};
use std::collections::BTreeMap;

/// A release, ready to compare instances with.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// The release.
    pub release: Release,
    hashes: BTreeMap<ServiceName, String>,
}

impl Blueprint {
    /// Works out the hash of every service.
    pub fn new(release: Release) -> Self {
        let hashes =
            release.stack.services.keys().filter_map(|s| Some((s.clone(), release.hash_of(s)?))).collect();
        Self { release, hashes }
    }

    /// The hash that instances of `service` carry in this release.
    pub fn hash(&self, service: &ServiceName) -> Option<&str> {
        self.hashes.get(service).map(String::as_str)
    }

    /// The definition of `service`.
    pub fn service(&self, service: &ServiceName) -> Option<&Service> {
        self.release.stack.services.get(service)
    }

    /// All services, in name order.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.release.stack.services.values()
    }
}
