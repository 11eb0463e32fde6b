//! A release with the hashes of its services worked out once.

use mainstay_model::{Instance, Observed, Release, Service, ServiceName};
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

    /// Whether `instance` is what this release wants of its service: made from the same definition and image, by us or
    /// by Docker Compose.
    pub fn made(&self, instance: &Instance, observed: &Observed) -> bool {
        let name = &instance.id.service;
        let Some(made) = &instance.compose else { return self.hash(name) == Some(instance.hash.as_str()) };
        // As the adapter does it where a service shares something of another's container.
        let newest = |service: &str| {
            let of = observed.all().filter(|i| i.id.service.as_str() == service).last();
            of.map(|instance| instance.handle.clone())
        };
        let hash = self.service(name).and_then(|service| service.config_hash.as_ref());
        let image = self.release.images.get(name);
        image == Some(&made.image) && hash.is_some_and(|hash| hash.of_container(&newest) == made.config_hash)
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
