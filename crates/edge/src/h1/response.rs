//! From an upstream's response head to the head the client gets.
//!
//! As strict as the request side: what an upstream says badly is not passed on, and its connection is not used
//! again. Knows nothing about sockets.

use super::body::Framing;
use super::chunked::Decoder;
use super::field::{self, Connection, Field};
use super::head::MOST_FIELDS;
use super::lines::copy_fields;
use super::request::Facts;
use crate::compress::{self, Judged};
use crate::headers::{self, ResponseRules};
use crate::sink::Coding;
use httparse::Header;
use mainstay_model::ContentCoding;
use std::mem::MaybeUninit;

/// What is wrong with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadResponse(pub(crate) &'static str);

/// A response head, understood.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) coding: Coding,
    /// The client's connection can be used again.
    pub(crate) keep_alive: bool,
    /// The upstream's connection can be used again, once the body has been read.
    pub(crate) upstream_keeps: bool,
    /// The protocol changes now.
    pub(crate) upgraded: bool,
    /// The body is compressed on its way.
    pub(crate) encoding: Option<ContentCoding>,
}

/// What is done to a response: the rules of its route, and lines of its request's own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape<'r> {
    pub(crate) rules: Option<&'r ResponseRules>,
    pub(crate) fields: &'r [u8],
}

/// What a head turned out to be.
#[derive(Debug)]
pub(crate) enum Received {
    /// An interim response (RFC 9110, 15.2). None of them is passed on: 100 was answered by us, and 103 is but
    /// a hint.
    Interim,
    Final(Ready),
}

/// Reads a complete head and writes the client's to `out`. With `close`, the client is told that its
/// connection ends. `date` appends the date, for upstreams that do not send one.
pub(crate) fn prepare(
    head: &[u8],
    facts: &Facts,
    close: bool,
    shape: Shape<'_>,
    out: &mut Vec<u8>,
    date: impl FnOnce(&mut Vec<u8>),
) -> Result<Received, BadResponse> {
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let parsing =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, &mut storage);
    if !matches!(parsing, Ok(httparse::Status::Complete(len)) if len == head.len()) {
        return Err(BadResponse("malformed status line or header"));
    }
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
        return Err(BadResponse("incomplete status line"));
    };
    if !(100..600).contains(&status) {
        return Err(BadResponse("a status outside 100 to 599"));
    }
    let response = Response::read(status, version == 0, parsed.headers)?;
    if status == 101
        && (facts.upgrade.is_none() || !response.connection.upgrade || response.upgrade.is_none())
    {
        return Err(BadResponse("a change of protocol nobody asked for"));
    }
    if status < 200 && status != 101 {
        return Ok(Received::Interim);
    }
    let judgement = shape.rules.map_or(Judgement::default(), |rules| response.judge(rules, facts));
    // The answer to HEAD says what GET would get, and has no body to compress.
    let ready = response.ready(facts, close, judgement.encoding.filter(|_| !facts.is_head));
    response.write_start(out, parsed.reason.unwrap_or(""));
    match shape.rules {
        None => response.write_fields(out, head, |_| true),
        Some(rules) => response.write_shaped(out, head, rules, facts, judgement),
    }
    out.extend_from_slice(shape.fields);
    let length = response.length.filter(|_| judgement.encoding.is_none());
    response.write_end(out, facts, &ready, length, date);
    Ok(Received::Final(ready))
}

/// What compression has to do with a response.
#[derive(Debug, Clone, Copy, Default)]
struct Judgement {
    encoding: Option<ContentCoding>,
    varies: bool,
}

struct Response<'b> {
    status: u16,
    is_http10: bool,
    length: Option<u64>,
    chunked: bool,
    has_date: bool,
    upgrade: Option<&'b [u8]>,
    connection: Connection<'b>,
    fields: &'b [Header<'b>],
    kinds: [Field; MOST_FIELDS],
}

impl<'b> Response<'b> {
    fn read(status: u16, is_http10: bool, fields: &'b [Header<'b>]) -> Result<Self, BadResponse> {
        let mut response = Self {
            status,
            is_http10,
            length: None,
            chunked: false,
            has_date: false,
            upgrade: None,
            connection: Connection::default(),
            fields,
            kinds: [Field::Other; MOST_FIELDS],
        };
        for (index, header) in fields.iter().enumerate() {
            let kind = field::classify(header.name);
            response.kinds[index] = kind;
            response.take(kind, header.value)?;
        }
        if response.chunked && response.length.is_some() {
            return Err(BadResponse("both Content-Length and Transfer-Encoding"));
        }
        if response.chunked && is_http10 {
            return Err(BadResponse("Transfer-Encoding in HTTP/1.0"));
        }
        Ok(response)
    }

    fn take(&mut self, kind: Field, value: &'b [u8]) -> Result<(), BadResponse> {
        match kind {
            Field::ContentLength if self.length.is_some() => {
                Err(BadResponse("several Content-Length fields"))
            }
            Field::ContentLength => {
                let length =
                    field::content_length(value).ok_or(BadResponse("Content-Length is not a number"))?;
                self.length = Some(length);
                Ok(())
            }
            Field::TransferEncoding if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                Err(BadResponse("a transfer coding nobody asked for"))
            }
            Field::TransferEncoding => {
                self.chunked = true;
                Ok(())
            }
            Field::Connection => {
                self.connection.add(value).map_err(|_| BadResponse("Connection names too many fields"))
            }
            Field::Upgrade => {
                self.upgrade = Some(value);
                Ok(())
            }
            Field::Date => {
                self.has_date = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How the body ends (RFC 9112, 6.3) and what that means for both connections.
    fn ready(&self, facts: &Facts, close: bool, encoding: Option<ContentCoding>) -> Ready {
        let upgraded = self.status == 101;
        let framing = if facts.is_head || upgraded || matches!(self.status, 204 | 304) {
            Framing::Length(0)
        } else if self.chunked {
            Framing::Chunked(Decoder::new())
        } else {
            self.length.map_or(Framing::UntilClose, Framing::Length)
        };
        let has_length = matches!(framing, Framing::Length(_)) && encoding.is_none();
        let coding = if has_length || facts.is_http10 { Coding::Plain } else { Coding::Chunked };
        let keep_alive = facts.keep_alive && !close && (has_length || !facts.is_http10);
        let upstream_keeps = !self.connection.close
            && (!self.is_http10 || self.connection.keep_alive)
            && !matches!(framing, Framing::UntilClose)
            && !upgraded;
        Ready { status: self.status, framing, coding, keep_alive, upstream_keeps, upgraded, encoding }
    }

    fn write_start(&self, out: &mut Vec<u8>, reason: &str) {
        out.extend_from_slice(b"HTTP/1.1 ");
        field::write_number(out, u64::from(self.status));
        out.push(b' ');
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the fields that belong to the message and that `keep` wants.
    fn write_fields(&self, out: &mut Vec<u8>, head: &[u8], keep: impl Fn(&str) -> bool) {
        let names_any = self.connection.named_count().is_some();
        copy_fields(out, head, self.fields, |index, name| {
            let passes = match self.kinds[index] {
                Field::Connection
                | Field::HopByHop
                | Field::TransferEncoding
                | Field::ContentLength
                | Field::Upgrade => false,
                Field::Host
                | Field::Expect
                | Field::Accept
                | Field::Date
                | Field::Identity
                | Field::Underscored
                | Field::Other => true,
            };
            passes && !(names_any && self.connection.names(name)) && keep(name)
        });
    }

    /// Appends the fields as the route's rules want them.
    fn write_shaped(
        &self,
        out: &mut Vec<u8>,
        head: &[u8],
        rules: &ResponseRules,
        facts: &Facts,
        judgement: Judgement,
    ) {
        let is = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
        let hardens = rules.harden_cookies && self.value_of("set-cookie").is_some();
        let encodes = judgement.encoding.is_some();
        self.write_fields(out, head, |name| {
            !(rules.drops(name)
                || (hardens && is(name, "set-cookie"))
                || (encodes && (is(name, "etag") || is(name, "accept-ranges"))))
        });
        if hardens {
            let cookies = self.fields.iter().filter(|field| is(field.name, "set-cookie"));
            cookies.for_each(|cookie| headers::harden(out, cookie.value, facts.is_secure));
        }
        if let Some(coding) = judgement.encoding {
            out.extend_from_slice(b"Content-Encoding: ");
            out.extend_from_slice(compress::name(coding).as_bytes());
            out.extend_from_slice(b"\r\n");
            if let Some(tag) = self.value_of("etag").filter(|_| !rules.drops("etag")) {
                // The bytes are others, the meaning is the same (RFC 9110, 8.8.1).
                out.extend_from_slice(if tag.starts_with(b"W/") { b"ETag: " } else { b"ETag: W/" });
                out.extend_from_slice(tag);
                out.extend_from_slice(b"\r\n");
            }
        }
        if judgement.varies {
            out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
        }
        rules.write(out, facts.is_secure, |name| self.value_of(name).is_some());
    }

    fn value_of(&self, name: &str) -> Option<&'b [u8]> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Whether the body is compressed, and whether it would be for another client.
    fn judge(&self, rules: &ResponseRules, facts: &Facts) -> Judgement {
        let Some(compression) = &rules.compression else { return Judgement::default() };
        let mut judged = Judged::default();
        let mut says_vary = false;
        for field in self.fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            let lists = |word: &[u8]| field::elements(field.value).any(|e| e.eq_ignore_ascii_case(word));
            match field.name.len() {
                4 if is("vary") => says_vary |= lists(b"accept-encoding") || lists(b"*"),
                12 if is("content-type") => judged.content_type = Some(field.value),
                13 if is("content-range") => judged.is_ranged = true,
                13 if is("cache-control") => judged.keeps_its_form |= lists(b"no-transform"),
                16 if is("content-encoding") => {
                    judged.is_encoded |= !field.value.eq_ignore_ascii_case(b"identity")
                }
                _ => {}
            }
        }
        let suits = compression.suits(self.status, self.length, &judged);
        let has_body = !facts.is_http10 && self.length != Some(0);
        Judgement { encoding: facts.coding.filter(|_| suits && has_body), varies: suits && !says_vary }
    }

    fn write_end(
        &self,
        out: &mut Vec<u8>,
        facts: &Facts,
        ready: &Ready,
        length: Option<u64>,
        date: impl FnOnce(&mut Vec<u8>),
    ) {
        if !self.has_date {
            out.extend_from_slice(b"Date: ");
            date(out);
            out.extend_from_slice(b"\r\n");
        }
        // RFC 9110, 8.6: none with 1xx and 204. With HEAD and 304 it tells the length there would be.
        if let (Some(length), false) = (length, matches!(self.status, 101 | 204)) {
            out.extend_from_slice(b"Content-Length: ");
            field::write_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        if ready.coding == Coding::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if let (true, Some(protocol)) = (ready.upgraded, self.upgrade) {
            out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
            out.extend_from_slice(protocol);
            out.extend_from_slice(b"\r\n");
        } else if !ready.keep_alive {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if facts.is_http10 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
