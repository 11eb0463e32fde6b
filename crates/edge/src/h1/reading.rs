//! A request head, understood: what it asks for, of whom, and how its body ends.
//!
//! Everything that could be read in two ways is refused here (RFC 9112, 11.2). Knows nothing about what is sent on.

use super::body::Framing;
use super::field::{Connection, Field};
use super::forwarded::Peer;
use super::head::MOST_FIELDS;
use super::request::{Facts, Refusal, Upgrade};
use super::uri::{self, Host, Target};
use super::values::Values;
use crate::identity::{Claims, Client};
use crate::limit;
use crate::route::Route;
use crate::steering::{Steering, hash};
use crate::sticky::{self, Token};
use crate::table::{NoRoute, Table, paths};
use httparse::Header;
use mainstay_model::{Conditions, HashKey, LimitKey};
use std::net::IpAddr;

/// A request, understood.
pub(super) struct Request<'b> {
    pub(super) method: &'b str,
    pub(super) target: Target<'b>,
    pub(super) host: Host,
    /// As the client sent it.
    pub(super) host_value: &'b [u8],
    pub(super) framing: Framing,
    pub(super) connection: Connection<'b>,
    pub(super) upgrade: Option<&'b [u8]>,
    pub(super) fields: &'b [Header<'b>],
    pub(super) kinds: [Field; MOST_FIELDS],
    claims: Claims<'b>,
}

impl<'b> Request<'b> {
    pub(super) fn read(
        method: &'b str,
        path: &'b [u8],
        fields: &'b [Header<'b>],
        facts: &mut Facts,
    ) -> Result<Self, Refusal> {
        let mut kinds = [Field::Other; MOST_FIELDS];
        let values = Values::collect(fields, &mut kinds, facts)?;
        if matches!(method, "CONNECT" | "TRACE") {
            return Err(Refusal::new(405, "CONNECT or TRACE"));
        }
        let target = uri::target(method, path).map_err(|error| match error {
            uri::UriError::BadByte => Refusal::new(400, "bad byte in the request target"),
            uri::UriError::DotSegment => Refusal::new(400, "dot segment in the path"),
            _ => Refusal::new(400, "bad request target"),
        })?;
        let (host, host_value) = values.host(&target, facts.is_http10)?;
        let framing = values.framing(facts.is_http10)?;
        let is_bodyless = framing.is_done();
        let upgrade = values.upgrade.filter(|_| values.connection.upgrade && is_bodyless && !facts.is_http10);
        facts.upgrade = upgrade.map(|value| match value.eq_ignore_ascii_case(b"websocket") {
            true => Upgrade::WebSocket,
            false => Upgrade::Other,
        });
        facts.expects_continue &= !is_bodyless && !facts.is_http10;
        let request = Self {
            method,
            target,
            host,
            host_value,
            framing,
            connection: values.connection,
            upgrade,
            fields,
            kinds,
            claims: values.claims,
        };
        facts.keep_alive = request.keep_alive(facts.is_http10);
        Ok(request)
    }

    pub(super) fn keep_alive(&self, is_http10: bool) -> bool {
        !self.connection.close && (!is_http10 || self.connection.keep_alive)
    }

    /// The route of the request, and its client.
    pub(super) fn route(&self, table: &Table, peer: &Peer) -> Result<Routed<'b>, Refusal> {
        let host = self.host.as_bytes();
        let path = if self.target.path() == b"*" { b"/" } else { self.target.path() };
        let meets = |conditions: &Conditions| self.meets(conditions);
        let found = table.find(host, path, &meets).map_err(|none| match none {
            NoRoute::UnknownHost => Refusal::new(421, "unknown host"),
            NoRoute::NoPath => Refusal::new(404, "no route for this path"),
        })?;
        // Whatever the upstream makes of the path must be this route's business.
        let agrees = |reading: &Vec<u8>| table.find(host, reading, &meets).is_ok_and(|other| other == found);
        if !self.target.is_plain && !uri::readings(path).iter().all(agrees) {
            return Err(Refusal::new(400, "the path could mean another route"));
        }
        let rivals = &table.routes[found.clone()];
        let site = &rivals[0].site;
        let client = site.trust.client(peer.ip, &self.claims);
        if site.origin_lock && !client.is_vouched {
            return Err(Refusal::new(403, "not from a trusted proxy"));
        }
        if site.client_ca.as_ref().is_some_and(|authority| !authority.admits(peer.shown.as_ref())) {
            return Err(Refusal::new(403, "no certificate of the authority that is asked for"));
        }
        let place =
            paths::pick(rivals, || lot(client.ip)).ok_or(Refusal::new(503, "no route has a share"))?;
        Ok(Routed { route: found.start + place, client })
    }

    fn meets(&self, conditions: &Conditions) -> bool {
        let Conditions { methods, headers } = conditions;
        let has = |(name, value): (&String, &Option<String>)| match value {
            Some(value) => self.values(name).any(|v| v == value.as_bytes()),
            None => self.values(name).next().is_some(),
        };
        (methods.is_empty() || methods.iter().any(|m| m == self.method)) && headers.iter().all(has)
    }

    /// The values of a field.
    pub(super) fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The number of what `key` says requests are told apart by.
    pub(super) fn lot(&self, key: &HashKey, client: IpAddr) -> Option<u64> {
        match key {
            HashKey::Client => Some(lot(client)),
            HashKey::Header(name) => self.values(name).next().map(hash),
            HashKey::Cookie(name) => self.cookies(name).next().map(hash),
        }
    }

    /// The values of cookies of this name (RFC 6265, 4.2.1): one for each path that has one, the longest path's first.
    fn cookies<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        let pairs =
            self.values("cookie").flat_map(|value| value.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
        pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// What the client brings back from the edge's own cookie.
    pub(super) fn tokens(&self, steering: &Steering) -> Vec<Token> {
        let Some(name) = steering.cookie() else { return Vec::new() };
        self.cookies(name).filter_map(Token::read).take(sticky::MOST_TOKENS).collect()
    }

    /// What the request counts by in each of its route's limits.
    pub(super) fn limit_keys(&self, route: &Route, client: IpAddr) -> limit::Keys {
        let mut keys = limit::Keys::default();
        for (limit, key) in route.limits.iter().zip(&mut keys) {
            *key = match limit.key() {
                LimitKey::Client => Some(limit.zone.client(client)),
                LimitKey::Header(name) => self.values(name).next().map(|value| limit.zone.text(value)),
                LimitKey::Route => Some(limit.zone.text(&route.path)),
            };
        }
        keys
    }
}

/// A request's route and client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Routed<'b> {
    /// Index into the table's routes.
    pub(super) route: usize,
    pub(super) client: Client<'b>,
}

/// A number that stays the same for a client, in every thread and after a restart, and is spread evenly.
fn lot(client: IpAddr) -> u64 {
    hash(client)
}
