//! Clients by address: nginx's `allow` and `deny`, the first that fits decides.

use mainstay_model::NetworkRule;
use std::net::IpAddr;

/// Rules in their order.
#[derive(Debug)]
pub(super) struct Networks(Box<[NetworkRule]>);

impl Networks {
    pub(super) fn new(rules: &[NetworkRule]) -> Self {
        Self(rules.into())
    }

    pub(super) fn admit(&self, client: IpAddr) -> bool {
        let fits = |rule: &&NetworkRule| rule.network.is_none_or(|network| network.contains(&client));
        self.0.iter().find(fits).is_none_or(|rule| rule.allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits_decides() {
        let rule = |allow, network: &str| NetworkRule { allow, network: network.parse().ok() };
        let rules = [
            rule(false, "192.0.2.1/32"),
            rule(true, "192.0.2.0/24"),
            rule(true, "2001:db8::/32"),
            rule(false, "all"),
        ];
        let admits = |ip: &str| Networks::new(&rules).admit(ip.parse().unwrap());
        assert!(admits("192.0.2.2") && admits("2001:db8::1"));
        assert!(!admits("192.0.2.1") && !admits("198.51.100.1") && !admits("::1"));
        assert!(Networks::new(&[]).admit("::1".parse().unwrap()));
    }
}
