//! The head that an upstream gets for a request.
//!
//! Header bytes are copied from the client's buffer in as large runs as possible. Knows nothing about sockets and
//! instances.

use super::body::Framing;
use super::decide::Extra;
use super::field::{self, Field};
use super::forwarded::{self, Peer};
use super::lines::copy_fields;
use super::reading::Request;

use crate::identity::Client;
use crate::route::Route;

impl Request<'_> {
    /// Appends the upstream's head. `head` is the one that was read.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        head: &[u8],
        route: &Route,
        peer: &Peer,
        client: &Client<'_>,
        extra: Extra<'_>,
    ) {
        let Extra { trace, granted } = extra;
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        route.write_target(out, self.target.path_and_query);
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(self.host_value);
        out.extend_from_slice(b"\r\n");
        let names_any = self.connection.named_count().is_some();
        copy_fields(out, head, self.fields, |index, name| {
            let passes = match self.kinds[index] {
                Field::Other | Field::Accept | Field::Date => true,
                Field::Identity => forwarded::passes(name, client),
                _ => false,
            };
            let is_ours = route.request.as_ref().is_some_and(|rules| rules.drops(name));
            let is_replaced = trace.is_some_and(|t| t.is_new) && name.eq_ignore_ascii_case("traceparent");
            let is_named = names_any && self.connection.names(name);
            passes && !(is_ours || is_replaced || is_named)
        });
        if let Some(rules) = &route.request {
            out.extend_from_slice(&rules.lines);
        }
        out.extend_from_slice(granted);
        if let Some(trace) = trace.filter(|trace| trace.is_new) {
            out.extend_from_slice(b"traceparent: ");
            out.extend_from_slice(trace.value());
            out.extend_from_slice(b"\r\n");
        }
        forwarded::write(out, peer, client, self.host_value);
        match &self.framing {
            Framing::Length(0) if matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "DELETE") => {}
            Framing::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                field::write_number(out, *length);
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked(_) | Framing::UntilClose => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n")
            }
        }
        if let Some(protocol) = self.upgrade {
            out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
            out.extend_from_slice(protocol);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
