//! Which ports of a service the Engine publishes, and which are left to the edge.

use super::spec::{Empty, PortBinding};
use mainstay_model::{PortRange, Protocol, PublishedPort, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The ports of one container.
#[derive(Debug, Default)]
pub(super) struct Ports {
    pub(super) exposed: BTreeMap<String, Empty>,
    pub(super) bound: BTreeMap<String, Vec<PortBinding>>,
    /// TCP ports that the edge holds, as Compose's short form; for the label.
    pub(super) held: Vec<String>,
}

/// With `edge_holds_ports`, published TCP ports are exposed only. `on_loopback` are ports that have to be reached by this
/// host's loopback interface.
pub(super) fn of(service: &Service, edge_holds_ports: bool, on_loopback: &BTreeSet<u16>) -> Ports {
    let mut ports = Ports::default();
    for exposed in &service.expose {
        let name = if exposed.contains('/') { exposed.clone() } else { format!("{exposed}/tcp") };
        ports.exposed.insert(name, Empty {});
    }
    for port in &service.ports {
        let held = edge_holds_ports && port.protocol == Protocol::Tcp;
        if held {
            ports.held.push(short_form(port));
        }
        for (offset, target) in (port.target.start..=port.target.end).enumerate() {
            let name = format!("{target}/{}", protocol(port.protocol));
            ports.exposed.insert(name.clone(), Empty {});
            if !held {
                ports.bound.entry(name).or_default().push(binding(port, offset));
            }
        }
    }
    for port in on_loopback {
        let name = format!("{port}/tcp");
        ports.exposed.insert(name.clone(), Empty {});
        // A free port; one that the file publishes leads there as well.
        let any = PortBinding { host_ip: Ipv4Addr::LOCALHOST.to_string(), host_port: String::new() };
        ports.bound.entry(name).or_insert_with(|| vec![any]);
    }
    ports
}

fn binding(port: &PublishedPort, offset: usize) -> PortBinding {
    let host_port = match port.published {
        None => String::new(),
        // One port inside: the Engine picks a free one of the range. As many outside as inside: one for one.
        Some(PortRange { start, end }) if port.target.start == port.target.end && start != end => {
            format!("{start}-{end}")
        }
        Some(PortRange { start, .. }) => (usize::from(start) + offset).to_string(),
    };
    PortBinding { host_ip: port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(), host_port }
}

fn short_form(port: &PublishedPort) -> String {
    let range = |range: &PortRange| {
        if range.start == range.end {
            range.start.to_string()
        } else {
            format!("{}-{}", range.start, range.end)
        }
    };
    let host = match port.host_ip {
        None => String::new(),
        Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]:"),
        Some(ip) => format!("{ip}:"),
    };
    let published = port.published.as_ref().map(|p| format!("{}:", range(p))).unwrap_or_default();
    format!("{host}{published}{}/{}", range(&port.target), protocol(port.protocol))
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(published: Option<(u16, u16)>, target: (u16, u16), protocol: Protocol) -> PublishedPort {
        PublishedPort {
            host_ip: None,
            published: published.map(|(start, end)| PortRange { start, end }),
            target: PortRange { start: target.0, end: target.1 },
            protocol,
            name: None,
            app_protocol: None,
        }
    }

    #[test]
    fn ranges_are_bound_one_for_one_or_left_to_the_engine() {
        assert_eq!(binding(&port(None, (80, 80), Protocol::Tcp), 0).host_port, "");
        assert_eq!(binding(&port(Some((8080, 8080)), (80, 80), Protocol::Tcp), 0).host_port, "8080");
        assert_eq!(binding(&port(Some((8080, 8090)), (80, 80), Protocol::Tcp), 0).host_port, "8080-8090");
        assert_eq!(binding(&port(Some((8080, 8082)), (80, 82), Protocol::Tcp), 2).host_port, "8082");
    }

    #[test]
    fn a_held_port_is_named_as_compose_writes_it() {
        assert_eq!(short_form(&port(Some((8080, 8080)), (80, 80), Protocol::Tcp)), "8080:80/tcp");
        let mut local = port(Some((53, 53)), (53, 53), Protocol::Udp);
        local.host_ip = Some("::1".parse().unwrap());
        assert_eq!(short_form(&local), "[::1]:53:53/udp");
    }
}
