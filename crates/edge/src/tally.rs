//! What is noted about a request while it is answered, for metrics and the access log.
//!
//! Knows nothing about either.

use crate::clock::{self, Millis};
use std::cell::Cell;

/// Notes about one request. Cells, so that whoever holds a reference can add to it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) began: Cell<Millis>,
    /// When the request went on to an instance: until then it waited for a limit or for an instance.
    pub(crate) admitted: Cell<Millis>,
    /// When a connection to the instance was there.
    pub(crate) connected: Cell<Millis>,
    /// When the head of the answer was there.
    pub(crate) answered: Cell<Millis>,
    pub(crate) status: Cell<u16>,
    /// Bytes of the answer's body.
    pub(crate) sent: Cell<u64>,
    /// What went wrong with the instance, if something did.
    pub(crate) fault: Cell<Option<Fault>>,
}

/// Whose fault a failed request is, when not the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection to the instance.
    Connect,
    /// A connection, but no TLS on it.
    Tls,
    /// It took too long.
    Timeout,
    /// It broke off.
    Broken,
    /// What it said is not HTTP.
    Nonsense,
}

impl Fault {
    /// All there are.
    pub(crate) const ALL: [Self; 5] = [Self::Connect, Self::Tls, Self::Timeout, Self::Broken, Self::Nonsense];

    /// What it is called where people look.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Nonsense => "nonsense",
        }
    }
}

impl Tally {
    /// Forgets the request before and begins the next.
    pub(crate) fn begin(&self) {
        let now = clock::precise();
        self.began.set(now);
        for cell in [&self.admitted, &self.connected, &self.answered] {
            cell.set(0);
        }
        self.status.set(0);
        self.sent.set(0);
        self.fault.set(None);
    }

    /// Milliseconds from the beginning to `moment`; none when it never came.
    pub(crate) fn until(&self, moment: &Cell<Millis>) -> Option<Millis> {
        let at = moment.get();
        (at > 0).then(|| at.saturating_sub(self.began.get()))
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }
}
