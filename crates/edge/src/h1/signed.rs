//! Requests whose body must be signed: it is held until its signature was checked, and then passed on as it arrived.
//!
//! Knows nothing about how signatures are made.

use super::body::Framing;
use super::forward::CLIENT_WRITE_PATIENCE;
use super::request::{Admission, Facts, Prepared, Refusal, Refused};
use super::{Connection, Next};
use crate::buffer::Use;
use crate::client::Client;

use crate::sink::Sink;
use crate::table::Table;
use crate::transport::{self, TransportError};
use std::io::Write;

impl<C: Client> Connection<'_, C> {
    /// Reads the body of a request, which is sent whole once one of the secrets has signed it. Its head are the first
    /// `head_length` bytes of what is sent.
    pub(super) async fn check_signature(
        &mut self,
        prepared: &mut Prepared,
        table: &Table,
        head_length: usize,
    ) -> Result<(), Refusal> {
        let webhook = table.routes[prepared.route].access.as_ref().and_then(|access| access.webhook.as_ref());
        let (Some(webhook), Some(expected)) = (webhook, prepared.signature.take()) else {
            return Err(Refusal::new(401, "nothing to check a signature with"));
        };
        let too_large = Refusal::new(413, "more than is held to check its signature");
        let most = usize::try_from(webhook.max_body).unwrap_or(usize::MAX);
        if matches!(prepared.framing, Framing::Length(length) if length > webhook.max_body) {
            return Err(too_large);
        }
        if prepared.facts.expects_continue && self.input.is_none() {
            let (_, mut writer) = self.stream.split();
            let said = writer.say_continue(&self.deadline, CLIENT_WRITE_PATIENCE).await;
            said.map_err(|_| Refusal::new(408, "the client has gone"))?;
        }
        prepared.facts.expects_continue = false;
        let is_length = matches!(prepared.framing, Framing::Length(_));
        let mut body = prepared.out.split_off(head_length);
        while !prepared.framing.is_done() {
            let is_over = self.take_piece(prepared, &mut body).await?;
            if body.len() > most {
                return Err(too_large);
            }
            if is_over {
                prepared.framing = Framing::Length(0);
            }
        }
        if !webhook.is_signed(&expected, &body) {
            return Err(Refusal::new(401, "a wrong signature"));
        }
        if is_length {
            prepared.out.extend_from_slice(&body);
            return Ok(());
        }
        // Its head says that chunks follow: one does.
        if !body.is_empty() {
            // Writing to a vector does not fail.
            let _ = write!(prepared.out, "{:x}\r\n", body.len());
            prepared.out.extend_from_slice(&body);
            prepared.out.extend_from_slice(b"\r\n");
        }
        prepared.out.extend_from_slice(b"0\r\n\r\n");
        Ok(())
    }

    /// Appends what is there of the body, or waits for some; true at its end.
    async fn take_piece(&mut self, prepared: &mut Prepared, body: &mut Vec<u8>) -> Result<bool, Refusal> {
        if let Some(buf) = &mut self.input {
            let taken = prepared.framing.take(buf.filled_mut());
            let taken = taken.map_err(|_| Refusal::new(400, "a malformed body"))?;
            body.extend_from_slice(&buf.filled()[..taken.data]);
            buf.consume(taken.read);
            if buf.is_empty() {
                self.input = None;
            }
            if taken.done {
                return Ok(true);
            }
            if taken.read > 0 {
                return Ok(false);
            }
        }
        self.deadline.arm(prepared.timeouts.body);
        match transport::read(&mut self.stream, &mut self.input, Use::Body, &self.deadline).await {
            Ok(0) if matches!(prepared.framing, Framing::UntilClose) => Ok(true),
            Ok(0) | Err(TransportError::Io(_)) => Err(Refusal::new(400, "the client stopped in the middle")),
            Ok(_) => Ok(false),
            Err(TransportError::TimedOut) => Err(Refusal::new(408, "the body took too long")),
            Err(TransportError::Full) => Err(Refusal::new(413, "a chunk's head is too large")),
        }
    }

    /// Answers a request whose body is not what its signature says, or did not come.
    pub(super) async fn refuse_unsigned(
        &mut self,
        refusal: Refusal,
        prepared: &Prepared,
        table: &Table,
        mut admission: Admission,
    ) -> Next {
        self.deadline.follow(None);
        self.deadline.cap(crate::clock::NEVER);
        let facts =
            Facts { keep_alive: prepared.facts.keep_alive && prepared.framing.is_done(), ..prepared.facts };
        let mut refused = Refused::plain(refusal, facts);
        refused.add_rules(&table.routes[prepared.route], &prepared.response_fields);
        let next = self.refuse(refused, None).await;
        self.note(table, Some(prepared.route), &mut admission);
        next
    }
}
