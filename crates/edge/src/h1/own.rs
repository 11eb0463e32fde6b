//! What the edge answers by itself, as far as the request has a say in it: redirects, preflights, files.
//!
//! Knows nothing about how answers are sent.

use super::field::write_number;
use super::forwarded::Peer;
use super::reading::{Request, Routed};
use super::request::{Facts, Refusal, Refused};
use crate::files;
use crate::headers::Cors;
use crate::route::{Asked, Redirect, Route};
use mainstay_model::Maintenance;

/// The same request with TLS. What only reads is moved by 301, as clients and search engines have always known it; for
/// all others 308 says that method and body stay (RFC 9110, 15.4.9).
pub(super) fn sent_to_https(port: u16, request: &Request<'_>, facts: Facts) -> Refused {
    let status = if matches!(request.method, "GET" | "HEAD") { 301 } else { 308 };
    let mut fields = b"Location: https://".to_vec();
    fields.extend_from_slice(request.host.as_bytes());
    if port != 443 {
        fields.push(b':');
        write_number(&mut fields, port.into());
    }
    fields.extend_from_slice(request.target.path_and_query);
    fields.extend_from_slice(b"\r\n");
    Refused { fields, ..Refused::plain(Refusal::new(status, "sent to https"), facts) }
}

/// What everybody hears while a stack is being worked on.
pub(super) fn closed(maintenance: &Maintenance, route: &Route, facts: Facts) -> Refused {
    let mut refused = Refused::plain(Refusal::new(503, "being worked on"), facts);
    let seconds = maintenance.retry_after.as_secs();
    refused.fields = format!("Retry-After: {seconds}\r\n").into_bytes();
    if let Some(page) = &maintenance.page {
        refused.show(page);
    }
    refused.add_rules(route, b"");
    refused
}

/// Answers a preflight, and has other responses say who may read them.
pub(super) fn allow_origins(
    cors: &Cors,
    request: &Request<'_>,
    facts: Facts,
    fields: &mut Vec<u8>,
) -> Result<(), Refused> {
    let origin = request.values("origin").next();
    let is_preflight =
        request.method == "OPTIONS" && request.values("access-control-request-method").next().is_some();
    match origin {
        Some(origin) if is_preflight => {
            cors.write_preflight(fields, origin);
            let refusal = Refusal::new(204, "a preflight");
            Err(Refused { refusal, facts, fields: std::mem::take(fields), route: None, content: None })
        }
        origin => {
            cors.write(fields, origin);
            Ok(())
        }
    }
}

/// The line that says where else.
pub(super) fn location(
    redirect: &Redirect,
    request: &Request<'_>,
    peer: &Peer,
    routed: &Routed<'_>,
) -> Vec<u8> {
    let asked = Asked {
        scheme: peer.scheme_of(&routed.client),
        host: request.host_value,
        path_and_query: request.target.path_and_query,
        path_len: request.target.path_len,
    };
    let mut fields = b"Location: ".to_vec();
    fields.extend_from_slice(&redirect.location(&asked));
    fields.extend_from_slice(b"\r\n");
    fields
}

/// What a request asks of the files of its route.
pub(super) fn asked_of_files<'b>(request: &Request<'b>, route: &Route, facts: Facts) -> files::Asked<'b> {
    let first = |name: &str| request.values(name).next();
    let full_path = request.target.path();
    // From the prefix on, with one slash before it.
    let kept = route.path.len() - usize::from(route.path.ends_with(b"/"));
    let is_navigation = match first("sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => first("accept").is_some_and(|accept| memchr::memmem::find(accept, b"text/html").is_some()),
    };
    files::Asked {
        method: request.method,
        path: full_path.get(kept..).filter(|path| !path.is_empty()).unwrap_or(b"/"),
        full_path,
        conditions: files::Conditions {
            if_match: first("if-match"),
            if_none_match: first("if-none-match"),
            if_modified_since: first("if-modified-since"),
            if_unmodified_since: first("if-unmodified-since"),
            range: first("range"),
            if_range: first("if-range"),
        },
        is_navigation,
        coding: facts.coding,
    }
}
