//! Connections that the edge passes on without a look inside: `tcp:` of the edge, and routes with `tls: passthrough`.
//!
//! Knows nothing about HTTP.

use crate::Blueprint;
use crate::route::upstream_key;
use crate::view::View;
use mainstay_model::table::{Listener, ListenerKind, Passthrough, RouteTable, Target, Upstream};
use mainstay_model::{HostPattern, ServiceName, Stack, TcpRoute, Transport};
use std::collections::BTreeSet;

/// Services that entries of `tcp:` lead to, with the port inside.
pub(crate) fn services(stack: &Stack) -> impl Iterator<Item = (&ServiceName, u16)> {
    stack.edge.tcp.iter().filter_map(|entry| service(stack, entry))
}

fn service<'s>(stack: &'s Stack, entry: &'s TcpRoute) -> Option<(&'s ServiceName, u16)> {
    let (host, port) = entry.host_and_port()?;
    stack.services.keys().find(|name| name.as_str() == host).map(|name| (name, port))
}

/// Adds listeners, names and upstreams of `tcp:`.
pub(crate) fn add(view: &View<'_>, table: &mut RouteTable, serving: &Blueprint) {
    let stack = &serving.release.stack;
    let by_name: BTreeSet<_> =
        stack.edge.tcp.iter().filter(|entry| !entry.names.is_empty()).map(|entry| entry.listen).collect();
    for (index, entry) in stack.edge.tcp.iter().enumerate() {
        let upstream = match service(stack, entry) {
            Some((name, port)) => upstream_key(view.input.stack, name, port),
            None => {
                let key = format!("{}/tcp-{index}", view.input.stack);
                let target = |to: &String| {
                    let (instance, address) = (to.clone(), to.clone());
                    Target { instance, address, weight: None, is_backup: false }
                };
                let targets = entry.to.iter().map(target).collect();
                table.upstreams.insert(key.clone(), Upstream { targets, ..Upstream::default() });
                key
            }
        };
        if entry.send_proxy.is_some() {
            let Transport { send_proxy, .. } =
                &mut table.upstreams.entry(upstream.clone()).or_default().transport;
            *send_proxy = entry.send_proxy;
        }
        let address = entry.listen;
        let kind = match by_name.contains(&address) {
            true => {
                let everything = [HostPattern::Any];
                let names = if entry.names.is_empty() { &everything[..] } else { &entry.names };
                let named = |host: &HostPattern| Passthrough {
                    on: Some(address),
                    host: host.clone(),
                    upstream: upstream.clone(),
                };
                table.passthrough.extend(names.iter().map(named));
                ListenerKind::Sni
            }
            false => ListenerKind::Tcp { upstream },
        };
        if !table.listeners.iter().any(|listener| listener.address == address) {
            table.listeners.push(Listener { address, kind, proxied: false });
        }
    }
}
