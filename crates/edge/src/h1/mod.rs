//! HTTP/1.1 towards clients: reading requests one after the other and seeing to their answers (RFC 9112).
//!
//! Pipelined requests are answered in order, one at a time. Knows nothing about listeners and workers' threads.

mod admit;
mod arrive;
mod body;
pub(crate) mod chunked;
mod decide;
mod encoded;
pub(crate) mod field;
mod forward;
mod forwarded;
mod head;
mod lines;
mod outgoing;
mod own;
mod passing;
mod reach;
mod reading;
mod refused;
mod request;
mod response;
mod sending;
mod signed;
mod trace;
mod upload;
mod uri;
mod values;

use crate::buffer::{Buf, Out, Use};
use crate::client::Client;
use crate::clock::{self, Deadline, Millis, NEVER};
use crate::error_page::{self, Answer};
use crate::h2;
use crate::route::Action;
use crate::sink::{Coding, Piece, Sink};
use crate::table::Table;
use crate::tally::Tally;
use crate::target::{InFlight, UpstreamState};
use crate::transport;
use crate::tunnel;
use crate::wire::Wire;
use crate::worker::Worker;
use admit::{Admitted, Turned};
use arrive::NoHead;
pub(crate) use arrive::explain;
pub(crate) use body::{BodyError, Framing};
pub(crate) use forward::ForwardError;
use forward::{CLIENT_WRITE_PATIENCE, Delivered, Exchange};
pub(crate) use forwarded::Peer;
pub(crate) use head::{Bounds, Scanner};
use request::{Admission, Prepared, Upgrade};
pub(crate) use request::{Facts, Refusal, Refused};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
#[cfg(fuzzing)]
pub(crate) use {request::Admission as FirstAdmission, request::prepare};

/// After the last answer: how long, and how much, a client that is still sending is listened to, so that it
/// reads the answer before a reset reaches it.
const LINGER_PATIENCE: Millis = 2_000;
const LINGER_BYTES: usize = 1024 * 1024;
/// Noted where the client was gone before there was an answer: nginx's number for it.
const CLIENT_GONE: u16 = 499;
/// A body up to this size that arrived with its head is sent along with it, in one write.
const SMALL_BODY: u64 = 16 * 1024;

/// Serves one client until its connection ends.
pub(crate) async fn serve<C: Client>(worker: &Rc<Worker>, stream: C, peer: Peer) {
    let mut connection = Connection::new(worker, stream, peer);
    loop {
        let next = match connection.read_head().await {
            Ok(bounds) if connection.is_http2(bounds) => return connection.change_to_http2().await,
            Ok(bounds) => connection.answer(bounds).await,
            Err(NoHead::End) => Next::End,
            Err(NoHead::Refused(refusal)) => {
                connection.refuse(Refused::plain(refusal, Facts::default()), None).await
            }
        };
        match next {
            // Who has asked for more already has been served: others first.
            Next::Request if connection.input.is_some() => tokio::task::yield_now().await,
            Next::Request => {}
            Next::Linger => return connection.linger().await,
            Next::End => return connection.stream.say_end(),
            Next::Drop => return,
            Next::Upgraded(upgraded) => return connection.tunnel(*upgraded).await,
        }
    }
}

/// What a request is answered on: a connection, or one stream of a connection that has many.
pub(crate) struct Connection<'w, C> {
    worker: &'w Rc<Worker>,
    stream: C,
    peer: Peer,
    deadline: Deadline,
    /// Notes about the request that is being answered.
    tally: Tally,
    /// What has arrived and is not consumed.
    input: Option<Buf>,
    is_new: bool,
}

/// What follows an answer.
pub(crate) enum Next {
    /// Another request, maybe.
    Request,
    /// The end, once the client has read the answer.
    Linger,
    /// The end, now; all that was to be said has been said.
    End,
    /// The end, now: an answer broke off, or nobody is there.
    Drop,
    Upgraded(Box<Upgraded>),
}

pub(crate) struct Upgraded {
    upstream: Wire,
    from_upstream: Option<Buf>,
    in_flight: InFlight,
    protocol: Option<Upgrade>,
    /// Counts it as open for its limits.
    admission: Admission,
}

/// A request that was put to an instance.
struct Settled<'s> {
    prepared: &'s Prepared,
    table: &'s Table,
    admission: Admission,
    /// Nothing of its body is left on the connection.
    is_whole: bool,
}

impl<'w, C: Client> Connection<'w, C> {
    pub(crate) fn new(worker: &'w Rc<Worker>, stream: C, peer: Peer) -> Self {
        Self {
            worker,
            stream,
            peer,
            deadline: Deadline::new(),
            tally: Tally::default(),
            input: None,
            is_new: true,
        }
    }

    /// Answers the request whose head is `head`.
    pub(crate) async fn answer_to(&mut self, head: Buf, bounds: Bounds) -> Next {
        self.input = Some(head);
        self.answer(bounds).await
    }

    /// Answers the request whose head is in the input.
    async fn answer(&mut self, bounds: Bounds) -> Next {
        self.is_new = false;
        if let Some(proof) = self.proof(bounds) {
            return self.prove(&proof).await;
        }
        self.tally.begin();
        let Admitted { mut prepared, in_flight, table, admission } = match self.admit(bounds).await {
            Ok(admitted) => admitted,
            Err(Turned { refused, upstream, table, mut admission }) => {
                if let Some(buf) = &mut self.input {
                    buf.consume(bounds.end);
                }
                let route = refused.route;
                let next = self.refuse(refused, upstream.as_ref()).await;
                self.note(&table, route, &mut admission);
                return next;
            }
        };
        self.tally.admitted.set(clock::precise());
        let head_length = prepared.out.len();
        self.absorb(bounds, &mut prepared);
        if <C::Writer<'_>>::IS_FRAMED && matches!(prepared.framing, Framing::Chunked(_)) {
            // The carrier shows where the body ends; there are no chunks in it.
            prepared.framing = Framing::UntilClose;
        }
        self.deadline.cap(prepared.timeouts.request);
        self.deadline.follow(Some(in_flight.target().clone()));
        if prepared.signature.is_some()
            && let Err(refusal) = Box::pin(self.check_signature(&mut prepared, &table, head_length)).await
        {
            return self.refuse_unsigned(refusal, &prepared, &table, admission).await;
        }
        let is_whole = prepared.framing.is_done();
        let exchange = Exchange {
            worker: self.worker,
            deadline: &self.deadline,
            request: &mut prepared,
            in_flight,
            carried: Cell::new(0),
            table: &table,
            tally: &self.tally,
            peer: &self.peer,
            client: &mut self.stream,
            input: &mut self.input,
        };
        // Uploads are rare and their state is large, so it lives elsewhere.
        let outcome = if is_whole { exchange.run().await } else { Box::pin(exchange.run_streaming()).await };
        self.deadline.cap(NEVER);
        let settled = Settled { prepared: &prepared, table: &table, admission, is_whole };
        match outcome {
            Ok(delivered) => self.delivered(delivered, settled),
            Err(error) => self.failed(error, settled).await,
        }
    }

    fn delivered(&mut self, delivered: Delivered, settled: Settled<'_>) -> Next {
        let Settled { prepared, table, mut admission, .. } = settled;
        self.note(table, Some(prepared.route), &mut admission);
        match delivered.upgraded {
            Some((upstream, from_upstream, in_flight)) => {
                let protocol = prepared.facts.upgrade;
                Next::Upgraded(Box::new(Upgraded { upstream, from_upstream, in_flight, protocol, admission }))
            }
            None => {
                self.deadline.follow(None);
                self.after(delivered.keep_alive, prepared.facts.keep_alive)
            }
        }
    }

    async fn failed(&mut self, error: ForwardError, settled: Settled<'_>) -> Next {
        tracing::debug!(%error, "a request failed");
        let Settled { prepared, table, mut admission, is_whole } = settled;
        self.tally.fault.set(error.fault());
        let target = self.deadline.followed();
        // The answer to the client is not the instance's business any more.
        self.deadline.follow(None);
        let next = match error.status() {
            None => {
                error.reset().into_iter().for_each(|reason| self.stream.say_broken(reason));
                Next::Drop
            }
            Some(status) => {
                let facts = prepared.facts;
                let facts = Facts { keep_alive: facts.keep_alive && is_whole, ..facts };
                let mut refused = Refused::plain(Refusal::new(status, "the upstream failed"), facts);
                refused.add_rules(&table.routes[prepared.route], &prepared.response_fields);
                self.refuse(refused, Some(&table.upstreams[prepared.upstream].state)).await
            }
        };
        self.deadline.follow(target);
        self.note(table, Some(prepared.route), &mut admission);
        self.deadline.follow(None);
        next
    }

    /// Counts the request that was answered, and writes it down where that is asked for.
    fn note(&self, table: &Table, route: Option<usize>, admission: &mut Admission) {
        let Some(route) = route.and_then(|route| table.routes.get(route)) else { return };
        if self.tally.status.get() == 0 {
            self.tally.status.set(CLIENT_GONE);
        }
        let took = clock::precise().saturating_sub(self.tally.began.get());
        route.stats.count(self.worker.index, &self.tally, took);
        if let (Some(steering), Some(target)) = (&route.steering, self.deadline.followed()) {
            steering.judge(&target, &self.tally, clock::now());
        }
        if let Some(draft) = admission.draft.take() {
            let target = self.deadline.followed();
            let service = match route.action {
                Action::Forward(upstream) => table.upstreams[upstream].state.key.as_str(),
                Action::Redirect(_) | Action::Files(_) => "",
            };
            self.worker.log(*draft, &self.tally, service, target.as_deref());
        }
    }

    /// A client that asked for the end gets it at once; one that did not must first have read the answer.
    fn after(&self, keep_alive: bool, client_wanted_more: bool) -> Next {
        match (keep_alive, client_wanted_more) {
            (true, _) => Next::Request,
            (false, true) => Next::Linger,
            (false, false) if self.input.is_some() => Next::Linger,
            (false, false) => Next::End,
        }
    }

    /// Takes the head off the input, and a small body that came with it.
    fn absorb(&mut self, bounds: Bounds, prepared: &mut Prepared) {
        let Some(buf) = &mut self.input else { return };
        buf.consume(bounds.end);
        if let Framing::Length(length @ 1..=SMALL_BODY) = prepared.framing {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if let Some(body) = buf.filled().get(..length) {
                prepared.out.extend_from_slice(body);
                prepared.framing = Framing::Length(0);
                buf.consume(length);
            }
        }
        if buf.is_empty() {
            self.input = None;
        }
    }

    /// Answers for ourselves.
    pub(crate) async fn refuse(&mut self, refused: Refused, upstream: Option<&Arc<UpstreamState>>) -> Next {
        let Refused { refusal: Refusal { status, why }, facts, fields, route: _, content } = refused;
        tracing::debug!(status, why, "answered by the edge");
        if self.input.as_ref().is_some_and(Buf::is_empty) {
            self.input = None;
        }
        upstream.unwrap_or(&self.worker.shared.unrouted).count(self.worker.index, status);
        let keep_alive = facts.keep_alive && self.worker.shared.ends_at().is_none();
        let answer = Answer {
            status,
            format: facts.format,
            without_body: facts.is_head,
            close: !keep_alive,
            say_keep_alive: facts.is_http10,
        };
        self.tally.status.set(status);
        if let Some(content) = content {
            let sending = sending::Sending { status, facts, fields: &fields, keep_alive };
            return self.send_content(sending, content).await;
        }
        let mut out = Out::take();
        error_page::write(&mut out, answer, &fields, |out| self.worker.write_date(out));
        let piece = Piece { data: b"", coding: Coding::Plain, is_last: true };
        let (_, mut writer) = self.stream.split();
        let written = writer.write_piece(&mut out, piece, &self.deadline, CLIENT_WRITE_PATIENCE).await;
        match (written, keep_alive) {
            (Err(_), _) => Next::Drop,
            (Ok(()), true) => Next::Request,
            (Ok(()), false) => Next::Linger,
        }
    }

    /// What an authority hears that asks whether the host is ours; none for all other requests.
    fn proof(&self, bounds: Bounds) -> Option<String> {
        let challenges = &self.worker.shared.tls.challenges;
        if !challenges.are_expected() {
            return None;
        }
        let head = self.input.as_ref()?.filled().get(bounds.start..bounds.end)?;
        let path = head.strip_prefix(b"GET ")?.split(|byte| *byte == b' ').next()?;
        challenges.answer(path)
    }

    async fn prove(&mut self, proof: &str) -> Next {
        let mut out = Out::take();
        out.extend_from_slice(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ",
        );
        field::write_number(&mut out, proof.len() as u64);
        out.extend_from_slice(b"\r\n\r\n");
        let piece = Piece { data: proof.as_bytes(), coding: Coding::Plain, is_last: true };
        let (_, mut writer) = self.stream.split();
        let written = writer.write_piece(&mut out, piece, &self.deadline, CLIENT_WRITE_PATIENCE).await;
        if written.is_ok() { Next::Linger } else { Next::Drop }
    }

    /// Lets the client read the last answer: closing with unread bytes would reset the connection under it.
    async fn linger(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        self.deadline.arm(LINGER_PATIENCE);
        let mut left = LINGER_BYTES;
        while left > 0 {
            self.input = None;
            match transport::read(&mut self.stream, &mut self.input, Use::Body, &self.deadline).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
            // Who sends what nobody reads comes last.
            tokio::task::yield_now().await;
        }
    }

    /// Whether the client begins with HTTP/2's preface (RFC 9113, 3.4), which is made to look like a request.
    fn is_http2(&self, bounds: Bounds) -> bool {
        let head = self.input.as_ref().map(Buf::filled).and_then(|input| input.get(..bounds.end));
        self.is_new && head.is_some_and(|head| h2::PREFACE.starts_with(head))
    }

    async fn change_to_http2(self) {
        // Far larger than what an HTTP/1.1 connection needs.
        Box::pin(h2::serve(self.worker, self.stream, self.input, self.peer)).await;
    }

    pub(crate) async fn tunnel(self, upgraded: Upgraded) {
        let Upgraded { upstream, from_upstream, in_flight, protocol, admission } = upgraded;
        let mut tunnel = tunnel::Tunnel::new(self.stream, upstream);
        tunnel.begin_with(self.input, from_upstream);
        if protocol == Some(Upgrade::WebSocket) {
            tunnel.watch_websocket();
        }
        tunnel.run(&self.worker.shared, &self.deadline, tunnel::UPGRADED_IDLE).await;
        drop((in_flight, admission));
    }
}
