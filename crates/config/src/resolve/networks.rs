//! The networks of a service.

use super::Cx;
use mainstay_model::NetworkAttachment;
use std::collections::BTreeMap;

/// How a service hangs on its networks. Native services share the host's.
pub fn attachments(cx: &Cx<'_>, is_native: bool) -> BTreeMap<String, NetworkAttachment> {
    if is_native {
        return BTreeMap::new();
    }
    cx.node
        .entries("networks")
        .map(|(name, entry)| {
            let node = &entry.node;
            let text = |key: &str| node.get_text(key).map(str::to_owned);
            let attachment = NetworkAttachment {
                aliases: super::texts(node.items("aliases")),
                ipv4_address: text("ipv4_address"),
                ipv6_address: text("ipv6_address"),
                priority: node.get_int("priority").unwrap_or_default(),
                gw_priority: node.get_int("gw_priority").unwrap_or_default(),
                interface_name: text("interface_name"),
                link_local_ips: super::texts(node.items("link_local_ips")),
                mac_address: text("mac_address"),
                driver_opts: super::dict(node, "driver_opts"),
            };
            (name.clone(), attachment)
        })
        .collect()
}
