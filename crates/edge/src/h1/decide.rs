//! What becomes of a request that was understood. It is asked in this order: its route, its client, its size, its limits,
//! its rights.
//!
//! Knows nothing about sockets and instances.

use super::body::Framing;
use super::forwarded::Peer;
use super::own;
use super::passing::{NotYet, Passing};
use super::reading::{Request, Routed};
use super::request::{Admission, Facts, Prepared, Refusal, Refused, Stopped};
use super::trace::Trace;
use crate::access::{Denied, Expected};
use crate::access_log::{Draft, Told};
use crate::buffer::Out;
use crate::client::Scheme;
use crate::clock;
use crate::files::Content;
use crate::headers::ResponseRules;
use crate::limit::{self, Exceeded};
use crate::route::{Action, Route};
use crate::table::{NoRoute, Table};
use mainstay_model::ContentCoding;
use std::net::IpAddr;

/// A request that was understood, and those it is put to.
pub(super) struct Asking<'a, 'b> {
    pub(super) request: &'a Request<'b>,
    pub(super) head: &'a [u8],
    pub(super) facts: Facts,
    pub(super) table: &'a Table,
    pub(super) peer: &'a Peer,
}

impl Asking<'_, '_> {
    /// Decides what becomes of it.
    pub(super) fn decide(mut self, admission: &mut Admission) -> Result<Prepared, Stopped> {
        let Self { request, head, table, peer, .. } = self;
        // A body that nobody will read ends the connection with the answer.
        self.facts.keep_alive &= request.framing.is_done();
        let routed = request.route(table, peer).map_err(|refusal| self.without_route(refusal))?;
        let route = &table.routes[routed.route];
        self.facts.is_secure = peer.scheme_of(&routed.client) == Scheme::Https;
        let trace = self.begin_log(route, &routed, admission);
        let mut response_fields = Vec::new();
        self.answer_early(route, routed.client.ip, &mut response_fields)
            .map_err(|refused| Refused { route: Some(routed.route), ..refused })?;
        let signature = self.pass(&routed, admission, &mut response_fields)?;
        let upstream = self.upstream(&routed, &response_fields)?;
        let facts = Facts { keep_alive: request.keep_alive(self.facts.is_http10), ..self.facts };
        let mut out = Out::take();
        let granted = admission.granted.as_ref().map_or(&[][..], |granted| &granted.to_service);
        let extra = Extra { trace: trace.as_ref(), granted };
        request.write(&mut out, head, route, peer, &routed.client, extra);
        let (framing, client) = (request.framing.clone(), routed.client.ip);
        let timeouts = route.timeouts;
        let steering = route.steering.as_deref();
        let lot = steering.and_then(|steering| request.lot(steering.key()?, routed.client.ip));
        let tokens = steering.map_or_else(Vec::new, |steering| request.tokens(steering));
        Ok(Prepared {
            facts,
            out,
            framing,
            client,
            route: routed.route,
            upstream,
            timeouts,
            response_fields,
            lot,
            tokens,
            stays: None,
            signature,
        })
    }

    /// Where no route is known, there may be a page all the same.
    fn without_route(&self, refusal: Refusal) -> Refused {
        let mut refused = Refused::plain(refusal, self.facts);
        let none = match refusal.status {
            421 => NoRoute::UnknownHost,
            404 => NoRoute::NoPath,
            _ => return refused,
        };
        if let Some(page) = self.table.page(self.request.host.as_bytes(), none) {
            refused.show(page);
        }
        refused
    }

    fn begin_log(&self, route: &Route, routed: &Routed<'_>, admission: &mut Admission) -> Option<Trace> {
        let log = route.site.log.as_ref()?;
        let trace = Trace::of(self.request.values("traceparent").next());
        let ip = routed.client.ip;
        let vouched = (ip != self.peer.ip).then(|| ip.to_string());
        let client = vouched.as_deref().unwrap_or(&self.peer.address);
        let told = told(self.request, route, client, self.facts, &trace);
        let told = Told { tls: self.peer.tls, protocol: self.peer.protocol.unwrap_or(told.protocol), ..told };
        admission.draft.get_or_insert_with(|| Draft::begin(log, &told));
        Some(trace)
    }

    /// Answers what needs no more than its route: requests without TLS, preflights. `fields` are those of all answers.
    fn answer_early(&mut self, route: &Route, client: IpAddr, fields: &mut Vec<u8>) -> Result<(), Refused> {
        if let (Some(port), false) = (route.https, self.facts.is_secure) {
            return Err(own::sent_to_https(port, self.request, self.facts));
        }
        if let Some(maintenance) = &route.site.maintenance
            && !maintenance.allow.iter().any(|network| network.contains(&client))
        {
            return Err(own::closed(maintenance, route, self.facts));
        }
        if self.peer.tls.is_some() && route.site.client_ca.is_none() {
            fields.extend_from_slice(&self.table.elsewhere);
        }
        if let Some(rules) = &route.response {
            self.facts.coding = coding_for(rules, self.request);
            if let Some(cors) = &rules.cors {
                own::allow_origins(cors, self.request, self.facts, fields)?;
            }
        }
        Ok(())
    }

    fn refusing(&self, routed: &Routed<'_>) -> Refusing<'_> {
        Refusing { facts: self.facts, route: &self.table.routes[routed.route], index: routed.route }
    }

    /// Asks its size, its limits, its rights. Gives what its body must be signed with.
    fn pass(
        &self,
        routed: &Routed<'_>,
        admission: &mut Admission,
        response_fields: &mut Vec<u8>,
    ) -> Result<Option<Box<Expected>>, Stopped> {
        let route = &self.table.routes[routed.route];
        let refuse = |refusal, fields: &[u8], response_fields: &[u8]| {
            self.refusing(routed).say(refusal, fields, response_fields)
        };
        if matches!(self.request.framing, Framing::Length(length) if length > route.max_body) {
            return Err(refuse(Refusal::new(413, "the body is too large"), b"", response_fields).into());
        }
        count(self.request, route, routed, admission)
            .map_err(|fields| refuse(Refusal::new(429, "over a limit"), &fields, response_fields))?;
        let Some(access) = &route.access else { return Ok(None) };
        let passing = Passing { request: self.request, access, routed, is_secure: self.facts.is_secure };
        passing.pass(admission, response_fields).map_err(|not_yet| match not_yet {
            NotYet::Denied(denied) => self.refusing(routed).deny(denied, response_fields).into(),
            NotYet::Asking(question) => Stopped::Asking(question),
        })
    }

    /// Where it goes, or the answer of a route that answers itself.
    fn upstream(&self, routed: &Routed<'_>, response_fields: &[u8]) -> Result<usize, Refused> {
        let route = &self.table.routes[routed.route];
        let refuse = |status, why, fields: &[u8]| {
            self.refusing(routed).say(Refusal::new(status, why), fields, response_fields)
        };
        match &route.action {
            Action::Forward(upstream) => Ok(*upstream),
            Action::Redirect(redirect) => {
                let location = own::location(redirect, self.request, self.peer, routed);
                Err(refuse(redirect.status, "redirected", &location))
            }
            Action::Files(files) => {
                let compression = route.response.as_ref().and_then(|rules| rules.compression.as_ref());
                let asked = own::asked_of_files(self.request, route, self.facts);
                let answer = files.answer(&asked, compression);
                let refused = refuse(answer.status, "a file", &answer.fields);
                Err(Refused { content: answer.content.or(refused.content), ..refused })
            }
        }
    }
}

/// What is refused once its route is known has the route's headers like everything else of the route.
struct Refusing<'a> {
    facts: Facts,
    route: &'a Route,
    index: usize,
}

impl Refusing<'_> {
    fn say(&self, refusal: Refusal, fields: &[u8], response_fields: &[u8]) -> Refused {
        let (facts, route) = (self.facts, Some(self.index));
        let mut refused = Refused { refusal, facts, fields: fields.to_vec(), route, content: None };
        refused.add_rules(self.route, response_fields);
        refused
    }

    fn deny(&self, denied: Denied, response_fields: &[u8]) -> Refused {
        let Denied { status, why, fields, body } = denied;
        let refused = self.say(Refusal::new(status, why), &fields, response_fields);
        Refused { content: body.map(|body| Content::Bytes(body.to_vec())).or(refused.content), ..refused }
    }
}

/// Lines that the service gets besides the client's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extra<'a> {
    pub(super) trace: Option<&'a Trace>,
    /// What was found out about who asks.
    pub(super) granted: &'a [u8],
}

/// What the access log is told.
fn told<'b>(
    request: &Request<'b>,
    route: &'b Route,
    client: &'b str,
    facts: Facts,
    trace: &'b Trace,
) -> Told<'b> {
    Told {
        client,
        scheme: if facts.is_secure { "https" } else { "http" },
        method: request.method,
        host: request.host_value,
        path_and_query: request.target.path_and_query,
        protocol: if facts.is_http10 { "HTTP/1.0" } else { "HTTP/1.1" },
        user_agent: request.values("user-agent").next(),
        referer: request.values("referer").next(),
        trace: trace.id(),
        route: &route.path,
        tls: None,
    }
}

/// Counts the request by the limits of its route, once; the error is what a client over one needs to know.
fn count(
    request: &Request<'_>,
    route: &Route,
    routed: &Routed<'_>,
    admission: &mut Admission,
) -> Result<(), Vec<u8>> {
    if route.limits.is_empty() || admission.counted.is_some() {
        return Ok(());
    }
    let keys = request.limit_keys(route, routed.client.ip);
    let passed = limit::count(&route.limits, &keys, clock::precise());
    admission.counted = Some(passed.map_err(|exceeded| limited(route, &exceeded))?);
    Ok(())
}

/// What a client that asks for too much needs to know to come back in time.
fn limited(route: &Route, exceeded: &Exceeded) -> Vec<u8> {
    let mut fields = Vec::new();
    if let Some(limit) = route.limits.get(exceeded.limit) {
        limit.write_fields(exceeded, &mut fields);
    }
    fields
}

/// The coding for the client, where the route compresses.
fn coding_for(rules: &ResponseRules, request: &Request<'_>) -> Option<ContentCoding> {
    let compression = rules.compression.as_ref()?;
    compression.coding_for(request.values("accept-encoding").next()?)
}
