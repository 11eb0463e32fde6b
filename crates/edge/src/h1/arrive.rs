//! Waiting for a request: until its head is there, or it is clear that none will come.
//!
//! Knows nothing about what heads say.

use super::Connection;
use super::head::{Bounds, HeadError, Scanner};
use super::request::Refusal;
use crate::buffer::Use;
use crate::client::Client;
use crate::clients::Clients;
use crate::transport::{self, TransportError};

/// Why no head was read.
pub(super) enum NoHead {
    /// The client has nothing more to say.
    End,
    Refused(Refusal),
}

impl<C: Client> Connection<'_, C> {
    /// Waits for the next head, as long as clients may take.
    pub(super) async fn read_head(&mut self) -> Result<Bounds, NoHead> {
        let Clients { head, idle, head_line, .. } = self.worker.table().clients;
        let mut scanner = Scanner::of_lines(head_line);
        let mut begun = false;
        self.deadline.arm(if self.is_new { head } else { idle });
        loop {
            if let Some(buf) = &self.input {
                match scanner.scan(buf.filled()) {
                    Ok(Some(bounds)) => return Ok(bounds),
                    Ok(None) => {}
                    Err(error) => return Err(NoHead::Refused(explain(error))),
                }
                if !begun && !scanner.is_at_start() {
                    begun = true;
                    self.deadline.arm(head);
                }
            }
            match transport::read(&mut self.stream, &mut self.input, Use::Head, &self.deadline).await {
                Ok(0) | Err(TransportError::Io(_)) => return Err(NoHead::End),
                Ok(_) => {}
                Err(TransportError::TimedOut) if !begun => return Err(NoHead::End),
                Err(TransportError::TimedOut) => {
                    return Err(NoHead::Refused(Refusal::new(408, "the head took too long")));
                }
                Err(TransportError::Full) => {
                    return Err(NoHead::Refused(Refusal::new(431, "the head is too large")));
                }
            }
        }
    }
}

pub(crate) fn explain(error: HeadError) -> Refusal {
    match error {
        HeadError::BareLineFeed => Refusal::new(400, "bare line feed"),
        HeadError::ControlInLine => Refusal::new(400, "control byte in a line"),
        HeadError::NoStart => Refusal::new(400, "only empty lines"),
        HeadError::LongStart => Refusal::new(414, "long request line"),
        HeadError::LongLine => Refusal::new(431, "long header line"),
    }
}
