//! Compressing response bodies, by nginx's rules: which client, which status, which type, which size.
//!
//! Different on purpose: more codings than gzip, `Vary` whenever the answer could have been another, and
//! `Cache-Control: no-transform` is obeyed (RFC 9111, 5.2.2.6). Knows nothing about connections.

mod accept;
mod encoder;

pub(crate) use encoder::{Encoder, Step};

use mainstay_model::ContentCoding;

/// The settings of a route.
#[derive(Debug)]
pub(crate) struct Compression {
    codings: Box<[ContentCoding]>,
    /// Lower case, without parameters; `*/*` for all.
    types: Box<[Box<str>]>,
    min_length: u64,
}

/// What of a response decides about compression.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Judged<'b> {
    pub(crate) content_type: Option<&'b [u8]>,
    pub(crate) is_encoded: bool,
    pub(crate) is_ranged: bool,
    pub(crate) keeps_its_form: bool,
}

impl Compression {
    pub(crate) fn new(settings: &mainstay_model::Compression) -> Self {
        let mainstay_model::Compression { codings, types, min_length } = settings;
        let lower = |name: &String| name.to_ascii_lowercase().into();
        let types = types.iter().map(lower).chain(["text/html".into()]).collect();
        Self { codings: codings.as_slice().into(), types, min_length: *min_length }
    }

    /// The coding for a client that sends this `Accept-Encoding`, if any.
    pub(crate) fn coding_for(&self, accept: &[u8]) -> Option<ContentCoding> {
        accept::best(accept, &self.codings)
    }

    /// Whether a response would be compressed for a client that takes it; `length` is that of the body, where known.
    pub(crate) fn suits(&self, status: u16, length: Option<u64>, judged: &Judged<'_>) -> bool {
        // nginx compresses these alone: others have no body worth it or one that a checksum may be about.
        matches!(status, 200 | 403 | 404)
            && !judged.is_encoded
            && !judged.is_ranged
            && !judged.keeps_its_form
            && length.is_none_or(|length| length >= self.min_length)
            && judged.content_type.is_some_and(|value| self.has_type(value))
    }

    fn has_type(&self, value: &[u8]) -> bool {
        let bare = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        self.types.iter().any(|known| &**known == "*/*" || known.as_bytes().eq_ignore_ascii_case(bare))
    }
}

/// The name of a coding in `Content-Encoding`.
pub(crate) fn name(coding: ContentCoding) -> &'static str {
    match coding {
        ContentCoding::Zstd => "zstd",
        ContentCoding::Brotli => "br",
        ContentCoding::Gzip => "gzip",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compression() -> Compression {
        Compression::new(&mainstay_model::Compression {
            codings: vec![ContentCoding::Zstd, ContentCoding::Gzip],
            types: vec!["application/json".into()],
            min_length: 100,
        })
    }

    #[test]
    fn status_type_size_and_form_decide() {
        let json = Judged { content_type: Some(b"Application/JSON; charset=utf-8"), ..Judged::default() };
        let suits = |status, length, judged: Judged<'_>| compression().suits(status, length, &judged);
        assert!(suits(200, None, json) && suits(404, Some(100), json));
        assert!(!suits(200, Some(99), json) && !suits(500, None, json) && !suits(206, None, json));
        assert!(!suits(200, None, Judged { is_encoded: true, ..json }));
        assert!(!suits(200, None, Judged { keeps_its_form: true, ..json }));
        assert!(!suits(200, None, Judged { content_type: Some(b"image/png"), ..json }));
        assert!(!suits(200, None, Judged { content_type: None, ..json }));
        assert!(suits(200, None, Judged { content_type: Some(b"text/html"), ..json }));
    }
}
