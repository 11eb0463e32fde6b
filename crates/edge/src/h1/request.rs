//! From a client's request head to the head its upstream gets, or to the answer it gets from us.
//!
//! What is asked of a request besides being understood is asked here, in this order: its route, its client, its size,
//! its limits. Knows nothing about sockets and instances.

use super::body::Framing;
use super::forwarded::Peer;
use super::head::MOST_FIELDS;
use super::reading::{Request, Routed};
use super::trace::Trace;
use crate::access_log::{Draft, Told};
use crate::buffer::Out;
use crate::client::Scheme;
use crate::clock::{self, Millis};
use crate::error_page::Format;
use crate::files::{self, Content};
use crate::headers::{Cors, ResponseRules};
use crate::limit::{self, Exceeded};
use crate::route::{Action, Asked, Redirect, Route, Timeouts};
use crate::table::Table;
use mainstay_model::ContentCoding;
use std::mem::MaybeUninit;

/// A request that is not forwarded, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// For the log.
    pub(crate) why: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
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
    /// The client's scheme is https.
    pub(crate) is_secure: bool,
    /// How the response may be compressed for it.
    pub(crate) coding: Option<ContentCoding>,
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
    /// Index into the table's routes.
    pub(crate) route: usize,
    /// Index into the table's upstreams.
    pub(crate) upstream: usize,
    pub(crate) timeouts: Timeouts,
    /// Lines that the response's head has because of this request.
    pub(crate) response_fields: Vec<u8>,
}

/// A request that is answered without an upstream, with as much as was known of it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) facts: Facts,
    /// Lines that the answer's head has besides the usual ones.
    pub(crate) fields: Vec<u8>,
    /// Index into the table's routes, once it was known.
    pub(crate) route: Option<usize>,
    /// What follows the head; a page about the status, when there is nothing else.
    pub(crate) content: Option<Content>,
}

impl Refused {
    pub(crate) fn plain(refusal: Refusal, facts: Facts) -> Self {
        Self { refusal, facts, fields: Vec::new(), route: None, content: None }
    }

    /// Adds what every answer of `route` says, ours too, and what this one says because of its request.
    pub(crate) fn add_rules(&mut self, route: &Route, fields: &[u8]) {
        if let Some(rules) = &route.response {
            rules.filter(&mut self.fields);
            rules.write(&mut self.fields, self.facts.is_secure, |_| false);
        }
        self.fields.extend_from_slice(fields);
    }
}

/// What a request has passed already, when it is prepared again because a newer table came.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// It was counted by its limits; then nothing counts it again.
    counted: Option<limit::Passed>,
    /// The beginning of its line in the access log.
    pub(crate) draft: Option<Box<Draft>>,
}

impl Admission {
    /// How long the request waits before anything else; asked once.
    pub(crate) fn take_delay(&mut self) -> Millis {
        self.counted.as_mut().map_or(0, |passed| std::mem::take(&mut passed.delay))
    }
}

/// Reads a complete head and writes the upstream's.
pub(crate) fn prepare(
    head: &[u8],
    table: &Table,
    peer: &Peer,
    admission: &mut Admission,
) -> Result<Prepared, Refused> {
    let early = |refusal| Refused::plain(refusal, Facts::default());
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut storage) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err(early(Refusal::new(400, "the head does not end where its lines do"))),
        Err(error) => return Err(early(explain(error, head))),
    }
    let (Some(method), Some(path), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(early(Refusal::new(400, "incomplete request line")));
    };
    let mut facts = Facts { is_http10: version == 0, is_head: method == "HEAD", ..Facts::default() };
    facts.idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE");
    let request = Request::read(method, path.as_bytes(), parsed.headers, &mut facts)
        .map_err(|refusal| Refused::plain(refusal, facts))?;
    Asking { request: &request, head, facts, table, peer }.decide(admission)
}

/// A request that was understood, and those it is put to.
struct Asking<'a, 'b> {
    request: &'a Request<'b>,
    head: &'a [u8],
    facts: Facts,
    table: &'a Table,
    peer: &'a Peer,
}

impl Asking<'_, '_> {
    fn decide(self, admission: &mut Admission) -> Result<Prepared, Refused> {
        let Self { request, head, mut facts, table, peer } = self;
        // A body that nobody will read ends the connection with the answer.
        facts.keep_alive &= request.framing.is_done();
        let refuse = |refusal| Refused::plain(refusal, facts);
        let routed = request.route(table, peer).map_err(refuse)?;
        let route = &table.routes[routed.route];
        facts.is_secure = peer.scheme_of(&routed.client) == Scheme::Https;
        let trace = route.site.log.as_ref().map(|log| {
            let trace = Trace::of(request.values("traceparent").next());
            admission
                .draft
                .get_or_insert_with(|| Draft::begin(log, &told(request, route, &routed, facts, &trace)));
            trace
        });
        if let (Some(port), false) = (route.https, facts.is_secure) {
            return Err(Refused { route: Some(routed.route), ..sent_to_https(port, request, facts) });
        }
        let mut response_fields = Vec::new();
        if let Some(rules) = &route.response {
            facts.coding = coding_for(rules, request);
            if let Some(cors) = &rules.cors {
                let answer = allow_origins(cors, request, facts, &mut response_fields);
                answer.map_err(|refused| Refused { route: Some(routed.route), ..refused })?;
            }
        }
        // What is refused from here on has its route's headers like everything else of the route.
        let refuse = |refusal, fields: &[u8]| {
            let mut refused =
                Refused { refusal, facts, fields: fields.to_vec(), route: Some(routed.route), content: None };
            refused.add_rules(route, &response_fields);
            refused
        };
        if matches!(request.framing, Framing::Length(length) if length > route.max_body) {
            return Err(refuse(Refusal::new(413, "the body is too large"), b""));
        }
        count(request, route, &routed, admission)
            .map_err(|fields| refuse(Refusal::new(429, "over a limit"), &fields))?;
        let upstream = match &route.action {
            Action::Forward(upstream) => *upstream,
            Action::Redirect(redirect) => {
                let location = location(redirect, request, peer, &routed);
                return Err(refuse(Refusal::new(redirect.status, "redirected"), &location));
            }
            Action::Files(files) => {
                let compression = route.response.as_ref().and_then(|rules| rules.compression.as_ref());
                let answer = files.answer(&asked_of_files(request, route, facts), compression);
                let refused = refuse(Refusal::new(answer.status, "a file"), &answer.fields);
                return Err(Refused { content: answer.content, ..refused });
            }
        };
        facts.keep_alive = request.keep_alive(facts.is_http10);
        let mut out = Out::take();
        request.write(&mut out, head, route, peer, &routed.client, trace.as_ref());
        let framing = request.framing.clone();
        let timeouts = route.timeouts;
        Ok(Prepared { facts, out, framing, route: routed.route, upstream, timeouts, response_fields })
    }
}

/// What a request asks of the files of its route.
fn asked_of_files<'b>(request: &Request<'b>, route: &Route, facts: Facts) -> files::Asked<'b> {
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

/// What the access log is told.
fn told<'b>(
    request: &Request<'b>,
    route: &'b Route,
    routed: &Routed<'_>,
    facts: Facts,
    trace: &'b Trace,
) -> Told<'b> {
    Told {
        client: routed.client.ip,
        scheme: if facts.is_secure { "https" } else { "http" },
        method: request.method,
        host: request.host_value,
        path_and_query: request.target.path_and_query,
        is_http10: facts.is_http10,
        user_agent: request.values("user-agent").next(),
        referer: request.values("referer").next(),
        trace: trace.id(),
        route: &route.path,
    }
}

/// Counts the request by the limits of its route, once; the error is what a client over one needs to know.
fn count(
    request: &Request<'_>,
    route: &Route,
    routed: &Routed<'_>,
    admission: &mut Admission,
) -> Result<(), Vec<u8>> {
    if route.limits.is_empty() || admission.counted.is_some() {
        return Ok(());
    }
    let keys = request.limit_keys(route, routed.client.ip);
    let passed = limit::count(&route.limits, &keys, clock::precise());
    admission.counted = Some(passed.map_err(|exceeded| limited(route, &exceeded))?);
    Ok(())
}

/// What a client that asks for too much needs to know to come back in time.
fn limited(route: &Route, exceeded: &Exceeded) -> Vec<u8> {
    let mut fields = Vec::new();
    if let Some(limit) = route.limits.get(exceeded.limit) {
        limit.write_fields(exceeded, &mut fields);
    }
    fields
}

/// The same request with TLS. What only reads is moved by 301, as clients and search engines have always known it; for
/// all others 308 says that method and body stay (RFC 9110, 15.4.9).
fn sent_to_https(port: u16, request: &Request<'_>, facts: Facts) -> Refused {
    let status = if matches!(request.method, "GET" | "HEAD") { 301 } else { 308 };
    let mut fields = b"Location: https://".to_vec();
    fields.extend_from_slice(request.host.as_bytes());
    if port != 443 {
        fields.push(b':');
        super::field::write_number(&mut fields, port.into());
    }
    fields.extend_from_slice(request.target.path_and_query);
    fields.extend_from_slice(b"\r\n");
    Refused { fields, ..Refused::plain(Refusal::new(status, "sent to https"), facts) }
}

/// The coding for the client, where the route compresses.
fn coding_for(rules: &ResponseRules, request: &Request<'_>) -> Option<ContentCoding> {
    let compression = rules.compression.as_ref()?;
    compression.coding_for(request.values("accept-encoding").next()?)
}

/// Answers a preflight, and has other responses say who may read them.
fn allow_origins(
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
fn location(redirect: &Redirect, request: &Request<'_>, peer: &Peer, routed: &Routed<'_>) -> Vec<u8> {
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

fn explain(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::new(431, "too many header fields"),
        httparse::Error::Version if names_other_version(head) => Refusal::new(505, "not HTTP/1.x"),
        _ => Refusal::new(400, "malformed request line or header"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Scheme;
    use crate::h1::head::Scanner;
    use crate::table::Registry;
    use mainstay_model::table::{RouteTable, TableRoute, Upstream};
    use mainstay_model::{HostPattern, RoutePolicy};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn table() -> Table {
        let route = TableRoute {
            host: HostPattern::Any,
            path: "/".into(),
            upstream: Some("u".into()),
            site: String::new(),
            https: None,
            policy: RoutePolicy::default(),
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
            let Ok(prepared) = prepare(head, &table(), &peer, &mut Admission::default()) else { return Ok(()) };
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
