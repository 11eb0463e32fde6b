//! `tls:` of the edge.

use super::super::texts;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::paths;
use crate::resolve::Reader;
use mainstay_model::{
    Acme, CertificateFiles, DnsProvider, ExternalAccount, LETS_ENCRYPT, LETS_ENCRYPT_STAGING, OnDemand,
    Secret, TlsSettings,
};
use std::path::Path;

/// Reads `tls:`; `directory` is where relative paths begin.
pub(super) fn tls(edge: &Node, directory: &Path, path: &KeyPath, sink: &mut Sink) -> Option<TlsSettings> {
    let node = edge.get("tls")?;
    let path = &path.key("tls");
    let mut files = Vec::new();
    files.extend(pair(node, directory, path, sink));
    for (index, item) in node.items("files").iter().enumerate() {
        files.extend(pair(item, directory, &path.key("files").index(index), sink));
    }
    let settings = TlsSettings {
        files,
        acme: node.get("acme").and_then(|node| acme(node, directory, &path.key("acme"), sink)),
        internal: node.get_flag("internal"),
        redirect: node.get("redirect").is_none_or(|_| node.get_flag("redirect")),
        on_demand: node
            .get("on_demand")
            .and_then(|node| node.get_text("ask"))
            .map(|ask| OnDemand { ask: ask.to_owned() }),
    };
    let names_source = ["acme", "cert", "files", "key"].iter().any(|key| node.get(key).is_some());
    if !names_source && !settings.internal {
        let message = "`tls` says nothing about where certificates come from";
        let help = "write `acme: { email: you@example.com }`, `cert:` and `key:`, or `internal: true`";
        sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path).help(help));
        return None;
    }
    Some(settings)
}

/// Reads `client_ca:` of `tls:`: a file with the certificates of who signs those of clients.
pub(super) fn client_ca(edge: &Node, reader: Reader<'_>, path: &KeyPath, sink: &mut Sink) -> Option<String> {
    let given = edge.at(&["tls", "client_ca"])?;
    let path = path.key("tls").key("client_ca");
    let text = reader.text(given, &path, sink)?;
    if text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY") {
        return Some(text);
    }
    let message = "this file is to hold certificates as PEM, and nothing secret";
    sink.push(Diagnostic::error(Code::InvalidValue, message).about(given).path(path));
    None
}

fn pair(node: &Node, directory: &Path, path: &KeyPath, sink: &mut Sink) -> Option<CertificateFiles> {
    let absolute = |text: &str| paths::absolute(directory, text, None);
    match (node.get_text("cert"), node.get_text("key")) {
        (Some(cert), Some(key)) => Some(CertificateFiles { cert: absolute(cert), key: absolute(key) }),
        (None, None) => None,
        _ => {
            let message = "a certificate needs both `cert` and `key`";
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
            None
        }
    }
}

fn acme(node: &Node, directory: &Path, path: &KeyPath, sink: &mut Sink) -> Option<Acme> {
    let directory_url = match (node.get_text("ca"), node.get_flag("staging")) {
        (None | Some("letsencrypt"), false) => LETS_ENCRYPT.to_owned(),
        (None | Some("letsencrypt"), true) => LETS_ENCRYPT_STAGING.to_owned(),
        (Some(url), false) if url.starts_with("https://") => url.to_owned(),
        (Some(url), is_staging) => {
            let message = match is_staging {
                true => {
                    "`staging` is Let's Encrypt's; of another authority name the directory in `ca`".to_owned()
                }
                false => format!("`{url}` is not an ACME directory: write its https:// address"),
            };
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path.key("ca")));
            return None;
        }
    };
    let text = |node: &Node, key: &str| node.get_text(key).map(str::to_owned);
    let external = node.get("eab").and_then(|eab| {
        Some(ExternalAccount { id: text(eab, "id")?, key: Secret::new(eab.get_text("key")?) })
    });
    Some(Acme {
        directory: directory_url,
        email: text(node, "email"),
        external_account: external,
        dns: node.get("dns").and_then(|dns| provider(dns, directory, &path.key("dns"), sink)),
        trust: node.get_text("trust").map(|trust| paths::absolute(directory, trust, None)),
    })
}

fn provider(node: &Node, directory: &Path, path: &KeyPath, sink: &mut Sink) -> Option<DnsProvider> {
    let mut command =
        node.get("exec").map(|exec| texts(exec.as_list().unwrap_or_default())).unwrap_or_default();
    // The edge runs elsewhere.
    if let Some(program) = command.first_mut().filter(|program| program.starts_with('.')) {
        *program = paths::absolute(directory, program, None).display().to_string();
    }
    match (node.get_text("cloudflare"), command.is_empty()) {
        (Some(token), true) => Some(DnsProvider::Cloudflare { token: Secret::new(token) }),
        (None, false) => Some(DnsProvider::Exec { command }),
        _ => {
            let message = "`dns` is either `cloudflare: TOKEN` or `exec: COMMAND`";
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(node).path(path));
            None
        }
    }
}
