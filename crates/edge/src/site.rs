//! What counts for all routes of a stack, in the form requests meet it.
//!
//! Knows nothing about routes and connections.

use crate::access_log::AccessLog;
use crate::identity::Trust;
use crate::tls::ClientCa;
use mainstay_model::{ErrorPages, Maintenance};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Site {
    pub(crate) trust: Trust,
    /// Only trusted proxies may send requests.
    pub(crate) origin_lock: bool,
    pub(crate) log: Option<Arc<AccessLog>>,
    /// Its routes are closed.
    pub(crate) maintenance: Option<Maintenance>,
    pub(crate) errors: ErrorPages,
    /// Only clients with its certificates may send requests.
    pub(crate) client_ca: Option<ClientCa>,
}

impl Site {
    /// The site of `stack`.
    pub(crate) fn new(stack: &str, settings: &mainstay_model::Site) -> Self {
        // Headers, compression and access become part of each route.
        let mainstay_model::Site {
            trusted_proxies,
            origin_lock,
            access_log,
            maintenance,
            errors,
            cloudflare,
            client_ca,
            headers: _,
            compress: _,
            access: _,
        } = settings;
        let log = access_log.as_ref().map(|settings| Arc::new(AccessLog::new(stack, settings)));
        Self {
            trust: Trust::new(trusted_proxies, cloudflare),
            origin_lock: *origin_lock,
            log,
            maintenance: maintenance.clone(),
            errors: errors.clone(),
            client_ca: client_ca.as_deref().map(ClientCa::new),
        }
    }
}
