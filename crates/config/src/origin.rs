//! Which services have what they say from another one, for findings about it.

use crate::diagnostic::{Diagnostic, Note, Span};
use crate::node::Node;

/// Services of the files that were read, and those that extend others.
#[derive(Debug, Default)]
pub struct Origins {
    /// Where each service begins.
    services: Vec<(String, Span)>,
    /// Where each says that it extends another.
    extending: Vec<(String, Span)>,
}

impl Origins {
    /// Remembers the services of a document.
    pub fn add(&mut self, document: &Node) {
        for (name, entry) in document.entries("services") {
            self.services.push((name.clone(), entry.key_span));
            let extends = entry.node.get("extends");
            self.extending.extend(extends.map(|extends| (name.clone(), extends.span)));
        }
    }

    /// Adds to findings about what a service has from another one where it says so.
    pub fn tell(&self, findings: &mut [Diagnostic]) {
        for finding in findings {
            let Some(span) = finding.span else { continue };
            let Some(rest) = finding.path.strip_prefix("services.") else { continue };
            let begun = |name: &str| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            let Some((name, extends)) = self.extending.iter().find(|(name, _)| begun(name)) else { continue };
            let before =
                self.services.iter().filter(|(_, key)| key.file == span.file && key.start <= span.start);
            let owner = before.max_by_key(|(_, key)| key.start);
            if owner.is_some_and(|(owner, _)| owner != name) {
                let message = format!("`{name}` has it from there, because it extends it");
                finding.notes.push(Note { message, span: Some(*extends) });
            }
        }
    }
}
