//! What counts for all routes of a stack, in the form requests meet it.
//!
//! Knows nothing about routes and connections.

use crate::identity::Trust;

#[derive(Debug, Default)]
pub(crate) struct Site {
    pub(crate) trust: Trust,
    /// Only trusted proxies may send requests.
    pub(crate) origin_lock: bool,
}

impl Site {
    pub(crate) fn new(settings: &mainstay_model::Site) -> Self {
        // Headers and compression become part of each route.
        let mainstay_model::Site { trusted_proxies, origin_lock, headers: _, compress: _ } = settings;
        Self { trust: Trust::new(trusted_proxies), origin_lock: *origin_lock }
    }
}
