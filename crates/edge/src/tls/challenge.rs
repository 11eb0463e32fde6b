//! What the edge says when an authority asks whether a host is ours (RFC 8555, 8.3; RFC 8737).
//!
//! Knows nothing about orders and authorities.

use super::certificates::Certificate;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where authorities ask by HTTP.
const PREFIX: &[u8] = b"/.well-known/acme-challenge/";

/// Questions that are expected now.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    /// How many, so that requests look here only when there is something to see.
    count: AtomicUsize,
    expected: Mutex<Expected>,
}

#[derive(Debug, Default)]
struct Expected {
    /// By token.
    http: HashMap<String, String>,
    /// By host name.
    tls: HashMap<String, Arc<CertifiedKey>>,
}

/// An answer that is given until this is dropped.
#[derive(Debug)]
pub(crate) struct Answering {
    challenges: Arc<Challenges>,
    what: What,
}

#[derive(Debug)]
enum What {
    Token(String),
    Host(String),
}

impl Challenges {
    /// Whether there is anything to look for in requests.
    pub(crate) fn are_expected(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// The answer to a request for `path`, if it is one of an authority that we wait for.
    pub(crate) fn answer(&self, path: &[u8]) -> Option<String> {
        let token = std::str::from_utf8(path.strip_prefix(PREFIX)?).ok()?;
        self.lock().http.get(token).cloned()
    }

    /// The certificate that proves `host`.
    pub(super) fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.lock().tls.get(host).cloned()
    }

    /// Says `text` to whoever asks for `token`.
    pub(crate) fn expect_token(self: &Arc<Self>, token: &str, text: &str) -> Answering {
        self.lock().http.insert(token.to_owned(), text.to_owned());
        self.begin(What::Token(token.to_owned()))
    }

    /// Shows `certificate` to whoever asks for `host` by TLS-ALPN.
    pub(crate) fn expect_host(self: &Arc<Self>, host: &str, certificate: &Certificate) -> Answering {
        self.lock().tls.insert(host.to_owned(), certificate.certified().clone());
        self.begin(What::Host(host.to_owned()))
    }

    fn begin(self: &Arc<Self>, what: What) -> Answering {
        self.count.fetch_add(1, Ordering::Relaxed);
        Answering { challenges: self.clone(), what }
    }

    fn lock(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut expected = self.challenges.lock();
        match &self.what {
            What::Token(token) => drop(expected.http.remove(token)),
            What::Host(host) => drop(expected.tls.remove(host)),
        }
        self.challenges.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_only_while_it_is_expected() {
        let challenges = Arc::new(Challenges::default());
        let path = b"/.well-known/acme-challenge/abc";
        assert_eq!(challenges.answer(path), None);
        let answering = challenges.expect_token("abc", "abc.key");
        assert_eq!(challenges.answer(path).as_deref(), Some("abc.key"));
        assert_eq!(challenges.answer(b"/.well-known/acme-challenge/ab"), None);
        assert_eq!(challenges.answer(b"/abc"), None);
        drop(answering);
        assert_eq!(challenges.answer(path), None);
    }
}
