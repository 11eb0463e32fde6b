//! One line of an access log.
//!
//! Values come from the network: whatever they hold, a line stays one line and one JSON object. Knows nothing about files.

use super::AccessLog;
use crate::buffer::Out;
use crate::clock;
use crate::h1::field::write_number;
use crate::tally::Tally;
use crate::target::TargetState;
use mainstay_model::LogFormat;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// What a request says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'b> {
    /// Its address.
    pub(crate) client: &'b str,
    pub(crate) scheme: &'static str,
    pub(crate) method: &'b str,
    pub(crate) host: &'b [u8],
    pub(crate) path_and_query: &'b [u8],
    pub(crate) protocol: &'static str,
    pub(crate) user_agent: Option<&'b [u8]>,
    pub(crate) referer: Option<&'b [u8]>,
    pub(crate) trace: &'b [u8],
    /// Path of the route.
    pub(crate) route: &'b [u8],
    /// The version of TLS, where there is any.
    pub(crate) tls: Option<&'static str>,
}

/// A line that waits for its answer.
#[derive(Debug)]
pub(crate) struct Draft {
    log: Arc<AccessLog>,
    /// What is known before the answer.
    front: Out,
    /// What `combined` has behind the answer's numbers.
    back: Vec<u8>,
}

impl Draft {
    pub(crate) fn begin(log: &Arc<AccessLog>, told: &Told<'_>) -> Box<Self> {
        let mut draft = Self { log: log.clone(), front: Out::take(), back: Vec::new() };
        match log.format {
            LogFormat::Json => draft.begin_json(told),
            LogFormat::Combined => draft.begin_combined(told),
        }
        Box::new(draft)
    }

    fn begin_json(&mut self, told: &Told<'_>) {
        let Self { log, front: out, .. } = self;
        out.extend_from_slice(b"\"client\":\"");
        out.extend_from_slice(told.client.as_bytes());
        out.push(b'"');
        json_text(out, "scheme", told.scheme.as_bytes());
        json_text(out, "method", told.method.as_bytes());
        json_text(out, "host", told.host);
        out.extend_from_slice(b",\"uri\":\"");
        uri(log, told.path_and_query, |bytes| escape_json(out, bytes));
        out.push(b'"');
        json_text(out, "protocol", told.protocol.as_bytes());
        json_text(out, "route", told.route);
        for (name, value) in [("user_agent", told.user_agent), ("referer", told.referer)] {
            if let Some(value) = value {
                json_text(out, name, value);
            }
        }
        json_text(out, "trace", told.trace);
        if let Some(version) = told.tls {
            json_text(out, "tls", version.as_bytes());
        }
    }

    fn begin_combined(&mut self, told: &Told<'_>) {
        let Self { log, front: out, back } = self;
        // Writing to a vector does not fail.
        let _ = write!(out, "{} - - [{}] \"{} ", told.client, apache_time(), told.method);
        uri(log, told.path_and_query, |bytes| escape_combined(out, bytes));
        out.push(b' ');
        out.extend_from_slice(told.protocol.as_bytes());
        out.push(b'"');
        for value in [told.referer, told.user_agent] {
            back.extend_from_slice(b" \"");
            escape_combined(back, value.unwrap_or(b"-"));
            back.push(b'"');
        }
    }

    pub(crate) fn log(&self) -> &Arc<AccessLog> {
        &self.log
    }

    /// Appends the line to `out`, when it is among those that are written. `target` answered, if one did.
    pub(crate) fn finish(
        self,
        tally: &Tally,
        service: &str,
        target: Option<&TargetState>,
        out: &mut Vec<u8>,
    ) {
        let status = tally.status.get();
        if !self.log.is_chosen(status) {
            return;
        }
        if self.log.format == LogFormat::Combined {
            out.extend_from_slice(&self.front);
            let _ = write!(out, " {status} {}", tally.sent.get());
            out.extend_from_slice(&self.back);
            out.push(b'\n');
            return;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        out.extend_from_slice(b"{\"time\":");
        write_number(out, now.as_secs());
        let millis = now.subsec_millis();
        let digit = |of: u32| b'0' + u8::try_from(millis / of % 10).unwrap_or(0);
        out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b',']);
        out.extend_from_slice(&self.front);
        json_number(out, "status", u64::from(status));
        json_number(out, "bytes", tally.sent.get());
        let instance = target.map_or("", |target| &target.instance);
        for (name, text) in [("service", service), ("instance", instance)] {
            if !text.is_empty() {
                json_text(out, name, text.as_bytes());
            }
        }
        if let Some(release) = target.and_then(|target| target.release) {
            json_number(out, "release", u64::from(release));
        }
        if let Some(fault) = tally.fault.get() {
            json_text(out, "fault", fault.name().as_bytes());
        }
        let took = clock::precise().saturating_sub(tally.began.get());
        json_number(out, "total_ms", took);
        let moments = [
            ("queue_ms", &tally.admitted),
            ("connected_ms", &tally.connected),
            ("first_byte_ms", &tally.answered),
        ];
        for (name, moment) in moments {
            if let Some(millis) = tally.until(moment) {
                json_number(out, name, millis);
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Passes a target on in pieces, with the values of redacted parameters left out.
fn uri(log: &AccessLog, target: &[u8], mut put: impl FnMut(&[u8])) {
    let query = target.iter().position(|b| *b == b'?').filter(|_| !log.redact.is_empty());
    let Some(query) = query else { return put(target) };
    put(&target[..=query]);
    for (index, pair) in target[query + 1..].split(|b| *b == b'&').enumerate() {
        if index > 0 {
            put(b"&");
        }
        let equals = pair.iter().position(|b| *b == b'=');
        match equals {
            Some(equals) if log.redacts(&pair[..equals]) => {
                put(&pair[..=equals]);
                put(b"...");
            }
            _ => put(pair),
        }
    }
}

fn json_text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    escape_json(out, value);
    out.push(b'"');
}

fn json_number(out: &mut Vec<u8>, name: &str, number: u64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_number(out, number);
}

/// Whatever is not text becomes U+FFFD.
fn escape_json(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
        return out.extend_from_slice(value);
    }
    for c in String::from_utf8_lossy(value).chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            // DEL and C1 too: a terminal that shows the log obeys them.
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// As nginx escapes: `\xHH` for quotes, backslashes and what is not printable.
fn escape_combined(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            _ => out.push(*byte),
        }
    }
}

/// `25/Nov/2026:17:00:00 +0000`, made from the date of HTTP, `Wed, 25 Nov 2026 17:00:00 GMT`.
fn apache_time() -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut words = date.split(' ').skip(1);
    let mut next = || words.next().unwrap_or_default();
    let (day, month, year, time) = (next(), next(), next(), next());
    format!("{day}/{month}/{year}:{time} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Address;
    use mainstay_model::AccessLog as Settings;

    fn line(format: LogFormat, change: impl FnOnce(&mut Told<'_>)) -> String {
        let settings = Settings { format, one_in: 1, redact: vec!["Token".into(), "sig".into()] };
        let log = Arc::new(AccessLog::new("s", &settings));
        let mut told = Told {
            client: "192.0.2.7",
            scheme: "https",
            method: "GET",
            host: b"a.example",
            path_and_query: b"/x?a=1&token=secret&b&SIG=z=z&sig",
            protocol: "HTTP/1.1",
            user_agent: Some(b"agent"),
            referer: None,
            trace: b"0af7",
            route: b"/",
            tls: Some("1.3"),
        };
        change(&mut told);
        let tally = Tally::default();
        tally.begin();
        tally.status.set(200);
        tally.sent.set(5);
        tally.admitted.set(tally.began.get() + 1);
        let mut out = Vec::new();
        let target = TargetState::new("s/api.1.1", Address::Ip(([127, 0, 0, 1], 1).into()));
        Draft::begin(&log, &told).finish(&tally, "s/api:80", Some(&target), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_whatever_the_client_says() {
        let text = line(LogFormat::Json, |told| {
            told.user_agent = Some(b"a\"b\\c\x1b[31m\xff\xc2\x85");
            told.host = b"a\"";
        });
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["user_agent"], "a\"b\\c\u{1b}[31m\u{fffd}\u{85}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{85}'), "{text:?}");
        assert_eq!(value["tls"], "1.3");
        assert_eq!(value["uri"], "/x?a=1&token=...&b&SIG=...&sig");
        assert_eq!(
            (&value["status"], &value["bytes"], &value["queue_ms"]),
            (&200.into(), &5.into(), &1.into())
        );
        assert_eq!((&value["service"], &value["instance"]), (&"s/api:80".into(), &"s/api.1.1".into()));
        assert!(value.get("first_byte_ms").is_none() && value.get("referer").is_none());
    }

    #[test]
    fn a_combined_line_is_nginxs() {
        let text = line(LogFormat::Combined, |told| told.user_agent = Some(b"a\"b\n"));
        let (front, back) = text.split_once('[').unwrap();
        assert_eq!(front, "192.0.2.7 - - ");
        let (_, back) = back.split_once("] ").unwrap();
        assert_eq!(back, "\"GET /x?a=1&token=...&b&SIG=...&sig HTTP/1.1\" 200 5 \"-\" \"a\\x22b\\x0A\"\n");
    }

    #[test]
    fn some_are_chosen_and_failures_always() {
        let settings = Settings { format: LogFormat::Json, one_in: 10, redact: vec![] };
        let log = AccessLog::new("s", &settings);
        assert_eq!((0..100).filter(|_| log.is_chosen(200)).count(), 10);
        assert!((0..20).all(|_| log.is_chosen(503)));
    }
}
