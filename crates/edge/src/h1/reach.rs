//! Reaching an instance with a request: over what, and where else when that fails.
//!
//! Knows nothing about answers.

use super::forward::{Answering, Exchange, FRESH_ENOUGH, ForwardError, MOST_ATTEMPTS, receive_head};
use crate::balance::Choosing;
use crate::buffer::Use;
use crate::call::Way;
use crate::client::Client;
use crate::clock::{self, Millis, NEVER};
use crate::connect::{self, ConnectError, Ends};
use crate::line::Line;
use crate::route::Timeouts;
use crate::sink::Sink;
use crate::target::{InFlight, TargetState};
use std::net::SocketAddr;
use std::sync::Arc;

impl<C: Client> Exchange<'_, C> {
    /// Sends until some instance begins to answer.
    pub(super) async fn send_until_answered(&mut self) -> Result<Answering, ForwardError> {
        let mut tried = [0_u64; MOST_ATTEMPTS];
        let mut attempt = 0;
        loop {
            let target = self.in_flight.target().clone();
            let idle_at_most = if self.request.facts.idempotent { NEVER } else { FRESH_ENOUGH };
            let reuse = (attempt == 0).then_some(idle_at_most);
            let (error, again_here) = match self.obtain(&target, reuse).await {
                Err(error) => (ForwardError::Connect(error), Retry::Elsewhere),
                Ok((line, reused)) => match self.send(line).await {
                    Ok(answering) => return Ok(answering),
                    Err(error) => {
                        let retry = self.retry_after(&error, reused);
                        (error, retry)
                    }
                },
            };
            if self.deadline.is_cut() {
                return Err(error);
            }
            tracing::debug!(instance = target.instance, %error, attempt, "an attempt failed");
            attempt += 1;
            if attempt >= MOST_ATTEMPTS {
                return Err(error);
            }
            match again_here {
                Retry::Never => return Err(error),
                Retry::Here => {}
                Retry::Elsewhere => {
                    tried[attempt - 1] = target.id;
                    if !self.move_elsewhere(&tried) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// A line for a body that can be sent only once.
    pub(super) async fn obtain_for_upload(&mut self) -> Result<Line, ForwardError> {
        let mut tried = [0_u64; MOST_ATTEMPTS];
        for place in 0..MOST_ATTEMPTS {
            let target = self.in_flight.target().clone();
            match self.obtain(&target, Some(FRESH_ENOUGH)).await {
                Ok((line, _)) => return Ok(line),
                Err(error) => {
                    tried[place] = target.id;
                    if place + 1 == MOST_ATTEMPTS || self.deadline.is_cut() || !self.move_elsewhere(&tried) {
                        return Err(ForwardError::Connect(error));
                    }
                }
            }
        }
        Err(ForwardError::UpstreamTimedOut)
    }

    /// Takes another instance that was not tried; false when there is none.
    fn move_elsewhere(&mut self, tried: &[u64]) -> bool {
        // By a newer table, if one came meanwhile.
        let table = self.worker.table();
        let state = &self.table.upstreams[self.request.upstream].state;
        let Some(upstream) = table.upstreams.iter().find(|u| Arc::ptr_eq(&u.state, state)) else {
            return false;
        };
        let is_tried = |id| tried.contains(&id);
        let steering = self.table.routes[self.request.route].steering.as_deref();
        let most = steering.map_or(u64::MAX, |s| s.most);
        let choosing = Choosing::LeastBusy(self.worker.turn());
        let target = upstream.choose(steering, choosing, clock::now(), is_tried);
        let Some(in_flight) = target.and_then(|target| InFlight::begin_below(target.clone(), most)) else {
            return false;
        };
        self.deadline.follow(Some(in_flight.target().clone()));
        self.in_flight = in_flight;
        true
    }

    /// Whether a request that failed before any byte of a response may be sent again: only when it does no
    /// harm twice.
    fn retry_after(&self, error: &ForwardError, reused: bool) -> Retry {
        match error {
            ForwardError::Upstream(_) if !self.request.facts.idempotent => Retry::Never,
            // It was most likely closed for being idle.
            ForwardError::Upstream(_) if reused => Retry::Here,
            ForwardError::Upstream(_) => Retry::Elsewhere,
            _ => Retry::Never,
        }
    }

    /// A line to an instance, and whether it was used before. With `reuse`, one that was idle for so long at most will do.
    async fn obtain(
        &mut self,
        target: &Arc<TargetState>,
        reuse: Option<Millis>,
    ) -> Result<(Line, bool), ConnectError> {
        if target.manner.as_ref().is_some_and(|manner| manner.is_http2()) {
            return Box::pin(self.call(target)).await;
        }
        let ends = target.is_told().then(|| self.ends()).flatten();
        if let Some(idle_at_most) = reuse
            && let Some((wire, carried)) = self.worker.pool.borrow_mut().take(target, idle_at_most)
        {
            self.carried.set(carried);
            return Ok((Line::Wire(wire.engaged()), true));
        }
        self.carried.set(0);
        let wire = connect::connect(target, ends, self.deadline, self.request.timeouts.connect).await?;
        self.tally.connected.set(clock::precise());
        Ok((Line::Wire(wire.engaged()), false))
    }

    /// Who the client is, as far as services are told, and where it came in.
    fn ends(&mut self) -> Option<Ends> {
        let peer = self.peer;
        let local = peer.local.or_else(|| self.client.socket()?.local_addr().ok())?;
        let ip = self.request.client;
        // Of whom a proxy speaks, no port is known.
        Some(Ends { client: SocketAddr::new(ip, if ip == peer.ip { peer.port } else { 0 }), local })
    }

    async fn call(&self, target: &Arc<TargetState>) -> Result<(Line, bool), ConnectError> {
        let takes_trailers = <C::Writer<'_>>::IS_FRAMED && self.request.facts.takes_trailers;
        let connections = self.worker.calls.clone();
        let way = Way { connections, target: target.clone(), patience: self.request.timeouts.connect };
        let (line, was_there) = Line::call(way, takes_trailers, self.deadline).await?;
        if !was_there {
            self.tally.connected.set(clock::precise());
        }
        Ok((line, was_there))
    }

    async fn send(&self, mut line: Line) -> Result<Answering, ForwardError> {
        let Timeouts { first_byte, write, .. } = self.request.timeouts;
        let written = line.send(&self.request.out, self.deadline, write).await;
        written.map_err(ForwardError::upstream)?;
        self.deadline.arm(first_byte);
        let mut slot = None;
        // What a pipe can take is better not read.
        let purpose = if C::IS_PLAIN { Use::Head } else { Use::Body };
        let received = receive_head(&mut line.split().0, &mut slot, purpose, self.deadline).await;
        match received.map_err(ForwardError::upstream) {
            Ok(head) => Ok(Answering { line, slot, head }),
            Err(error) => {
                line.blame(&error);
                Err(error)
            }
        }
    }
}

/// Where to try again.
enum Retry {
    Never,
    Here,
    Elsewhere,
}
