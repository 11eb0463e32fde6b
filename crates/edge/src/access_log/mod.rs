//! Writing down what was asked and answered, away from the path of requests.
//!
//! A line begins when its request is understood, in a buffer of the thread's own, and is finished with its answer.
//! Threads hand over what they have once a second or when it is much; one thread writes. When the disk is slower than
//! the requests, lines are dropped and counted: an edge that waited would be worse. Knows nothing about connections.

mod line;
mod writer;

pub(crate) use line::{Draft, Told};
pub(crate) use writer::{Batch, Writer};

use mainstay_model::LogFormat;
use std::sync::atomic::{AtomicU32, Ordering};

/// The access log of a stack.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// Of the file.
    name: Box<str>,
    format: LogFormat,
    one_in: u32,
    turn: AtomicU32,
    redact: Box<[Box<str>]>,
}

impl AccessLog {
    pub(crate) fn new(stack: &str, settings: &mainstay_model::AccessLog) -> Self {
        let mainstay_model::AccessLog { format, one_in, redact } = settings;
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        let name: String = stack.chars().map(plain).collect();
        Self {
            name: name.into(),
            format: *format,
            one_in: (*one_in).max(1),
            turn: AtomicU32::new(0),
            redact: redact.iter().map(|name| name.to_ascii_lowercase().into()).collect(),
        }
    }

    /// Whether this request is among those that are written.
    fn is_chosen(&self, status: u16) -> bool {
        self.one_in == 1
            || status >= 500
            || self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_in)
    }

    fn redacts(&self, name: &[u8]) -> bool {
        self.redact.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }
}
