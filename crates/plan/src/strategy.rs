//! Start the new beside the old, or hold requests while one takes the other's place.

use mainstay_model::{MountKind, Protocol, RuntimeKind, Service, Stack};
use std::path::Path;

/// How a service moves to a new release, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// New instances are proven beside the old ones.
    StartFirst,
    /// Two copies must not run: the old stops before the new starts, requests wait at the edge.
    HoldAndSwap(String),
}

/// Picks the strategy for `service`. `free_memory` is what a second copy would have to fit into, in bytes.
pub fn strategy(stack: &Stack, service: &Service, free_memory: Option<u64>) -> Strategy {
    if let Some(why) = exclusive(stack, service) {
        return Strategy::HoldAndSwap(why);
    }
    let need = service.resources.memory_reservation.or(service.resources.memory).unwrap_or(0);
    match free_memory {
        Some(free) if need.saturating_mul(u64::from(service.replicas)) > free => {
            Strategy::HoldAndSwap("its memory does not fit twice".into())
        }
        _ => Strategy::StartFirst,
    }
}

/// Whether the edge, not Docker, listens on the TCP ports that `service` publishes. Rests on the file alone, so that
/// an instance keeps its shape whatever the host looks like.
pub fn edge_holds_ports(stack: &Stack, service: &Service) -> bool {
    exclusive(stack, service).is_none()
}

fn exclusive(stack: &Stack, service: &Service) -> Option<String> {
    if service.network_mode.as_deref() == Some("host") {
        return Some("it shares the network of the host".into());
    }
    let fixed_address =
        service.networks.values().any(|n| n.ipv4_address.is_some() || n.ipv6_address.is_some());
    if fixed_address {
        return Some("it has a fixed address".into());
    }
    let not_ours = |p: &&mainstay_model::PublishedPort| p.published.is_some() && p.protocol != Protocol::Tcp;
    if let Some(port) = service.ports.iter().find(not_ours) {
        return Some(format!("it publishes port {} by other means than TCP", port.target.start));
    }
    if is_beat(service) {
        return Some("a second Celery Beat would send every task twice".into());
    }
    if service.replicas <= 1 && service.runtime() == RuntimeKind::Docker {
        return writable_mount(stack, service);
    }
    None
}

fn is_beat(service: &Service) -> bool {
    let words: Vec<_> = service
        .entrypoint
        .iter()
        .chain(&service.command)
        .flatten()
        .flat_map(|arg| arg.split_whitespace())
        .collect();
    let celery = words.iter().any(|w| *w == "celery" || w.ends_with("/celery"));
    celery && words.contains(&"beat")
}

/// A writable volume or directory that no other service mounts. One that several services share is shared on purpose.
fn writable_mount(stack: &Stack, service: &Service) -> Option<String> {
    let others = || stack.services.values().filter(|s| s.name != service.name).flat_map(|s| &s.mounts);
    service.mounts.iter().filter(|m| !m.read_only).find_map(|mount| match &mount.kind {
        MountKind::Volume { key, .. } => {
            let shared =
                others().any(|m| matches!(&m.kind, MountKind::Volume { key: other, .. } if other == key));
            (!shared).then(|| format!("it writes to volume `{key}`"))
        }
        MountKind::Bind { source, .. } if !is_system(source) => {
            let shared =
                others().any(|m| matches!(&m.kind, MountKind::Bind { source: other, .. } if other == source));
            (!shared).then(|| format!("it writes to `{}`", source.display()))
        }
        MountKind::Bind { .. } | MountKind::Anonymous | MountKind::Tmpfs { .. } | MountKind::Foreign(_) => {
            None
        }
    })
}

/// Sockets, devices and settings of the host are not data that a second copy could spoil.
fn is_system(source: &Path) -> bool {
    ["/dev", "/etc", "/proc", "/run", "/sys", "/var/run"].iter().any(|root| source.starts_with(root))
}
