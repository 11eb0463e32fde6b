//! The answers the edge gives itself: a small page or JSON, by `Accept`.
//!
//! They say what happened to the request and nothing about the inside. Knows nothing about connections.

use crate::h1::field::write_number;

/// What a client would rather read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    #[default]
    Html,
    Json,
}

impl Format {
    /// JSON for those who name it and do not name HTML before; a page for everybody else.
    pub(crate) fn of(accept: &[u8]) -> Self {
        let position = |word: &[u8]| accept.windows(word.len()).position(|w| w.eq_ignore_ascii_case(word));
        match (position(b"json"), position(b"text/html")) {
            (Some(json), html) if html.is_none_or(|html| json < html) => Self::Json,
            _ => Self::Html,
        }
    }
}

/// An answer of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) format: Format,
    /// The body is left out, as for HEAD.
    pub(crate) without_body: bool,
    pub(crate) close: bool,
    /// The client speaks HTTP/1.0 and asked to keep the connection.
    pub(crate) say_keep_alive: bool,
}

/// When to ask again after a 503: long enough for an instance to start, short enough to go unnoticed.
const RETRY_AFTER_SECONDS: u64 = 2;

/// Appends the whole response. `date` appends the date; `fields` are lines of the head besides the usual ones.
pub(crate) fn write(out: &mut Vec<u8>, answer: Answer, fields: &[u8], date: impl FnOnce(&mut Vec<u8>)) {
    let Answer { status, format, without_body, close, say_keep_alive } = answer;
    let (reason, sentence) = words(status);
    let (kind, body) = match format {
        Format::Html => ("text/html; charset=utf-8", html(status, reason, sentence)),
        Format::Json => ("application/json", json(status, reason, sentence)),
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\nDate: ");
    date(out);
    out.extend_from_slice(b"\r\n");
    let without_body = without_body || status == 204;
    if status != 204 {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\r\nCache-Control: no-store\r\nContent-Length: ");
        write_number(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(fields);
    match status {
        503 if memchr::memmem::find(fields, b"Retry-After: ").is_none() => write_retry_after(out),
        // RFC 9110, 15.5.6: a 405 says what is allowed.
        405 => out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"),
        _ => {}
    }
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if say_keep_alive {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if !without_body {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Appends when to ask again, unless that is said already.
pub(crate) fn write_retry_after(out: &mut Vec<u8>) {
    if memchr::memmem::find(out, b"Retry-After: ").is_none() {
        out.extend_from_slice(b"Retry-After: ");
        write_number(out, RETRY_AFTER_SECONDS);
        out.extend_from_slice(b"\r\n");
    }
}

/// The reason phrase for a status.
pub(crate) fn reason(status: u16) -> &'static str {
    words(status).0
}

fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        200 => ("OK", ""),
        204 => ("No Content", ""),
        206 => ("Partial Content", ""),
        301 => ("Moved Permanently", "This page is at another address."),
        302 => ("Found", "This page is at another address."),
        303 => ("See Other", "This page is at another address."),
        304 => ("Not Modified", ""),
        307 => ("Temporary Redirect", "This page is at another address."),
        308 => ("Permanent Redirect", "This page is at another address."),
        400 => ("Bad Request", "The request is not valid HTTP."),
        401 => ("Unauthorized", "This page asks for credentials."),
        403 => ("Forbidden", "This page is not for you."),
        404 => ("Not Found", "Nothing is served at this address."),
        405 => ("Method Not Allowed", "This method is not served here."),
        408 => ("Request Timeout", "The request took too long to arrive."),
        412 => ("Precondition Failed", "What is here is not what was asked to be changed."),
        413 => ("Content Too Large", "The request is too large."),
        414 => ("URI Too Long", "The address is too long."),
        416 => ("Range Not Satisfiable", "There is nothing in the part that was asked for."),
        417 => ("Expectation Failed", "The request expects something this server does not do."),
        421 => ("Misdirected Request", "This server does not serve the requested host."),
        429 => ("Too Many Requests", "You have sent too many requests. Please try again shortly."),
        431 => ("Request Header Fields Too Large", "The request's headers are too large."),
        501 => ("Not Implemented", "The request uses a transfer coding this server does not know."),
        502 => ("Bad Gateway", "The service behind this server did not answer properly."),
        503 => {
            ("Service Unavailable", "The service is not available at the moment. Please try again shortly.")
        }
        504 => ("Gateway Timeout", "The service behind this server took too long to answer."),
        505 => ("HTTP Version Not Supported", "This server speaks HTTP/1.1."),
        _ => ("Error", "The request could not be served."),
    }
}

fn html(status: u16, reason: &str, sentence: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{status} {reason}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem;\
         color:#222;background:#fff}}h1{{font-size:1.25rem}}@media(prefers-color-scheme:dark){{\
         body{{color:#ddd;background:#181818}}}}</style></head>\
         <body><h1>{status} {reason}</h1><p>{sentence}</p></body></html>\n"
    )
}

fn json(status: u16, reason: &str, sentence: &str) -> String {
    format!("{{\"status\":{status},\"error\":\"{reason}\",\"message\":\"{sentence}\"}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_decides() {
        assert_eq!(Format::of(b"application/json, text/plain, */*"), Format::Json);
        assert_eq!(Format::of(b"application/problem+json"), Format::Json);
        assert_eq!(Format::of(b"text/html,application/json;q=0.9"), Format::Html);
        assert_eq!(Format::of(b"*/*"), Format::Html);
    }

    #[test]
    fn a_head_answer_has_the_length_of_its_body_but_no_body() {
        let mut out = Vec::new();
        let answer = Answer {
            status: 503,
            format: Format::Json,
            without_body: true,
            close: true,
            say_keep_alive: false,
        };
        write(&mut out, answer, b"", |out| out.extend_from_slice(b"today"));
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("Retry-After: 2\r\nConnection: close\r\n\r\n"), "{text}");
        let length = json(503, "Service Unavailable", words(503).1).len();
        assert!(text.contains(&format!("Content-Length: {length}\r\n")));
    }
}
