//! A request whose body is still arriving, sent while its response is already listened for.
//!
//! Knows nothing about how requests are read from clients.

use super::body::{BodyError, Framing, Pace, Passage};
use super::forward::{
    CLIENT_WRITE_PATIENCE, Delivered, Exchange, ForwardError, MOST_INTERIM, NOBODY, passage, read_head,
    receive_head,
};
use super::request::Prepared;
use super::response::{BadResponse, Received};
use crate::buffer::{Buf, Use};
use crate::client::Client;
use crate::clock::{self, Deadline};
use crate::headers::ResponseRules;
use crate::line::Line;
use crate::sink::{Coding, Sink};
use crate::source::Source;
use crate::tally::Tally;
use crate::target::{Phase, TargetState, UpstreamState};
use crate::worker::Worker;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

impl<C: Client> Exchange<'_, C> {
    /// Sends a request whose body is still arriving, while already listening for the response.
    pub(crate) async fn run_streaming(mut self) -> Result<Delivered, ForwardError> {
        let mut line = self.obtain_for_upload().await?;
        self.have_client_stay();
        let upload_deadline = Deadline::new();
        upload_deadline.cap(self.request.timeouts.request);
        upload_deadline.follow(Some(self.in_flight.target().clone()));
        let timeouts = self.request.timeouts;
        let framing = std::mem::replace(&mut self.request.framing, Framing::Length(0));
        let coding = if matches!(framing, Framing::Length(_)) { Coding::Plain } else { Coding::Chunked };
        let mut out = std::mem::replace(&mut self.request.out, crate::buffer::Out::take());
        let uploaded = Cell::new(false);
        let begun = Cell::new(false);
        let (mut from, mut to) = line.split();
        let (mut client_read, mut client_write) = self.client.split();
        let pace = Pace::of(&framing, self.table.clients.body_rate);
        let passage = Passage {
            framing,
            coding,
            deadline: &upload_deadline,
            read_patience: timeouts.body,
            write_patience: timeouts.write,
            most: self.table.routes[self.request.route].max_body,
            pace,
            tally: None,
        };
        let continue_first = std::mem::take(&mut self.request.facts.expects_continue) && self.input.is_none();
        if continue_first {
            let sent = client_write.say_continue(self.deadline, CLIENT_WRITE_PATIENCE).await;
            sent.map_err(|error| ForwardError::RequestBody(BodyError::Source(error)))?;
        }
        self.deadline.disarm();
        let (result, slot) = {
            let upload = passage.run(&mut out, &mut client_read, self.input, &mut to, NOBODY);
            let download = Download {
                worker: self.worker,
                tally: self.tally,
                deadline: self.deadline,
                request: self.request,
                rules: self.table.routes[self.request.route].response.as_deref(),
                upstream: &self.table.upstreams[self.request.upstream].state,
                target: self.in_flight.target(),
                uploaded: &uploaded,
                begun: &begun,
            };
            let mut slot = None;
            let response = download.run(&mut from, &mut slot, &mut client_write);
            let wait = || self.deadline.arm(timeouts.first_byte);
            (both(upload, response, &uploaded, &begun, wait).await, slot)
        };
        drop((client_read, client_write));
        let (keep_alive, keeps) = result.inspect_err(|error| line.blame(error))?;
        if let Line::Wire(wire) = line
            && uploaded.get()
        {
            self.done_with(wire, keeps && slot.is_none());
        }
        Ok(Delivered { keep_alive: keep_alive && uploaded.get(), upgraded: None })
    }
}

/// Runs an upload and its response side by side. The response decides the outcome; the upload only when it
/// fails because of the client before an answer has begun.
async fn both<U, D>(
    upload: U,
    response: D,
    uploaded: &Cell<bool>,
    begun: &Cell<bool>,
    on_uploaded: impl Fn(),
) -> Result<(bool, bool), ForwardError>
where
    U: Future<Output = Result<(), BodyError>>,
    D: Future<Output = Result<(bool, bool), ForwardError>>,
{
    let mut upload = pin!(upload);
    let mut response = pin!(response);
    let mut is_uploading = true;
    poll_fn(|cx| {
        if is_uploading && let Poll::Ready(result) = upload.as_mut().poll(cx) {
            is_uploading = false;
            if !begun.get() {
                // From here on the instance has to answer, also when it stopped reading: it may have said why.
                on_uploaded();
            }
            match result {
                Ok(()) => uploaded.set(true),
                Err(BodyError::Sink(_)) => {}
                Err(error) if begun.get() => return Poll::Ready(Err(ForwardError::Midway(error))),
                Err(error) => return Poll::Ready(Err(ForwardError::RequestBody(error))),
            }
        }
        response.as_mut().poll(cx)
    })
    .await
}

/// The response to an upload.
struct Download<'d> {
    worker: &'d Worker,
    tally: &'d Tally,
    deadline: &'d Deadline,
    request: &'d Prepared,
    rules: Option<&'d ResponseRules>,
    upstream: &'d UpstreamState,
    target: &'d Arc<TargetState>,
    uploaded: &'d Cell<bool>,
    begun: &'d Cell<bool>,
}

impl Download<'_> {
    /// Relays the response. Says whether the client's and the upstream's connection can be used again.
    async fn run<R: Source, W: Sink>(
        self,
        from: &mut R,
        slot: &mut Option<Buf>,
        client: &mut W,
    ) -> Result<(bool, bool), ForwardError> {
        let mut out = crate::buffer::Out::take();
        let mut interim = 0;
        let ready = loop {
            let head =
                receive_head(from, slot, Use::Body, self.deadline).await.map_err(ForwardError::upstream)?;
            // An answer before the end of the upload ends the connection: the rest of the body is not read.
            let close = !self.uploaded.get()
                || self.target.phase() == Phase::Leaving
                || self.worker.shared.ends_at().is_some();
            match read_head(slot, head, self.request, self.rules, close, &mut out, self.worker)? {
                Received::Final(ready) => break ready,
                Received::Interim if interim < MOST_INTERIM => interim += 1,
                Received::Interim => return Err(BadResponse("too many interim responses").into()),
            }
        };
        self.begun.set(true);
        self.tally.status.set(ready.status);
        self.tally.answered.set(clock::precise());
        self.upstream.count(self.worker.index, ready.status);
        let reusable = (ready.keep_alive, ready.upstream_keeps);
        let passage = passage::<W>(ready, self.deadline, self.request.timeouts, self.tally).read_from(from);
        let relayed = passage.relay(&mut out, from, slot, client, NOBODY).await;
        relayed.map_err(ForwardError::Midway)?;
        Ok(reusable)
    }
}
