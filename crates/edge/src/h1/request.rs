//! From a client's request head to the head its upstream gets.
//!
//! Everything that could be read in two ways is refused here (RFC 9112, 11.2). Header bytes are copied from the
//! client's buffer in as large runs as possible. Knows nothing about sockets and instances.

use super::body::Framing;
use super::chunked::Decoder;
use super::field::{self, Connection, Field};
use super::forwarded::{self, Peer};
use super::head::MOST_FIELDS;
use super::uri::{self, Host, Target};
use crate::buffer::Out;
use crate::error_page::Format;
use crate::table::{NoRoute, Route, Table, Timeouts};
use httparse::Header;
use std::mem::MaybeUninit;

/// A request that is not forwarded, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// For the log.
    pub(crate) why: &'static str,
}

const fn refuse(status: u16, why: &'static str) -> Refusal {
    Refusal { status, why }
}

/// What must be remembered of a request while it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    pub(crate) format: Format,
    pub(crate) is_head: bool,
    /// The client speaks HTTP/1.0: no chunks, no 1xx.
    pub(crate) is_http10: bool,
    /// The client wants to send more on this connection.
    pub(crate) keep_alive: bool,
    /// Sending it twice does what sending it once does (RFC 9110, 9.2.2).
    pub(crate) idempotent: bool,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: Option<Upgrade>,
}

/// The protocol a client asked to change to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upgrade {
    WebSocket,
    Other,
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) facts: Facts,
    /// Its head, and behind it the body when that had arrived with it.
    pub(crate) out: Out,
    /// The body as it arrives from the client.
    pub(crate) framing: Framing,
    /// Index into the table's upstreams.
    pub(crate) upstream: usize,
    pub(crate) timeouts: Timeouts,
}

/// A refusal, with as much as was known of the request.
pub(crate) type Refused = (Refusal, Facts);

/// Reads a complete head and writes the upstream's.
pub(crate) fn prepare(head: &[u8], table: &Table, peer: &Peer) -> Result<Prepared, Refused> {
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut storage) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err((refuse(400, "the head does not end where its lines do"), Facts::default())),
        Err(error) => return Err((explain(error, head), Facts::default())),
    }
    let (Some(method), Some(path), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err((refuse(400, "incomplete request line"), Facts::default()));
    };
    let mut facts = Facts { is_http10: version == 0, is_head: method == "HEAD", ..Facts::default() };
    facts.idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE");
    let request =
        Request::read(method, path.as_bytes(), parsed.headers, &mut facts).map_err(|r| (r, facts))?;
    // A body that nobody will read ends the connection with the answer.
    facts.keep_alive &= request.framing.is_done();
    let route = request.route(table).map_err(|r| (r, facts))?;
    facts.keep_alive = request.keep_alive(facts.is_http10);
    let mut out = Out::take();
    request.write(&mut out, head, route, peer);
    Ok(Prepared { facts, out, framing: request.framing, upstream: route.upstream, timeouts: route.timeouts })
}

fn explain(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => refuse(431, "too many header fields"),
        httparse::Error::Version if names_other_version(head) => refuse(505, "not HTTP/1.x"),
        _ => refuse(400, "malformed request line or header"),
    }
}

/// Whether the request line is in order but for its version, which is one of HTTP.
fn names_other_version(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').skip(2);
    let version = words.next().unwrap_or_default();
    words.next().is_none()
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// A request, understood.
struct Request<'b> {
    method: &'b str,
    target: Target<'b>,
    host: Host,
    /// As the client sent it.
    host_value: &'b [u8],
    framing: Framing,
    connection: Connection<'b>,
    upgrade: Option<&'b [u8]>,
    fields: &'b [Header<'b>],
    kinds: [Field; MOST_FIELDS],
}

/// Values collected from the fields.
#[derive(Default)]
struct Values<'b> {
    host: Option<&'b [u8]>,
    length: Option<u64>,
    coding: Option<&'b [u8]>,
    upgrade: Option<&'b [u8]>,
    connection: Connection<'b>,
}

impl<'b> Request<'b> {
    fn read(
        method: &'b str,
        path: &'b [u8],
        fields: &'b [Header<'b>],
        facts: &mut Facts,
    ) -> Result<Self, Refusal> {
        let mut kinds = [Field::Other; MOST_FIELDS];
        let values = Values::collect(fields, &mut kinds, facts)?;
        if matches!(method, "CONNECT" | "TRACE") {
            return Err(refuse(405, "CONNECT or TRACE"));
        }
        let target = uri::target(method, path).map_err(|error| match error {
            uri::UriError::BadByte => refuse(400, "bad byte in the request target"),
            uri::UriError::DotSegment => refuse(400, "dot segment in the path"),
            _ => refuse(400, "bad request target"),
        })?;
        let (host, host_value) = values.host(&target, facts.is_http10)?;
        let framing = values.framing(facts.is_http10)?;
        let is_bodyless = framing.is_done();
        let upgrade = values.upgrade.filter(|_| values.connection.upgrade && is_bodyless && !facts.is_http10);
        facts.upgrade = upgrade.map(|value| match value.eq_ignore_ascii_case(b"websocket") {
            true => Upgrade::WebSocket,
            false => Upgrade::Other,
        });
        facts.expects_continue &= !is_bodyless && !facts.is_http10;
        let request = Self {
            method,
            target,
            host,
            host_value,
            framing,
            connection: values.connection,
            upgrade,
            fields,
            kinds,
        };
        facts.keep_alive = request.keep_alive(facts.is_http10);
        Ok(request)
    }

    fn keep_alive(&self, is_http10: bool) -> bool {
        !self.connection.close && (!is_http10 || self.connection.keep_alive)
    }

    fn route<'t>(&self, table: &'t Table) -> Result<&'t Route, Refusal> {
        let host = self.host.as_bytes();
        let path = if self.target.path() == b"*" { b"/" } else { self.target.path() };
        let route = table.find(host, path).map_err(|none| match none {
            NoRoute::UnknownHost => refuse(421, "unknown host"),
            NoRoute::NoPath => refuse(404, "no route for this path"),
        })?;
        // Whatever the upstream makes of the path must be this route's business.
        let agrees =
            |reading: &Vec<u8>| table.find(host, reading).is_ok_and(|other| std::ptr::eq(other, route));
        if !self.target.is_plain && !uri::readings(path).iter().all(agrees) {
            return Err(refuse(400, "the path could mean another route"));
        }
        Ok(route)
    }

    fn write(&self, out: &mut Vec<u8>, head: &[u8], route: &Route, peer: &Peer) {
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        self.write_target(out, route);
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(self.host_value);
        out.extend_from_slice(b"\r\n");
        let names_any = self.connection.named_count().is_some();
        copy_fields(out, head, self.fields, |index, name| {
            matches!(self.kinds[index], Field::Other | Field::Accept | Field::Date)
                && !(names_any && self.connection.names(name))
        });
        forwarded::write(out, peer, self.host_value);
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

    /// The path as the upstream gets it: as it came, or without the route's prefix (but always with one slash at
    /// its front, lest `//x` be taken for a host).
    fn write_target(&self, out: &mut Vec<u8>, route: &Route) {
        let whole = self.target.path_and_query;
        if !route.strip_prefix || !whole.starts_with(&route.path) {
            out.extend_from_slice(whole);
            return;
        }
        let rest = &whole[route.path.len()..];
        let slashes = rest.iter().take_while(|b| **b == b'/').count();
        out.push(b'/');
        out.extend_from_slice(&rest[slashes..]);
    }
}

impl<'b> Values<'b> {
    fn collect(
        fields: &'b [Header<'b>],
        kinds: &mut [Field; MOST_FIELDS],
        facts: &mut Facts,
    ) -> Result<Self, Refusal> {
        let mut values = Self::default();
        for (header, kind) in fields.iter().zip(kinds) {
            *kind = field::classify(header.name);
            let value = header.value;
            match kind {
                Field::Host if values.host.is_some() => return Err(refuse(400, "several Host fields")),
                Field::Host => values.host = Some(value),
                Field::ContentLength if values.length.is_some() => {
                    return Err(refuse(400, "several Content-Length fields"));
                }
                Field::ContentLength => {
                    let length = field::content_length(value);
                    values.length = Some(length.ok_or(refuse(400, "Content-Length is not a number"))?);
                }
                Field::TransferEncoding if values.coding.is_some() => {
                    return Err(refuse(400, "several Transfer-Encoding fields"));
                }
                Field::TransferEncoding => values.coding = Some(value),
                Field::Connection => {
                    values
                        .connection
                        .add(value)
                        .map_err(|_| refuse(400, "Connection names too many fields"))?;
                }
                Field::Upgrade if values.upgrade.is_some() => {
                    return Err(refuse(400, "several Upgrade fields"));
                }
                Field::Upgrade => values.upgrade = passable_upgrade(value),
                Field::Expect if value.eq_ignore_ascii_case(b"100-continue") => facts.expects_continue = true,
                Field::Expect => return Err(refuse(417, "an unknown expectation")),
                Field::Accept => facts.format = Format::of(value),
                Field::Date | Field::HopByHop | Field::Identity | Field::Underscored | Field::Other => {}
            }
        }
        Ok(values)
    }

    fn host(&self, target: &Target<'b>, is_http10: bool) -> Result<(Host, &'b [u8]), Refusal> {
        let bad = |_| refuse(400, "bad Host");
        match (self.host, target.authority) {
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                Err(refuse(400, "Host and request target disagree"))
            }
            (Some(host), _) => Ok((Host::parse(host).map_err(bad)?, host)),
            // RFC 9112, 3.2: HTTP/1.0 clients may leave it out.
            (None, Some(authority)) if is_http10 => Ok((Host::parse(authority).map_err(bad)?, authority)),
            (None, None) if is_http10 => Ok((Host::none(), b"")),
            (None, _) => Err(refuse(400, "no Host")),
        }
    }

    fn framing(&self, is_http10: bool) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
            (Some(_), Some(_)) => Err(refuse(400, "both Content-Length and Transfer-Encoding")),
            (Some(_), None) if is_http10 => Err(refuse(400, "Transfer-Encoding in HTTP/1.0")),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked(Decoder::new()))
            }
            (Some(coding), None) => {
                let last = field::elements(coding).last().unwrap_or_default();
                let chunks = field::elements(coding).filter(|c| c.eq_ignore_ascii_case(b"chunked")).count();
                match last.eq_ignore_ascii_case(b"chunked")
                    && chunks == 1
                    && field::elements(coding).count() > 1
                {
                    true => Err(refuse(501, "an unknown transfer coding")),
                    false => Err(refuse(400, "a body without an end")),
                }
            }
        }
    }
}

/// An upgrade we can pass on without knowing it. HTTP/2 and TLS are not: through them, requests would reach the
/// upstream that nothing here has looked at.
fn passable_upgrade(value: &[u8]) -> Option<&[u8]> {
    let starts =
        |prefix: &[u8]| value.len() >= prefix.len() && value[..prefix.len()].eq_ignore_ascii_case(prefix);
    let is_one_word = value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._/+".contains(b));
    (!value.is_empty() && is_one_word && !starts(b"h2") && !starts(b"tls") && !starts(b"http"))
        .then_some(value)
}

/// Appends the lines of the fields that `keep` wants, neighbours in one go. The lines were checked to be
/// whole, so their raw bytes mean what they were parsed as.
pub(crate) fn copy_fields(
    out: &mut Vec<u8>,
    head: &[u8],
    fields: &[Header<'_>],
    mut keep: impl FnMut(usize, &str) -> bool,
) {
    let base = head.as_ptr() as usize;
    let start_of = |header: &Header<'_>| (header.name.as_ptr() as usize).saturating_sub(base);
    // The empty line that ends the head is not a field's.
    let end_of_fields = head.len().saturating_sub(2);
    let mut run: Option<usize> = None;
    let mut flush = |run: &mut Option<usize>, to: usize| {
        if let Some(lines) = run.take().and_then(|from| head.get(from..to)) {
            out.extend_from_slice(lines);
        }
    };
    for (index, header) in fields.iter().enumerate() {
        let start = start_of(header);
        if keep(index, header.name) {
            run.get_or_insert(start);
        } else {
            flush(&mut run, start);
        }
    }
    flush(&mut run, end_of_fields);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Scheme;
    use crate::h1::head::Scanner;
    use crate::table::Registry;
    use mainstay_model::table::{RouteTable, TableRoute, Upstream};
    use mainstay_model::{HostPattern, RouteTimeouts};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn table() -> Table {
        let route = TableRoute {
            host: HostPattern::Any,
            path: "/".into(),
            strip_prefix: false,
            upstream: "u".into(),
            timeouts: RouteTimeouts::default(),
        };
        let upstreams = BTreeMap::from([("u".to_owned(), Upstream::default())]);
        let model = RouteTable { version: 1, routes: vec![route], upstreams, ..RouteTable::default() };
        Registry::new(1).build(&model).unwrap()
    }

    /// Names and values of a head, as another implementation reads them.
    fn reference(head: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut headers);
        assert!(request.parse(head).unwrap().is_complete(), "{}", String::from_utf8_lossy(head));
        request.headers.iter().map(|h| (h.name.to_ascii_lowercase(), h.value.to_vec())).collect()
    }

    fn line() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            "[A-Za-z-]{1,12}",
            proptest::sample::select(vec![
                "Host",
                "Content-Length",
                "Transfer-Encoding",
                "Connection",
                "X-Forwarded-For",
                "Upgrade",
                "Expect",
                "TE",
                "x_y",
                "Cookie",
                "Accept",
                "Keep-Alive",
            ])
            .prop_map(str::to_owned),
        ];
        let value = prop_oneof![
            "[ -~\t]{0,20}",
            proptest::sample::select(vec![
                "a.test",
                "5",
                "chunked",
                "close",
                "Cookie, x",
                "upgrade",
                "websocket"
            ])
            .prop_map(str::to_owned),
        ];
        let end = prop_oneof![20 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
        let colon = prop_oneof![20 => Just(": "), 5 => Just(":"), 1 => Just(" : "), 1 => Just("")];
        (name, colon, value, end).prop_map(|(name, colon, value, end)| format!("{name}{colon}{value}{end}"))
    }

    proptest! {
        #[test]
        fn what_is_passed_on_reads_the_same_everywhere(
            lines in proptest::collection::vec(line(), 0..10),
            path in "/[a-z./%0-9?-]{0,12}",
            version in 0..2,
        ) {
            let bytes = format!("GET {path} HTTP/1.{version}\r\nHost: a.test\r\n{}\r\n", lines.concat());
            let bytes = bytes.as_bytes();
            let Ok(Some(bounds)) = Scanner::default().scan(bytes) else { return Ok(()) };
            let head = &bytes[bounds.start..bounds.end];
            let peer = Peer::new(([10, 0, 0, 1], 9).into(), Scheme::Http);
            let Ok(prepared) = prepare(head, &table(), &peer) else { return Ok(()) };
            let before = reference(head);
            let after = reference(&prepared.out);
            let count = |name: &str| after.iter().filter(|(n, _)| n == name).count();
            for once in ["host", "x-forwarded-for", "x-real-ip", "x-forwarded-proto", "x-forwarded-host"] {
                prop_assert_eq!(count(once), 1, "{}", once);
            }
            prop_assert!(count("content-length") + count("transfer-encoding") <= 1);
            for never in ["te", "keep-alive", "x_y", "expect"] {
                prop_assert_eq!(count(never), 0, "{}", never);
            }
            // Whatever else is passed on, the client sent just so, and in this order.
            let ours = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];
            let foreign = |(name, _): &&(String, Vec<u8>)| {
                !ours.contains(&name.as_str()) && !name.starts_with("x-forwarded-") && name != "x-real-ip"
            };
            let mut sent = before.iter();
            for passed in after.iter().filter(foreign) {
                prop_assert!(sent.any(|s| s == passed), "{:?}", passed);
            }
        }
    }
}
