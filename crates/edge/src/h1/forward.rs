//! One request to one instance and its response back: choosing a connection, sending, retrying where that is
//! safe, relaying.
//!
//! Knows nothing about how requests are read from clients.

use super::body::{BodyError, Framing, Passage, unexpected_end};
use super::forwarded::Peer;
use super::head::{Bounds, Scanner};
use super::request::Prepared;
use super::response::{self, BadResponse, Ready, Received, Shape};
use crate::buffer::{Buf, Use};
use crate::client::{Client, Watch};
use crate::clock::{self, Deadline, Millis};
use crate::connect::ConnectError;
use crate::error_page::Format;
use crate::headers::ResponseRules;
use crate::line::Line;
use crate::route::Timeouts;
use crate::sink::{Coding, Sink};
use crate::source::Source;
use crate::splice::{self, Pipe, Splicing};
use crate::sticky;
use crate::table::Table;
use crate::tally::{Fault, Tally};
use crate::target::{InFlight, Phase};
use crate::transport::{self, TransportError};
use crate::wire::Wire;
use crate::worker::Worker;
use mainstay_model::ContentCoding;
use std::cell::Cell;
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

/// For bodies whose receiver shows by other means that it has gone.
pub(super) const NOBODY: Option<&mut ReadHalf<'_>> = None;

/// Interim responses taken before the real one.
pub(super) const MOST_INTERIM: usize = 8;

/// Instances tried for one request. More than a few failing at once is an outage, and each try may cost the
/// whole connect timeout.
pub(super) const MOST_ATTEMPTS: usize = 4;

/// A request that must not be sent twice goes over a used connection only when that was idle this shortly:
/// servers close idle connections after seconds, and a request that crosses such a close would be lost.
pub(super) const FRESH_ENOUGH: Millis = 500;

/// Time between two writes to a client (nginx's `send_timeout`).
pub(crate) const CLIENT_WRITE_PATIENCE: Millis = 60_000;

/// Why a request got no whole response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("no connection: {0}")]
    Connect(#[source] ConnectError),
    #[error("the instance broke off: {0}")]
    Upstream(#[source] TransportError),
    #[error("the instance took too long")]
    UpstreamTimedOut,
    #[error("the instance sent nonsense: {0}")]
    BadResponse(#[from] BadResponse),
    #[error("the request body: {0}")]
    RequestBody(#[source] BodyError),
    #[error("the instance answered {0}, for which there is a page")]
    Replaced(u16),
    #[error("the response broke off after it had begun: {0}")]
    Midway(#[source] BodyError),
}

impl ForwardError {
    /// The status to answer with; none when an answer has begun or nobody is there to read it.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Connect(ConnectError::TimedOut) | Self::UpstreamTimedOut => Some(504),
            Self::Connect(_) | Self::Upstream(_) | Self::BadResponse(_) => Some(502),
            Self::RequestBody(BodyError::Malformed(_)) => Some(400),
            Self::RequestBody(BodyError::Source(TransportError::TimedOut)) => Some(408),
            Self::RequestBody(BodyError::TooLarge) => Some(413),
            Self::Replaced(status) => Some(*status),
            Self::RequestBody(_) | Self::Midway(_) => None,
        }
    }

    /// What the instance did wrong, if it is to blame.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Connect(ConnectError::Tls(_)) => Some(Fault::Tls),
            Self::Connect(_) => Some(Fault::Connect),
            Self::UpstreamTimedOut => Some(Fault::Timeout),
            Self::Upstream(_) => Some(Fault::Broken),
            Self::BadResponse(_) => Some(Fault::Nonsense),
            Self::Midway(BodyError::Source(TransportError::TimedOut)) => Some(Fault::Timeout),
            Self::Midway(BodyError::Source(_) | BodyError::Truncated) => Some(Fault::Broken),
            Self::Midway(BodyError::Malformed(_)) => Some(Fault::Nonsense),
            Self::RequestBody(_) | Self::Midway(_) | Self::Replaced(_) => None,
        }
    }

    /// Why its stream was reset, if that is what happened.
    pub(crate) fn reset(&self) -> Option<h2::Reason> {
        let Self::Midway(BodyError::Source(TransportError::Io(error))) = self else { return None };
        let error = error.get_ref()?.downcast_ref::<h2::Error>()?;
        error.reason().filter(|_| error.is_reset())
    }

    pub(super) fn upstream(error: TransportError) -> Self {
        match error {
            TransportError::TimedOut => Self::UpstreamTimedOut,
            TransportError::Full => Self::BadResponse(BadResponse("the head is too large")),
            error @ TransportError::Io(_) => Self::Upstream(error),
        }
    }
}

/// A response that reached the client whole.
pub(crate) struct Delivered {
    pub(crate) keep_alive: bool,
    /// The protocol changed: the upstream's connection, and what it had sent already.
    pub(crate) upgraded: Option<(Wire, Option<Buf>, InFlight)>,
}

/// A request on its way.
pub(crate) struct Exchange<'e, C> {
    pub(crate) worker: &'e Worker,
    pub(crate) deadline: &'e Deadline,
    pub(crate) request: &'e mut Prepared,
    pub(crate) in_flight: InFlight,
    /// Requests that its connection has carried before this.
    pub(crate) carried: Cell<u32>,
    /// The table the request was routed by.
    pub(crate) table: &'e Table,
    pub(crate) tally: &'e Tally,
    pub(crate) peer: &'e Peer,
    pub(crate) client: &'e mut C,
    /// What the client has sent and nobody has read.
    pub(crate) input: &'e mut Option<Buf>,
}

/// A line that carries a response.
pub(super) struct Answering {
    pub(super) line: Line,
    pub(super) slot: Option<Buf>,
    pub(super) head: Bounds,
}

impl<C: Client> Exchange<'_, C> {
    /// Sends a request whose bytes are all in its output buffer, and relays the response.
    pub(crate) async fn run(mut self) -> Result<Delivered, ForwardError> {
        let mut answering = self.send_until_answered().await?;
        self.have_client_stay();
        let close = self.must_close();
        let mut out = std::mem::replace(&mut self.request.out, crate::buffer::Out::take());
        let mut interim = 0;
        let ready = loop {
            out.clear();
            let Answering { slot, head, .. } = &mut answering;
            match read_head(slot, *head, self.request, self.rules(), close, &mut out, self.worker)? {
                Received::Final(ready) => break ready,
                Received::Interim if interim == MOST_INTERIM => {
                    return Err(BadResponse("too many interim responses").into());
                }
                Received::Interim => {
                    interim += 1;
                    let Answering { line, slot, head } = &mut answering;
                    *head = receive_head(&mut line.split().0, slot, Use::Body, self.deadline)
                        .await
                        .map_err(ForwardError::upstream)?;
                }
            }
        };
        let keeps = ready.upstream_keeps;
        let keep_alive = ready.keep_alive;
        let upgraded = ready.upgraded;
        self.count(ready.status);
        let Answering { mut line, mut slot, .. } = answering;
        let passage = passage::<C::Writer<'_>>(ready, self.deadline, self.request.timeouts, self.tally);
        let relayed = self.relay(passage, &mut out, &mut line, &mut slot).await;
        let is_quiet = relayed.map_err(ForwardError::Midway)?;
        match line {
            Line::Wire(wire) if upgraded => {
                let upgraded = Some((wire.released(), slot, self.in_flight));
                return Ok(Delivered { keep_alive: false, upgraded });
            }
            // Bytes after the response would be taken for the answer to the next request.
            Line::Wire(wire) => self.done_with(wire, keeps && is_quiet),
            Line::Call(_) => {}
        }
        Ok(Delivered { keep_alive, upgraded: None })
    }

    /// Keeps a connection for the next request, or closes it in order.
    pub(super) fn done_with(&self, wire: Wire, keeps: bool) {
        let wire = wire.released();
        if keeps {
            let (carried, keeping) = (self.carried.get() + 1, self.table.routes[self.request.route].keeping);
            self.worker.pool.borrow_mut().put(self.in_flight.target(), wire, carried, keeping);
        }
    }

    /// Passes the response on; false when the instance has sent more than that.
    async fn relay(
        &mut self,
        passage: ResponsePassage<'_>,
        head: &mut Vec<u8>,
        line: &mut Line,
        slot: &mut Option<Buf>,
    ) -> Result<bool, BodyError> {
        if C::IS_PLAIN
            && let Line::Wire(wire) = &*line
            && let Some(from) = wire.as_plain()
            && let Some(left) = passage.left_behind(slot)
            && let (Some(to), Some(pipe)) = (self.client.socket(), Pipe::take())
        {
            let begun = slot.take();
            let begun = begun.as_ref().map_or(&[][..], |buf| buf.filled());
            return passage.splicing(from, to).run(pipe, head, begun, left).await;
        }
        let (mut from, _) = line.split();
        let (mut client_read, mut client_write) = self.client.split();
        let passage = passage.read_from(&from);
        // Only a stream without a known end is watched for a client that has gone: whoever half-closes
        // after a request still gets an ordinary answer.
        let watch = passage.is_endless.then_some(&mut client_read);
        passage.relay(head, &mut from, slot, &mut client_write, watch).await?;
        Ok(slot.is_none())
    }

    /// Has the client stay with the instance that answers, where its route wants that.
    pub(super) fn have_client_stay(&mut self) {
        let route = &self.table.routes[self.request.route];
        if route.steering.is_some() {
            let Prepared { response_fields, stays, facts, upstream, .. } = &mut *self.request;
            let (key, answering) = (&self.table.upstreams[*upstream].state.key, self.in_flight.target());
            let tickets = &self.worker.shared.tls.tickets;
            let staying = sticky::Staying { stays: stays.as_ref(), answering, is_secure: facts.is_secure };
            staying.write_cookie(response_fields, route, key, tickets);
        }
    }

    pub(super) fn rules(&self) -> Option<&ResponseRules> {
        self.table.routes[self.request.route].response.as_deref()
    }

    fn count(&self, status: u16) {
        self.tally.status.set(status);
        self.tally.answered.set(clock::precise());
        self.table.upstreams[self.request.upstream].state.count(self.worker.index, status);
    }

    fn must_close(&self) -> bool {
        self.in_flight.target().phase() == Phase::Leaving || self.worker.shared.ends_at().is_some()
    }
}

pub(super) struct ResponsePassage<'p> {
    inner: Passage<'p>,
    encoding: Option<ContentCoding>,
    is_endless: bool,
}

impl<'p> ResponsePassage<'p> {
    /// Bytes of a body of known length that have not arrived yet, where so many are passed on as they are that it is worth
    /// a pipe.
    fn left_behind(&self, slot: &Option<Buf>) -> Option<u64> {
        let Framing::Length(length) = self.inner.framing else { return None };
        let left = length.checked_sub(slot.as_ref().map_or(0, |buf| buf.filled().len()) as u64)?;
        (self.encoding.is_none() && left >= splice::AT_LEAST).then_some(left)
    }

    fn splicing<'s>(&self, from: &'s TcpStream, to: &'s TcpStream) -> Splicing<'s>
    where
        'p: 's,
    {
        let Passage { deadline, read_patience, write_patience, tally, .. } = self.inner;
        Splicing { from, to, deadline, read_patience, write_patience, tally }
    }

    /// The same, where the source knows better where the body ends.
    pub(super) fn read_from(mut self, source: &impl Source) -> Self {
        self.inner.framing = source.framing(self.inner.framing);
        self
    }

    /// Passes the body on, compressed where that was decided; see [`Passage::run`].
    pub(super) async fn relay<R, W, C>(
        self,
        head: &mut Vec<u8>,
        reader: &mut R,
        slot: &mut Option<Buf>,
        writer: &mut W,
        watch: Option<&mut C>,
    ) -> Result<(), BodyError>
    where
        R: Source,
        W: Sink,
        C: Watch,
    {
        match self.encoding {
            None => self.inner.run(head, reader, slot, writer, watch).await,
            // Its state is large and most responses have none.
            Some(coding) => Box::pin(self.inner.run_encoded(coding, head, reader, slot, writer, watch)).await,
        }
    }
}

pub(super) fn passage<'p, W: Sink>(
    ready: Ready,
    deadline: &'p Deadline,
    timeouts: Timeouts,
    tally: &'p Tally,
) -> ResponsePassage<'p> {
    let is_endless = !matches!(ready.framing, Framing::Length(_));
    let encoding = ready.encoding;
    let inner = Passage {
        framing: ready.framing,
        coding: if W::IS_FRAMED { Coding::Plain } else { ready.coding },
        deadline,
        read_patience: timeouts.read,
        write_patience: CLIENT_WRITE_PATIENCE,
        most: u64::MAX,
        pace: None,
        tally: Some(tally),
    };
    ResponsePassage { inner, encoding, is_endless }
}

/// Reads until a whole head is there. The deadline must be armed.
pub(super) async fn receive_head<R: AsyncRead + Unpin>(
    stream: &mut R,
    slot: &mut Option<Buf>,
    purpose: Use,
    deadline: &Deadline,
) -> Result<Bounds, TransportError> {
    let mut scanner = Scanner::default();
    loop {
        if let Some(buf) = slot {
            match scanner.scan(buf.filled()) {
                Ok(Some(bounds)) => return Ok(bounds),
                Ok(None) if buf.filled().len() > crate::buffer::HEAD_CAPACITY => {
                    return Err(TransportError::Full);
                }
                Ok(None) => {}
                Err(_) => return Err(TransportError::Full),
            }
        }
        if transport::read(stream, slot, purpose, deadline).await? == 0 {
            return Err(unexpected_end());
        }
    }
}

/// Reads the head at the front of `slot` and takes it off.
pub(super) fn read_head(
    slot: &mut Option<Buf>,
    head: Bounds,
    request: &Prepared,
    rules: Option<&ResponseRules>,
    close: bool,
    out: &mut Vec<u8>,
    worker: &Worker,
) -> Result<Received, ForwardError> {
    let Some(buf) = slot else { return Err(BadResponse("no head").into()) };
    // Unlike servers, clients need not put up with empty lines before a message.
    if head.start != 0 {
        return Err(BadResponse("empty lines before the status line").into());
    }
    let shape = Shape { rules, fields: &request.response_fields };
    let bytes = &buf.filled()[..head.end];
    let received = response::prepare(bytes, &request.facts, close, shape, out, |out| worker.write_date(out))?;
    if let (Received::Final(ready), Some(true)) = (&received, rules.map(|rules| rules.intercepts))
        && ready.status >= 500
        && request.facts.format == Format::Html
    {
        return Err(ForwardError::Replaced(ready.status));
    }
    buf.consume(head.end);
    if buf.is_empty() {
        *slot = None;
    }
    Ok(received)
}
