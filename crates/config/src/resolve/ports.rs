//! `ports` and `expose`.

use super::Cx;
use crate::diagnostic::Code;
use crate::node::Node;
use crate::ports;
use mainstay_model::{PortRange, Protocol, PublishedPort};

/// Published ports.
pub fn ports(cx: &mut Cx<'_>) -> Vec<PublishedPort> {
    let items = cx.node.items("ports");
    items.iter().enumerate().filter_map(|(index, node)| port(cx, node, &format!("ports[{index}]"))).collect()
}

fn port(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<PublishedPort> {
    let target = node.get_int("target").and_then(|t| u16::try_from(t).ok()).filter(|t| *t > 0);
    let Some(target) = target else {
        cx.error(Code::BadPort, "the port of the container must be between 1 and 65535", node, key);
        return None;
    };
    let protocol = match node.get_text("protocol").unwrap_or("tcp").to_ascii_lowercase().as_str() {
        "tcp" | "" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => {
            cx.error(Code::BadPort, format!("`{other}` is not a protocol: use tcp, udp or sctp"), node, key);
            return None;
        }
    };
    let published = match node.get_text("published").filter(|p| !p.is_empty()) {
        None => None,
        Some(text) => match ports::range(text) {
            // Port 0 asks for any free port, like no port at all.
            Ok((0, 0)) => None,
            Ok((start, end)) => Some(PortRange { start, end }),
            Err(error) => {
                cx.error(Code::BadPort, error.to_string(), node, key);
                return None;
            }
        },
    };
    let host_ip = match node.get_text("host_ip").filter(|ip| !ip.is_empty()).map(str::parse) {
        None => None,
        Some(Ok(address)) => Some(address),
        Some(Err(_)) => {
            cx.error(Code::BadPort, "`host_ip` is not an IP address", node, key);
            return None;
        }
    };
    let text = |key: &str| node.get_text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    Some(PublishedPort {
        host_ip,
        published,
        target: PortRange { start: target, end: target },
        protocol,
        name: text("name"),
        app_protocol: text("app_protocol"),
    })
}

/// Exposed ports as `port/protocol`.
pub fn expose(cx: &mut Cx<'_>) -> Vec<String> {
    let items = cx.node.items("expose");
    items
        .iter()
        .enumerate()
        .filter_map(|(index, node)| exposed(cx, node, &format!("expose[{index}]")))
        .collect()
}

fn exposed(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<String> {
    let text = node.scalar_text()?;
    let (port, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    if ports::range(port).is_ok() && matches!(protocol, "tcp" | "udp" | "sctp") {
        return Some(format!("{port}/{protocol}"));
    }
    cx.error(Code::BadPort, format!("`{text}` is not a port to expose"), node, key);
    None
}
