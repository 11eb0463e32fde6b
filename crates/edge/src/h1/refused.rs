//! Requests that are answered without an instance.
//!
//! Knows nothing about how answers are sent.

use super::request::Facts;
use crate::error_page::{self, Format};
use crate::files::Content;
use crate::route::Route;

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

    /// Shows a page to those who read pages; programs get our own few words as JSON.
    pub(super) fn show(&mut self, page: &str) {
        if self.facts.format == Format::Html && self.content.is_none() {
            self.content = Some(Content::Bytes(page.as_bytes().to_vec()));
            self.fields
                .extend_from_slice(b"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n");
        }
    }

    /// Adds what every answer of `route` says, ours too, and what this one says because of its request.
    pub(crate) fn add_rules(&mut self, route: &Route, fields: &[u8]) {
        if let Some(page) = route.site.errors.page(self.refusal.status) {
            if self.refusal.status == 503 && self.content.is_none() {
                error_page::write_retry_after(&mut self.fields);
            }
            self.show(page);
        }
        if let Some(rules) = &route.response {
            rules.filter(&mut self.fields);
            rules.write(&mut self.fields, self.facts.is_secure, |_| false);
        }
        self.fields.extend_from_slice(fields);
    }
}
