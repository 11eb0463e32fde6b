//! Finding a request's route and an instance for it, waiting where that is asked for: by a limit that slows down, or
//! while the service is being swapped.
//!
//! Knows nothing about how requests are read and sent on.

use super::Connection;
use super::head::Bounds;
use super::request::{self, Admission, Facts, Prepared, Refusal, Refused, Stopped};
use crate::balance;
use crate::client::Client;
use crate::clock;
use crate::hold::Held;
use crate::table::Upstream;
use crate::target::{InFlight, UpstreamState};
use crate::worker::InForce;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A request that gets no instance.
pub(super) struct Turned {
    pub(super) refused: Refused,
    pub(super) upstream: Option<Arc<UpstreamState>>,
    pub(super) table: Rc<InForce>,
    pub(super) admission: Admission,
}

/// A request that has an instance.
pub(super) struct Admitted {
    pub(super) prepared: Prepared,
    pub(super) in_flight: InFlight,
    pub(super) table: Rc<InForce>,
    /// Kept until the request ends.
    pub(super) admission: Admission,
}

impl<C: Client> Connection<'_, C> {
    /// Admits the request whose head stands at `bounds` of the input.
    pub(super) async fn admit(&mut self, bounds: Bounds) -> Result<Admitted, Turned> {
        let mut held: Option<Held> = None;
        let mut admission = Admission::default();
        loop {
            let table = self.worker.table();
            let head = self.input.as_ref().map_or(&[][..], |buf| &buf.filled()[bounds.start..bounds.end]);
            let prepared = match request::prepare(head, &table, &self.peer, &mut admission) {
                Ok(prepared) => prepared,
                Err(Stopped::Refused(refused)) => {
                    return Err(Turned { refused: *refused, upstream: None, table, admission });
                }
                Err(Stopped::Asking(question)) => {
                    match Box::pin(question.answer(&self.worker.shared.access, &table)).await {
                        Ok(granted) => admission.granted = Some(Box::new(granted)),
                        Err(denied) => admission.denied = Some(Box::new(denied)),
                    }
                    continue;
                }
            };
            let delay = admission.take_delay();
            if delay > 0 {
                // To the millisecond, unlike deadlines: this is what the client is told to feel.
                Box::pin(tokio::time::sleep(Duration::from_millis(delay))).await;
                continue;
            }
            let upstream = &table.upstreams[prepared.upstream];
            let picked = balance::pick(&upstream.targets, self.worker.turn(), clock::now(), |_| false);
            if let Some(target) = picked {
                let in_flight = InFlight::begin(target.clone());
                return Ok(Admitted { prepared, in_flight, table, admission });
            }
            if let Err(why) = self.wait(&mut held, upstream).await {
                let keep_alive = prepared.facts.keep_alive && prepared.framing.is_done();
                let facts = Facts { keep_alive, ..prepared.facts };
                let mut refused = Refused::plain(Refusal::new(503, why), facts);
                refused.route = Some(prepared.route);
                refused.add_rules(&table.routes[prepared.route], &prepared.response_fields);
                let upstream = Some(upstream.state.clone());
                return Err(Turned { refused, upstream, table, admission });
            }
        }
    }

    /// Waits for a table that may have an instance; says why there will be none.
    async fn wait(&self, held: &mut Option<Held>, upstream: &Upstream) -> Result<(), &'static str> {
        let Some(until) = upstream.hold_until else { return Err("no healthy instance") };
        match held {
            // A table may have come between the look above and this; so look once more.
            None => {
                let begun = Held::begin(&self.worker.shared, &upstream.state);
                *held = Some(begun.map_err(|_| "too many requests are waiting")?);
                Ok(())
            }
            Some(held) => {
                let next = held.next_table(&self.deadline, until).await;
                next.map_err(|_| "no instance came while waiting")
            }
        }
    }
}
