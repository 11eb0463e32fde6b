//! What a route does to header fields, compiled into lines that are copied and names that are compared.
//!
//! Knows nothing about messages and how they are read.

mod cookie;
mod cors;
mod preset;

pub(crate) use cookie::harden;
pub(crate) use cors::Cors;

use crate::access::Access;
use crate::compress::Compression;
use mainstay_model::{Choice, HeaderRules, RequestHeaders, RoutePolicy};

/// What is done to responses. A route that does nothing has none of this.
#[derive(Debug)]
pub(crate) struct ResponseRules {
    /// Names, in lower case, of fields that the service's are taken off.
    dropped: Box<[Box<str>]>,
    /// Lines that every response gets.
    lines: Box<[u8]>,
    /// Fields that are there unless the service has them.
    defaults: Box<[DefaultField]>,
    pub(crate) harden_cookies: bool,
    pub(crate) compression: Option<Compression>,
    pub(crate) cors: Option<Cors>,
    /// What the service answers with 5xx is replaced by a page of the site.
    pub(crate) intercepts: bool,
}

#[derive(Debug)]
struct DefaultField {
    name: &'static str,
    line: &'static [u8],
    /// Means nothing without TLS, and must not be sent without (RFC 6797, 7.2).
    only_secure: bool,
}

impl ResponseRules {
    /// The rules of a route, with what holds for all of its site.
    pub(crate) fn new(policy: &RoutePolicy, site: &mainstay_model::Site) -> Option<Box<Self>> {
        let HeaderRules { preset, set, add, remove } = policy.headers.as_ref().unwrap_or(&site.headers);
        let cors = policy.cors.as_ref().map(Cors::new);
        let from_cors = cors.iter().flat_map(|_| cors::NAMES).map(|name| (*name).to_owned());
        let names = remove.iter().chain(set.keys()).map(|name| name.to_ascii_lowercase());
        let dropped: Box<[Box<str>]> = names.chain(from_cors).map(String::into_boxed_str).collect();
        let lines = lines(set.iter().chain(add));
        let unless_named =
            |field: &DefaultField| !dropped.iter().any(|name| name.eq_ignore_ascii_case(field.name));
        let defaults =
            preset.iter().flat_map(|preset| preset::fields(*preset)).filter(unless_named).collect();
        let compression = match &policy.compress {
            Some(Choice::Off) => None,
            Some(Choice::On(settings)) => Some(settings),
            None => site.compress.as_ref(),
        };
        let rules = Self {
            dropped,
            lines,
            defaults,
            harden_cookies: policy.harden_cookies,
            compression: compression.map(Compression::new),
            cors,
            intercepts: site.errors.intercept,
        };
        rules.does_anything().then(|| Box::new(rules))
    }

    fn does_anything(&self) -> bool {
        let Self { dropped, lines, defaults, harden_cookies, compression, cors, intercepts } = self;
        !dropped.is_empty()
            || !lines.is_empty()
            || !defaults.is_empty()
            || *harden_cookies
            || compression.is_some()
            || cors.is_some()
            || *intercepts
    }

    /// Whether the service's fields of this name are taken off.
    pub(crate) fn drops(&self, name: &str) -> bool {
        self.dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(name))
    }

    /// Takes the lines off that the service's would be taken off for.
    pub(crate) fn filter(&self, lines: &mut Vec<u8>) {
        if self.dropped.is_empty() {
            return;
        }
        let keeps = |line: &&[u8]| {
            let name = line.split(|b| *b == b':').next().unwrap_or_default();
            !std::str::from_utf8(name).is_ok_and(|name| self.drops(name))
        };
        *lines = lines.split_inclusive(|b| *b == b'\n').filter(keeps).collect::<Vec<_>>().concat();
    }

    /// Appends the lines that a response gets; `has` tells which fields the service sent.
    pub(crate) fn write(&self, out: &mut Vec<u8>, is_secure: bool, has: impl Fn(&str) -> bool) {
        for field in &self.defaults {
            if (is_secure || !field.only_secure) && !has(field.name) {
                out.extend_from_slice(field.line);
            }
        }
        out.extend_from_slice(&self.lines);
    }
}

/// What is done to requests.
#[derive(Debug)]
pub(crate) struct RequestRules {
    dropped: Box<[Box<str>]>,
    pub(crate) lines: Box<[u8]>,
}

impl RequestRules {
    /// The rules of a route, with what holds for all of its site.
    pub(crate) fn new(policy: &RoutePolicy, site: &mainstay_model::Site) -> Option<Box<Self>> {
        let RequestHeaders { set, remove } = &policy.request_headers;
        let access = policy.access_within(site).into_iter().flat_map(Access::own_fields);
        let names = remove.iter().chain(set.keys()).chain(access);
        let dropped: Box<[Box<str>]> = names.map(|name| name.to_ascii_lowercase().into()).collect();
        (!dropped.is_empty()).then(|| Box::new(Self { dropped, lines: lines(set) }))
    }

    /// Whether the client's fields of this name are taken off.
    pub(crate) fn drops(&self, name: &str) -> bool {
        self.dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(name))
    }
}

fn lines<'f>(fields: impl IntoIterator<Item = (&'f String, &'f String)>) -> Box<[u8]> {
    let mut out = Vec::new();
    for (name, value) in fields {
        write_line(&mut out, name, value.as_bytes());
    }
    out.into()
}

fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    // A table is not trusted to hold no line ends: a value with one would be two fields.
    if value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) || name.bytes().any(|b| b <= b' ' || b == b':') {
        return;
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_model::{Preset, Site};

    fn rules(headers: HeaderRules) -> ResponseRules {
        let policy = RoutePolicy { headers: Some(headers), ..RoutePolicy::default() };
        *ResponseRules::new(&policy, &Site::default()).unwrap()
    }

    fn written(rules: &ResponseRules, is_secure: bool, theirs: &[&str]) -> String {
        let mut out = Vec::new();
        rules.write(&mut out, is_secure, |name| theirs.contains(&name));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_preset_gives_way_to_what_is_said_elsewhere() {
        let compatible = rules(HeaderRules { preset: Some(Preset::Compatible), ..HeaderRules::default() });
        let plain = written(&compatible, false, &[]);
        assert!(
            plain.contains("X-Frame-Options: SAMEORIGIN\r\n") && !plain.contains("Strict-Transport"),
            "{plain}"
        );
        assert!(written(&compatible, true, &[]).contains("Strict-Transport-Security: max-age="));
        assert!(!written(&compatible, true, &["x-frame-options"]).contains("Frame"));
        let set = [("X-Frame-Options".to_owned(), "ALLOWALL".to_owned())].into();
        let own = rules(HeaderRules { preset: Some(Preset::Strict), set, ..HeaderRules::default() });
        let text = written(&own, false, &[]);
        assert_eq!(text.matches("X-Frame-Options").count(), 1, "{text}");
        assert!(own.drops("x-frame-OPTIONS") && !own.drops("Server"));
    }

    #[test]
    fn nothing_asked_for_costs_nothing_and_nothing_slips_in() {
        assert!(ResponseRules::new(&RoutePolicy::default(), &Site::default()).is_none());
        assert!(RequestRules::new(&RoutePolicy::default(), &Site::default()).is_none());
        let set = [("X-A".to_owned(), "1\r\nX-B: 2".to_owned()), ("X C".to_owned(), "3".to_owned())].into();
        let headers = rules(HeaderRules { set, ..HeaderRules::default() });
        assert_eq!(written(&headers, true, &[]), "");
    }
}
