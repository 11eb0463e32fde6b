//! The networks Cloudflare connects from, as published at cloudflare.com/ips (last changed on 2023-09-28; addresses are
//! added rarely and announced before they are used).
//!
//! Knows nothing else about Cloudflare.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

const V4: [([u8; 4], u8); 15] = [
    ([103, 21, 244, 0], 22),
    ([103, 22, 200, 0], 22),
    ([103, 31, 4, 0], 22),
    ([104, 16, 0, 0], 13),
    ([104, 24, 0, 0], 14),
    ([108, 162, 192, 0], 18),
    ([131, 0, 72, 0], 22),
    ([141, 101, 64, 0], 18),
    ([162, 158, 0, 0], 15),
    ([172, 64, 0, 0], 13),
    ([173, 245, 48, 0], 20),
    ([188, 114, 96, 0], 20),
    ([190, 93, 240, 0], 20),
    ([197, 234, 240, 0], 22),
    ([198, 41, 128, 0], 17),
];

/// All are within the first two groups' bits.
const V6: [([u16; 2], u8); 7] = [
    ([0x2400, 0xcb00], 32),
    ([0x2405, 0x8100], 32),
    ([0x2405, 0xb500], 32),
    ([0x2606, 0x4700], 32),
    ([0x2803, 0xf800], 32),
    ([0x2a06, 0x98c0], 29),
    ([0x2c0f, 0xf248], 32),
];

/// All of them.
pub(crate) fn networks() -> impl Iterator<Item = IpNet> {
    let v4 = V4.iter().filter_map(|(address, len)| Ipv4Net::new(Ipv4Addr::from(*address), *len).ok());
    let v6 = V6
        .iter()
        .filter_map(|([a, b], len)| Ipv6Net::new(Ipv6Addr::new(*a, *b, 0, 0, 0, 0, 0, 0), *len).ok());
    v4.map(IpNet::V4).chain(v6.map(IpNet::V6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_written_with_its_first_address() {
        let all: Vec<_> = networks().collect();
        assert_eq!(all.len(), V4.len() + V6.len());
        assert!(all.iter().all(|net| net.trunc() == *net));
    }
}
