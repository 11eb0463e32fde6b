//! Which other origins' pages may read responses (the Fetch standard, 3.2).
//!
//! Browsers decide; what they are told is written here. Knows nothing about connections.

use super::write_line;

/// Fields of the service that are taken off where the edge decides.
pub(super) const NAMES: &[&str] = &[
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
];

#[derive(Debug)]
pub(crate) struct Cors {
    /// Empty for any.
    origins: Box<[Box<str>]>,
    /// For every response that may be read.
    lines: Box<[u8]>,
    /// For answers to preflights besides.
    preflight: Box<[u8]>,
}

impl Cors {
    pub(crate) fn new(settings: &mainstay_model::Cors) -> Self {
        let mainstay_model::Cors { origins, methods, headers, expose, credentials, max_age } = settings;
        let is_any = origins.iter().any(|origin| origin == "*");
        let (mut lines, mut preflight) = (Vec::new(), Vec::new());
        // With `*` it would not count (Fetch, 3.2.5), and naming whoever asks would open everything.
        if *credentials && !is_any {
            write_line(&mut lines, "Access-Control-Allow-Credentials", b"true");
        }
        if !expose.is_empty() {
            write_line(&mut lines, "Access-Control-Expose-Headers", expose.join(", ").as_bytes());
        }
        if !methods.is_empty() {
            write_line(&mut preflight, "Access-Control-Allow-Methods", methods.join(", ").as_bytes());
        }
        if !headers.is_empty() {
            write_line(&mut preflight, "Access-Control-Allow-Headers", headers.join(", ").as_bytes());
        }
        if let Some(age) = max_age {
            write_line(&mut preflight, "Access-Control-Max-Age", age.as_secs().to_string().as_bytes());
        }
        let origins =
            if is_any { Box::default() } else { origins.iter().map(|o| o.as_str().into()).collect() };
        Self { origins, lines: lines.into(), preflight: preflight.into() }
    }

    /// Appends what a response tells a page of `origin`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, origin: Option<&[u8]>) {
        if self.origins.is_empty() {
            out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
            out.extend_from_slice(&self.lines);
            return;
        }
        // The answer depends on who asks, also when it is no.
        out.extend_from_slice(b"Vary: Origin\r\n");
        let allowed = origin.filter(|origin| self.origins.iter().any(|known| known.as_bytes() == *origin));
        if let Some(origin) = allowed {
            write_line(out, "Access-Control-Allow-Origin", origin);
            out.extend_from_slice(&self.lines);
        }
    }

    /// Appends what the answer to a preflight says.
    pub(crate) fn write_preflight(&self, out: &mut Vec<u8>, origin: &[u8]) {
        self.write(out, Some(origin));
        if self.origins.is_empty() || self.origins.iter().any(|known| known.as_bytes() == origin) {
            out.extend_from_slice(&self.preflight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(settings: &mainstay_model::Cors, origin: &str) -> String {
        let mut out = Vec::new();
        Cors::new(settings).write_preflight(&mut out, origin.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_those_named_are_told() {
        let settings = mainstay_model::Cors {
            origins: vec!["https://a.example".into()],
            methods: vec!["PUT".into(), "DELETE".into()],
            credentials: true,
            max_age: Some(std::time::Duration::from_secs(600)),
            ..mainstay_model::Cors::default()
        };
        assert_eq!(
            told(&settings, "https://a.example"),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a.example\r\n\
             Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: PUT, DELETE\r\n\
             Access-Control-Max-Age: 600\r\n"
        );
        assert_eq!(told(&settings, "https://a.example.evil"), "Vary: Origin\r\n");
        let any = mainstay_model::Cors { origins: vec!["*".into()], ..mainstay_model::Cors::default() };
        assert_eq!(told(&any, "null"), "Access-Control-Allow-Origin: *\r\n");
    }
}
