//! `headers:`, `request_headers:`, `cors:` and `compress:` of routes and of the edge.

use super::route::is_token;
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::node::{KeyPath, Node};
use crate::resolve::resources;
use mainstay_model::{Choice, Compression, ContentCoding, Cors, HeaderRules, Preset, RequestHeaders};
use std::collections::BTreeMap;

/// Bodies smaller than this grow or hardly shrink, and fit one packet either way.
const MIN_LENGTH: u64 = 1024;

/// What is text, and is not compressed in itself. Not `text/event-stream`: its events are small and urgent.
const TYPES: &[&str] = &[
    "text/plain",
    "text/css",
    "text/javascript",
    "text/xml",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/wasm",
    "application/xml",
    "image/svg+xml",
];

/// Fields that say how a message ends or where it goes: they are the edge's own.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads `headers:`.
pub(super) fn headers(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<HeaderRules> {
    let given = node.get("headers")?;
    let path = path.key("headers");
    let preset = given.get_text("preset").map(|preset| match preset {
        "strict" => Preset::Strict,
        _ => Preset::Compatible,
    });
    let mut set = fields(given, "set", &path, sink);
    if let Some(csp) = given.get_text("csp") {
        // Written over several lines in the file; one line on the wire.
        set.insert(
            "Content-Security-Policy".to_owned(),
            csp.split_whitespace().collect::<Vec<_>>().join(" "),
        );
    }
    let add = fields(given, "add", &path, sink);
    Some(HeaderRules { preset, set, add, remove: names(given, "remove", &path, sink) })
}

/// Reads `request_headers:`.
pub(super) fn request_headers(node: &Node, path: &KeyPath, sink: &mut Sink) -> RequestHeaders {
    let Some(given) = node.get("request_headers") else { return RequestHeaders::default() };
    let path = path.key("request_headers");
    RequestHeaders { set: fields(given, "set", &path, sink), remove: names(given, "remove", &path, sink) }
}

fn fields(given: &Node, key: &str, path: &KeyPath, sink: &mut Sink) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, entry) in given.entries(key) {
        let path = path.key(key).key(name);
        let value = entry.node.as_text().unwrap_or_default().trim();
        if !usable(name, entry.key_span, &path, sink) {
            continue;
        }
        if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            let message = "the value of a header is one line";
            sink.push(Diagnostic::error(Code::InvalidValue, message).about(&entry.node).path(path));
            continue;
        }
        found.insert(name.clone(), value.to_owned());
    }
    found
}

fn names(given: &Node, key: &str, path: &KeyPath, sink: &mut Sink) -> Vec<String> {
    let path = path.key(key);
    let items = given.items(key).iter().enumerate().filter_map(|(i, item)| Some((i, item, item.as_text()?)));
    let usable = items.filter(|(i, item, name)| usable(name, item.span, &path.index(*i), sink));
    usable.map(|(_, _, name)| name.to_owned()).collect()
}

/// Whether this is the name of a header that may be changed.
pub(super) fn usable(name: &str, span: crate::diagnostic::Span, path: &KeyPath, sink: &mut Sink) -> bool {
    let message = if !is_token(name) {
        format!("`{name}` is not the name of a header")
    } else if FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
        format!("`{name}` belongs to the connection and cannot be changed")
    } else {
        return true;
    };
    sink.push(Diagnostic::error(Code::InvalidValue, message).at(span).path(path));
    false
}

/// Reads `cors:`.
pub(super) fn cors(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Cors> {
    let given = node.get("cors")?;
    let path = path.key("cors");
    let texts = |key: &str| -> Vec<String> {
        given.items(key).iter().filter_map(Node::as_text).map(str::to_owned).collect()
    };
    for (index, origin) in given.items("origins").iter().enumerate() {
        let text = origin.as_text().unwrap_or_default();
        let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
        let is_origin =
            rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']));
        if text != "*" && !is_origin {
            let message = format!("`{text}` is not an origin: write https://host, without a path");
            let finding = Diagnostic::error(Code::InvalidValue, message).about(origin);
            sink.push(finding.path(path.key("origins").index(index)));
        }
    }
    for key in ["methods", "headers", "expose"] {
        for (index, item) in given.items(key).iter().enumerate() {
            let text = item.as_text().unwrap_or_default();
            if !is_token(text) {
                let message = format!("`{text}` is not the name of a method or header");
                let finding = Diagnostic::error(Code::InvalidValue, message).about(item);
                sink.push(finding.path(path.key(key).index(index)));
            }
        }
    }
    let origins = texts("origins");
    let credentials = given.get_flag("credentials");
    if let (true, true, Some(node)) =
        (credentials, origins.iter().any(|o| o == "*"), given.get("credentials"))
    {
        let message = "`credentials` for any origin would let every page act as your users";
        let finding = Diagnostic::error(Code::Conflict, message).about(node).path(path.key("credentials"));
        sink.push(finding.help("name the origins"));
    }
    Some(Cors {
        origins,
        methods: texts("methods"),
        headers: texts("headers"),
        expose: texts("expose"),
        credentials,
        max_age: resources::duration(given, "max_age"),
    })
}

/// Reads `compress:`.
pub(super) fn compress(node: &Node, path: &KeyPath, sink: &mut Sink) -> Option<Choice<Compression>> {
    let given = node.get("compress")?;
    if given.get_flag("off") {
        return Some(Choice::Off);
    }
    let path = path.key("compress").key("types");
    let mut types = Vec::new();
    for (index, item) in given.items("types").iter().enumerate() {
        let text = item.as_text().unwrap_or_default();
        let is_type = text == "*/*"
            || text
                .split_once('/')
                .is_some_and(|(kind, name)| is_token(kind) && is_token(name) && name != "*");
        if is_type {
            types.push(text.to_owned());
        } else {
            let message = format!("`{text}` is not a media type");
            let finding = Diagnostic::error(Code::InvalidValue, message).about(item).path(path.index(index));
            sink.push(finding.help("write types such as application/json, or */* for all"));
        }
    }
    if given.get("types").is_none() {
        types = TYPES.iter().map(|name| (*name).to_owned()).collect();
    }
    let coding = |item: &Node| match item.as_text()? {
        "zstd" => Some(ContentCoding::Zstd),
        "br" => Some(ContentCoding::Brotli),
        "gzip" => Some(ContentCoding::Gzip),
        _ => None,
    };
    let mut codings: Vec<ContentCoding> = given.items("codings").iter().filter_map(coding).collect();
    if codings.is_empty() {
        codings = vec![ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip];
    }
    let min_length = given.get_int("min_length").and_then(|n| u64::try_from(n).ok()).unwrap_or(MIN_LENGTH);
    Some(Choice::On(Compression { codings, types, min_length }))
}
