//! From a client's request head to the head its upstream gets, or to the answer it gets from us.
//!
//! Knows nothing about sockets and instances, and leaves what becomes of it to [`super::decide`].

use super::body::Framing;
use super::decide::Asking;
use super::forwarded::Peer;
use super::head::MOST_FIELDS;
use super::reading::Request;
pub(crate) use super::refused::{Refusal, Refused};
use crate::access::{Denied, Expected, Granted, Question};
use crate::access_log::Draft;
use crate::buffer::Out;
use crate::clock::Millis;
use crate::error_page::Format;
use crate::limit;
use crate::route::Timeouts;
use crate::sticky::{Stay, Token};
use crate::table::Table;
use mainstay_model::ContentCoding;
use std::mem::MaybeUninit;
use std::net::IpAddr;

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
    /// The client understands what comes behind a body (RFC 9110, 10.1.4).
    pub(crate) takes_trailers: bool,
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
    /// Who asks.
    pub(crate) client: IpAddr,
    /// Index into the table's routes.
    pub(crate) route: usize,
    /// Index into the table's upstreams.
    pub(crate) upstream: usize,
    pub(crate) timeouts: Timeouts,
    /// Lines that the response's head has because of this request.
    pub(crate) response_fields: Vec<u8>,
    /// By what its instance is chosen, where its route chooses by that.
    pub(crate) lot: Option<u64>,
    /// Instances that it should stay with, as it says; not verified.
    pub(crate) tokens: Vec<Token>,
    /// The one that it stays with.
    pub(crate) stays: Option<Stay>,
    /// What its body must be signed with.
    pub(crate) signature: Option<Box<Expected>>,
}

/// Why a request is not ready to be sent.
#[derive(Debug)]
pub(crate) enum Stopped {
    Refused(Box<Refused>),
    /// Something has to be found out first; then it is prepared again.
    Asking(Box<Question>),
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

/// What a request has passed already, when it is prepared again because a newer table came.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// It was counted by its limits; then nothing counts it again.
    pub(super) counted: Option<limit::Passed>,
    /// Its route's rules let it through.
    pub(crate) granted: Option<Box<Granted>>,
    /// They do not; said when it is prepared again, where what belongs to such an answer is known.
    pub(crate) denied: Option<Box<Denied>>,
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
) -> Result<Prepared, Stopped> {
    let early = |refusal| Refused::plain(refusal, Facts::default());
    let clients = &table.clients;
    if head.len() > clients.head_size {
        return Err(early(Refusal::new(431, "the head is larger than the file allows")).into());
    }
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut storage) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err(early(Refusal::new(400, "the head does not end where its lines do")).into()),
        Err(error) => return Err(early(explain(error, head)).into()),
    }
    let (Some(method), Some(path), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(early(Refusal::new(400, "incomplete request line")).into());
    };
    if parsed.headers.len() > clients.head_fields {
        return Err(early(Refusal::new(431, "more header fields than the file allows")).into());
    }
    let mut facts = Facts { is_http10: version == 0, is_head: method == "HEAD", ..Facts::default() };
    facts.idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE");
    let request = Request::read(method, path.as_bytes(), parsed.headers, &mut facts)
        .map_err(|refusal| Refused::plain(refusal, facts))?;
    Asking { request: &request, head, facts, table, peer }.decide(admission)
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
    use proptest::prelude::*;

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
            let Ok(prepared) = prepare(head, &Table::for_anything(), &peer, &mut Admission::default()) else { return Ok(()) };
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
