//! Finding a request's route and an instance for it, waiting where that is asked for: by a limit that slows down, or
//! while the service is being swapped.
//!
//! Knows nothing about how requests are read and sent on.

use super::Connection;
use super::head::Bounds;
use super::request::{self, Admission, Facts, Prepared, Refusal, Refused, Stopped};
use crate::balance::{self, Choosing};
use crate::client::Client;
use crate::clock;
use crate::hold::Held;
use crate::queue::Place;
use crate::steering::Steering;
use crate::sticky::Stay;
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
        let mut place: Option<Place> = None;
        let mut admission = Admission::default();
        loop {
            let table = self.worker.table();
            let head = self.input.as_ref().map_or(&[][..], |buf| &buf.filled()[bounds.start..bounds.end]);
            let mut prepared = match request::prepare(head, &table, &self.peer, &mut admission) {
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
            let steering = table.routes[prepared.route].steering.as_deref();
            // Who comes now does not go before those who wait.
            let is_next = place.is_some() || steering.is_none_or(|_| upstream.state.queued() == 0);
            let picked = if is_next { self.pick(upstream, steering, &mut prepared) } else { None };
            if let Some(in_flight) = picked {
                place.into_iter().for_each(Place::serve);
                return Ok(Admitted { prepared, in_flight, table, admission });
            }
            let waited = match steering {
                Some(steering) if !upstream.targets.is_empty() => {
                    self.wait_for_room(&mut place, upstream, steering).await
                }
                _ => self.wait(&mut held, upstream).await,
            };
            if let Err(why) = waited {
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

    /// Chooses an instance and counts the request there; none when there is none, or none has room.
    fn pick(
        &self,
        upstream: &Upstream,
        steering: Option<&Steering>,
        prepared: &mut Prepared,
    ) -> Option<InFlight> {
        let (turn, now) = (self.worker.turn(), clock::now());
        let Some(steering) = steering else {
            let target = match upstream.shares.is_empty() {
                true => balance::pick(&upstream.targets, turn, now, |_| false),
                false => upstream.choose(None, Choosing::LeastBusy(turn), now, |_| false),
            };
            return target.cloned().map(InFlight::begin);
        };
        if !prepared.tokens.is_empty() {
            let tickets = &self.worker.shared.tls.tickets;
            prepared.stays = Stay::find(&prepared.tokens, upstream, tickets);
        }
        if let Some(target) = prepared.stays.as_ref().and_then(|stays| stays.target(now))
            && let Some(in_flight) = InFlight::begin_below(target.clone(), steering.most)
        {
            return Some(in_flight);
        }
        let choosing = steering.choosing(&upstream.state, turn, prepared.lot);
        let target = upstream.choose(Some(steering), choosing, now, |_| false)?;
        InFlight::begin_below(target.clone(), steering.most)
    }

    /// Waits until an instance may have room; says why there will be none in time.
    async fn wait_for_room(
        &self,
        place: &mut Option<Place>,
        upstream: &Upstream,
        steering: &Steering,
    ) -> Result<(), &'static str> {
        let Upstream { state, targets, .. } = upstream;
        match place {
            // Room may have come between the look before and this; so look once more.
            None => {
                let until = clock::now().saturating_add(steering.patience);
                let taken = Place::take(state, targets, steering.queue, until);
                *place = Some(taken.map_err(|_| "too many requests are waiting for room")?);
                Ok(())
            }
            Some(place) if !place.is_for(targets) => {
                place.move_to(targets);
                Ok(())
            }
            Some(place) => place.room(&self.deadline).await.map_err(|_| "no instance had room in time"),
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
