//! Which certificates a stack's routes need, and which of its requests are sent to TLS.
//!
//! Knows nothing about what certificates there are.

use crate::Blueprint;
use crate::view::View;
use mainstay_model::table::{Listener, ListenerKind, RouteTable};
use mainstay_model::{Acme, HostPattern, Issuer, ManagedCertificate, TableTls, TlsSettings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Last labels that no public authority knows (RFC 6761, RFC 9476, and what people use).
const PRIVATE: [&str; 9] =
    ["localhost", "local", "internal", "test", "example", "invalid", "lan", "home", "arpa"];

/// Adds the listener, the certificates, and the sending of requests to TLS.
pub(crate) fn add(view: &View<'_>, table: &mut RouteTable, serving: &Blueprint) {
    let edge = &serving.release.stack.edge;
    let passes_on = table.passthrough.iter().any(|passthrough| passthrough.on.is_none());
    let settings = edge.tls.as_ref().filter(|_| !table.routes.is_empty());
    if settings.is_none() && !passes_on {
        return;
    }
    let address = edge.https.unwrap_or_else(|| default_address(view.input.http));
    let kind = ListenerKind::Https { http3: edge.http3 && settings.is_some() };
    table.listeners.push(Listener { address, kind, proxied: edge.proxied });
    let Some(settings) = settings else { return };
    table.tls = certificates(settings, table);
    if settings.redirect {
        for route in &mut table.routes {
            // Without a name there is no certificate but those in files, and those that are asked for.
            if route.host != HostPattern::Any || !settings.files.is_empty() || settings.on_demand.is_some() {
                route.https = Some(address.port());
            }
        }
    }
}

/// 443 beside 80; 8443 where 80 is not to be had.
fn default_address(http: SocketAddr) -> SocketAddr {
    SocketAddr::new(http.ip(), if http.port() == 80 { 443 } else { 8443 })
}

fn certificates(settings: &TlsSettings, table: &RouteTable) -> TableTls {
    let TlsSettings { files, acme, internal, redirect: _, on_demand } = settings;
    let on_demand = on_demand.clone().zip(issuer_by_default(acme.as_ref(), *internal)).map(Box::new);
    TableTls { files: files.clone(), managed: managed(acme.as_ref(), *internal, table), on_demand }
}

fn issuer_by_default(acme: Option<&Acme>, internal: bool) -> Option<Issuer> {
    acme.cloned().map(Issuer::Acme).or(internal.then_some(Issuer::Internal))
}

/// One certificate for a domain, its `www.` and its wildcard: they come and go together, and another domain that cannot be
/// proven does not hold them up.
fn managed(acme: Option<&Acme>, internal: bool, table: &RouteTable) -> Vec<ManagedCertificate> {
    let Some(issuer) = issuer_by_default(acme, internal) else { return Vec::new() };
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in table.routes.iter().filter_map(|route| name(&route.host)) {
        let domain = name.strip_prefix("*.").or_else(|| name.strip_prefix("www.")).unwrap_or(&name);
        sets.entry(domain.to_owned()).or_default().insert(name);
    }
    let certificate = |(domain, names): (String, BTreeSet<String>)| ManagedCertificate {
        names: names.into_iter().collect(),
        issuer: if is_public(&domain) { issuer.clone() } else { Issuer::Internal },
    };
    sets.into_iter().map(certificate).collect()
}

fn name(host: &HostPattern) -> Option<String> {
    match host {
        HostPattern::Exact(name) => Some(name.clone()),
        HostPattern::Wildcard(suffix) => Some(format!("*{suffix}")),
        HostPattern::Any => None,
    }
}

/// Whether a public authority could issue for it.
fn is_public(domain: &str) -> bool {
    let bare = domain.trim_start_matches('[').trim_end_matches(']');
    let last = domain.rsplit_once('.').map(|(_, last)| last);
    bare.parse::<IpAddr>().is_err() && last.is_some_and(|last| !PRIVATE.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_model::{LETS_ENCRYPT, RoutePolicy, table::TableRoute};

    fn table(hosts: &[&str]) -> RouteTable {
        let route = |host: &&str| TableRoute {
            host: HostPattern::try_from((*host).to_owned()).unwrap(),
            path: "/".into(),
            upstream: None,
            site: String::new(),
            https: None,
            policy: RoutePolicy::default(),
        };
        RouteTable { routes: hosts.iter().map(route).collect(), ..RouteTable::default() }
    }

    fn acme() -> Acme {
        Acme { directory: LETS_ENCRYPT.into(), email: None, external_account: None, dns: None, trust: None }
    }

    #[test]
    fn a_domain_has_one_certificate_with_its_www_and_wildcard() {
        let hosts =
            ["shop.work", "www.shop.work", "*.shop.work", "api.shop.work", "*", "shop.work", "db.lan", "box"];
        let managed = managed(Some(&acme()), false, &table(&hosts));
        let shown: Vec<_> =
            managed.iter().map(|c| (c.names.join(" "), matches!(c.issuer, Issuer::Acme(_)))).collect();
        let expected = [
            ("api.shop.work", true),
            ("box", false),
            ("db.lan", false),
            ("*.shop.work shop.work www.shop.work", true),
        ];
        assert_eq!(shown, expected.map(|(names, public)| (names.to_owned(), public)));
    }

    #[test]
    fn without_an_issuer_none_is_managed() {
        assert!(managed(None, false, &table(&["shop.work"])).is_empty());
        assert_eq!(managed(None, true, &table(&["shop.work"])).len(), 1);
    }

    #[test]
    fn the_port_follows_that_of_http() {
        let of = |text: &str| default_address(text.parse().unwrap()).to_string();
        assert_eq!((of("0.0.0.0:80"), of("0.0.0.0:8080")), ("0.0.0.0:443".into(), "0.0.0.0:8443".into()));
    }
}
