//! What can be known to fail is found before anything is changed.

use crate::{Agent, Error};
use mainstay_model::{Observed, Protocol, Release, RuntimeKind, Service, Stack};
use mainstay_plan::edge_holds_ports;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Whether everything outside the stack that it needs is there: the Engine, external networks and volumes, ports.
pub(crate) async fn check(agent: &Agent, stack: &Stack, observed: &Observed) -> Result<(), Error> {
    for service in stack.services.values().filter(|s| s.runtime() == RuntimeKind::Native) {
        let unsupported = mainstay_host::native::unsupported(service);
        if !unsupported.is_empty() {
            let why = format!("{} cannot be had by a native process", unsupported.join(", "));
            return Err(Error::Service { service: service.name.clone(), why });
        }
    }
    if stack.services.values().any(|s| s.runtime() == RuntimeKind::Docker) {
        let docker = agent.runtimes.docker().await?;
        for network in stack.networks.values().filter(|n| n.external) {
            if !docker.has_network(&network.name).await? {
                return Err(Error::NoExternal { kind: "network", name: network.name.clone() });
            }
        }
        for volume in stack.volumes.values().filter(|v| v.external) {
            if !docker.has_volume(&volume.name).await? {
                return Err(Error::NoExternal { kind: "volume", name: volume.name.clone() });
            }
        }
    }
    let addresses = addresses(agent, stack, observed);
    agent.edge.can_listen(&addresses).await?;
    if addresses.is_empty() { Ok(()) } else { agent.edge.prove().await }
}

/// Where the edge will have to listen for `stack`.
fn addresses(agent: &Agent, stack: &Stack, observed: &Observed) -> BTreeSet<SocketAddr> {
    let mut addresses = BTreeSet::new();
    let routed = stack.services.values().any(|s| !s.routes.is_empty()) || !stack.edge.routes.is_empty();
    if routed {
        addresses.insert(stack.edge.http.unwrap_or(agent.http));
    }
    // Ports of what Docker Compose made are taken by that, and given to the edge when it goes.
    let taken = |service: &Service| {
        let mut instances = observed.all().filter(|i| i.id.service == service.name && i.is_running());
        instances.any(|i| i.compose.as_ref().is_some_and(|made| made.holds_ports))
    };
    for service in stack.services.values().filter(|s| edge_holds_ports(stack, s) && !taken(s)) {
        for port in service.ports.iter().filter(|p| p.protocol == Protocol::Tcp) {
            let host = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let range = port.published.map(|range| range.start..=range.end);
            addresses.extend(range.into_iter().flatten().map(|port| SocketAddr::new(host, port)));
        }
    }
    addresses
}

/// An old release needs its images; one that was pruned cannot be gone back to.
pub(crate) async fn images_exist(agent: &Agent, release: &Release) -> Result<(), Error> {
    for (service, id) in &release.images {
        if release.stack.services.contains_key(service) {
            agent.runtimes.docker().await?.image_id(id).await?;
        }
    }
    Ok(())
}
