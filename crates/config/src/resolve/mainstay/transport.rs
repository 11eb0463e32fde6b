//! How upstreams are spoken to: `scheme:`, the addresses under `to:`, `upstream_tls:`, `send_proxy:`.

use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::Reader;
use mainstay_model::{ClientIdentity, HostPattern, ProxyVersion, Scheme, Secret, Transport, UpstreamTls};
use std::net::IpAddr;

const SCHEMES: [(&str, Scheme); 4] =
    [("http", Scheme::Http), ("https", Scheme::Https), ("h2c", Scheme::H2c), ("h2", Scheme::H2)];

/// Reads what a route of a service says.
pub(super) fn of_service(node: &Node, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> Transport {
    let given = node.get_text("scheme").unwrap_or_default();
    let known = SCHEMES.iter().find(|(name, _)| *name == given);
    let scheme = known.map_or(Scheme::default(), |(_, scheme)| *scheme);
    spoken(node, scheme, reader, path, sink)
}

fn spoken(node: &Node, scheme: Scheme, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> Transport {
    let send_proxy = send_proxy(node);
    if let (true, Some(given)) = (scheme.is_http2(), node.get("send_proxy")) {
        let message = "requests of several clients share the connections of HTTP/2";
        sink.push(Diagnostic::error(Code::Conflict, message).about(given).path(path.key("send_proxy")));
    }
    Transport { scheme, tls: tls(node, scheme, reader, path, sink), send_proxy }
}

/// Reads `send_proxy:`.
pub(super) fn send_proxy(node: &Node) -> Option<ProxyVersion> {
    match node.get_text("send_proxy") {
        Some("v1") => Some(ProxyVersion::V1),
        Some("v2") => Some(ProxyVersion::V2),
        _ => None,
    }
}

/// Reads what a route to something outside says: where to, and how.
pub(super) fn of_external(
    node: &Node,
    reader: Reader<'_>,
    path: &KeyPath,
    sink: &mut Sink,
) -> (Vec<String>, Transport) {
    let to_path = path.key("to");
    let mut to = Vec::new();
    let mut first: Option<(Scheme, &Node)> = None;
    for given in node.items("to").iter().filter_map(|given| given.get("url")) {
        let Some((scheme, address)) = upstream(given, &to_path, sink) else { continue };
        match first {
            Some((other, before)) if other != scheme => {
                let message = "the upstreams of one route are all spoken to in one way";
                let finding = Diagnostic::error(Code::Conflict, message).about(given).path(&to_path);
                sink.push(finding.note("the first one is here", before.span));
            }
            _ => first = first.or(Some((scheme, given))),
        }
        to.push(address);
    }
    let scheme = first.map_or(Scheme::default(), |(scheme, _)| scheme);
    (to, spoken(node, scheme, reader, path, sink))
}

/// `https://host[:port]` as scheme and `host:port`.
fn upstream(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<(Scheme, String)> {
    let text = node.as_text()?;
    let split = text.split_once("://").and_then(|(scheme, rest)| {
        let known = SCHEMES.iter().find(|(name, _)| *name == scheme)?;
        Some((known.1, rest.strip_suffix('/').unwrap_or(rest)))
    });
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    let Some((scheme, host)) = split.filter(|(_, host)| is_host(host)) else {
        let message = format!(
            "`{text}` is not an upstream: write http://host:port, or the same with https://, h2c:// or h2://"
        );
        sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
        return None;
    };
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
    });
    let address = if has_port { host.to_owned() } else { format!("{host}:{}", scheme.default_port()) };
    Some((scheme, address))
}

/// Reads `upstream_tls:`.
fn tls(node: &Node, scheme: Scheme, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> UpstreamTls {
    let Some(given) = node.get("upstream_tls") else { return UpstreamTls::default() };
    let path = path.key("upstream_tls");
    if !scheme.is_secure() {
        let message = "no TLS is spoken with this upstream";
        let finding = Diagnostic::error(Code::Conflict, message).about(given).path(&path);
        sink.push(
            finding
                .help("write `scheme: https` or `h2` in a service's route, `https://` or `h2://` in `to:`"),
        );
    }
    let unverified = given.get("verify").is_some_and(|_| !given.get_flag("verify"));
    if let (true, Some(verify)) = (unverified, given.get("verify")) {
        let message = "any certificate is believed: whoever stands between can read and change everything";
        let finding = Diagnostic::warning(Code::Unverified, message).about(verify).path(path.key("verify"));
        sink.push(finding.help("name the authority of the upstream with `ca: FILE` instead"));
    }
    if let (true, Some(ca)) = (unverified, given.get("ca")) {
        let message = "`ca` has no say where nothing is verified";
        sink.push(Diagnostic::error(Code::Conflict, message).about(ca).path(path.key("ca")));
    }
    UpstreamTls {
        ca: given.get("ca").and_then(|ca| pem(ca, "CERTIFICATE", reader, &path.key("ca"), sink)),
        server_name: server_name(given, &path, sink),
        unverified,
        identity: identity(given, reader, &path, sink),
    }
}

fn server_name(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<String> {
    let given = node.get("server_name")?;
    let text = given.as_text()?;
    let is_name = matches!(HostPattern::try_from(text.to_owned()), Ok(HostPattern::Exact(_)));
    if is_name || text.parse::<IpAddr>().is_ok() {
        return Some(text.to_ascii_lowercase());
    }
    let message = format!("`{text}` is not a name that a certificate could have");
    sink.push(Diagnostic::error(Code::InvalidValue, message).about(given).path(path.key("server_name")));
    None
}

/// `cert:` and `key:`.
fn identity(node: &Node, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> Option<ClientIdentity> {
    match (node.get("cert"), node.get("key")) {
        (Some(cert), Some(key)) => {
            let chain = pem(cert, "CERTIFICATE", reader, &path.key("cert"), sink);
            let key = pem(key, "PRIVATE KEY", reader, &path.key("key"), sink);
            chain.zip(key).map(|(chain, key)| ClientIdentity { chain, key: Secret::new(key) })
        }
        (None, None) => None,
        _ => {
            let message = "a certificate needs both `cert` and `key`";
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
            None
        }
    }
}

/// The text of a file that holds `kind` as PEM.
fn pem(given: &Node, kind: &str, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> Option<String> {
    let text = reader.text(given, path, sink)?;
    let has = |kind: &str| text.lines().any(|line| line.contains("-----BEGIN ") && line.contains(kind));
    if has(kind) && (kind == "PRIVATE KEY" || !has("PRIVATE KEY")) {
        return Some(text);
    }
    let message = match kind {
        "CERTIFICATE" => "this file is to hold certificates as PEM, and nothing secret",
        _ => "this file is to hold a private key as PEM",
    };
    sink.push(Diagnostic::error(Code::InvalidValue, message).about(given).path(path));
    None
}
