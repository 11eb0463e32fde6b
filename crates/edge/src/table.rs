//! The routing table in the form requests are matched against, built from the model's and never changed after.
//!
//! Matching is nginx's: the host picks first (exact, then the longest wildcard suffix, then `*`) and a request
//! never falls back to another host; then the longest path prefix wins, compared byte by byte: `/api` matches
//! `/api`, `/api/x` and `/apix`; write `/api/` to mean a directory. Knows nothing about connections.

#[cfg(any(test, fuzzing))]
mod anything;
mod compile;
pub(crate) mod paths;

use crate::balance::{self, Choosing};
use crate::clients::Clients;
use crate::clock::{self, Millis};
use crate::health::Health;
use crate::limit;
use crate::manner::Manner;
use crate::metrics::RouteStats;
use crate::route::Route;
use crate::shares::{Share, Shared};
use crate::site::Site;
use crate::steering::Steering;
use crate::target::{Address, Phase, TargetState, UpstreamState};
use compile::{Compiler, Hosts};
use mainstay_model::table::{ListenerKind, Passthrough, RouteTable, TableRoute, Target};
use mainstay_model::{Conditions, HostPattern, PageFor, Transport};
use paths::Paths;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

/// Why a table was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    /// The table is older than the one in force.
    #[error("table version {offered} is older than version {current} in force")]
    Older { offered: u64, current: u64 },
    /// A route or listener names an upstream the table does not have.
    #[error("{what} names upstream `{key}`, which the table does not define")]
    UnknownUpstream { what: String, key: String },
    /// A route names a limit the table does not have.
    #[error("route {what} names limit `{key}`, which the table does not define")]
    UnknownLimit { what: String, key: String },
    /// A route names more limits than are counted.
    #[error("route {0} has too many limits")]
    TooManyLimits(String),
    /// A route has neither an upstream nor anything else to answer with.
    #[error("route {0} leads nowhere")]
    NoAction(String),
    /// A path prefix does not start with a slash.
    #[error("route path `{0}` must start with `/`")]
    RelativePath(String),
    /// An instance's address is neither `ip:port` nor `name:port`.
    #[error("`{address}` of instance `{instance}` is not an address of the form host:port")]
    BadAddress { instance: String, address: String },
    /// Two listeners on one address.
    #[error("two listeners on {0}")]
    DoubleListener(SocketAddr),
}

/// What a route points to.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) state: Arc<UpstreamState>,
    pub(crate) targets: Vec<Arc<TargetState>>,
    /// What each of them is to get; empty where all get the same.
    pub(crate) shares: Box<[Share]>,
    /// While the service is being swapped: until when requests wait.
    pub(crate) hold_until: Option<Millis>,
    /// Its targets are asked how they are.
    pub(crate) health: Option<Health>,
}

impl Upstream {
    /// Picks a target with room, for a route with these rules. One that is to be avoided is the last choice.
    pub(crate) fn choose(
        &self,
        steering: Option<&Steering>,
        choosing: Choosing,
        now: Millis,
        tried: impl Fn(u64) -> bool,
    ) -> Option<&Arc<TargetState>> {
        let (most, slow_start) = steering.map_or((u64::MAX, 0), |rules| (rules.most, rules.slow_start));
        if self.shares.is_empty() && slow_start == 0 {
            return balance::choose(&self.targets, choosing, most, now, tried);
        }
        let Self { state, targets, shares, .. } = self;
        Shared { targets, shares, wheel: &state.wheel, slow_start }.choose(choosing, most, now, tried)
    }
}

/// What a listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Https,
    /// Index into [`Table::upstreams`].
    Tcp(usize),
    /// By [`Table::upstream_named`].
    Sni,
}

/// A whole table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) version: u64,
    pub(crate) listeners: Vec<(SocketAddr, Kind)>,
    /// Those of them where a load balancer says who the client is.
    pub(crate) proxied: Vec<SocketAddr>,
    pub(crate) upstreams: Vec<Upstream>,
    /// Names whose TLS is passed on, where, and the index of the upstream.
    passthrough: Vec<(Option<SocketAddr>, HostPattern, usize)>,
    /// What connections of clients are held to.
    pub(crate) clients: Clients,
    /// Line that tells clients of TLS listeners where HTTP/3 is spoken (RFC 7838, 3); empty where it is not.
    pub(crate) elsewhere: Vec<u8>,
    /// Some site asks clients for certificates.
    pub(crate) asks_clients: bool,
    /// Has a page for hosts that no route has.
    lost: Option<Arc<Site>>,
    /// Sites that trust some proxies.
    trusting: Vec<Arc<Site>>,
    /// All routes; those of one host stand together.
    pub(crate) routes: Vec<Route>,
    exact: HashMap<Box<[u8]>, Paths>,
    /// By suffix, the longest first.
    wildcard: Vec<(Box<[u8]>, Paths)>,
    any: Paths,
}

/// No route for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// No route has this host.
    UnknownHost,
    /// Routes have this host, but none this path.
    NoPath,
}

impl Table {
    /// Where the route for a request stands, or those that share it by weight (see [`paths::pick`]); `host` in lower
    /// case, without port and trailing dot; `meets` tells whether the request is what a route's conditions ask for.
    pub(crate) fn find(
        &self,
        host: &[u8],
        path: &[u8],
        meets: &impl Fn(&Conditions) -> bool,
    ) -> Result<Range<usize>, NoRoute> {
        let paths = self.paths_of(host).ok_or(NoRoute::UnknownHost)?;
        paths.find(&self.routes, path, meets).ok_or(NoRoute::NoPath)
    }

    fn paths_of(&self, host: &[u8]) -> Option<&Paths> {
        if let Some(paths) = self.exact.get(host) {
            return Some(paths);
        }
        let longer = |suffix: &[u8]| host.len() > suffix.len() && host.ends_with(suffix);
        if let Some((_, paths)) = self.wildcard.iter().find(|(suffix, _)| longer(suffix)) {
            return Some(paths);
        }
        (!self.any.is_empty()).then_some(&self.any)
    }

    /// Whether TLS may not be ours where TLS is spoken with us.
    pub(crate) fn passes_tls_on(&self) -> bool {
        self.passthrough.iter().any(|(on, ..)| on.is_none())
    }

    /// The upstream that gets TLS for `name` as it comes: on the listener at `on`, or wherever TLS is spoken with us. An
    /// exact name goes before the longest wildcard; and a name that has routes of its own before any wildcard.
    pub(crate) fn upstream_named(&self, on: Option<SocketAddr>, name: Option<&str>) -> Option<usize> {
        let rank = |host: &HostPattern| match (host, name) {
            (HostPattern::Exact(exact), Some(name)) => (exact == name).then_some(usize::MAX),
            (HostPattern::Wildcard(suffix), Some(name)) => {
                let is_ours = on.is_none() && self.exact.contains_key(name.as_bytes());
                let fits = name.len() > suffix.len() && name.ends_with(suffix.as_str());
                (fits && !is_ours).then_some(suffix.len())
            }
            (HostPattern::Any, _) => Some(0),
            (_, None) => None,
        };
        let here = self.passthrough.iter().filter(|(listener, ..)| *listener == on);
        let fitting = here.filter_map(|(_, host, upstream)| Some((rank(host)?, *upstream)));
        fitting.max_by_key(|(rank, _)| *rank).map(|(_, upstream)| upstream)
    }

    /// The page for a request that has no route. Where its host has some, it is that of their stack.
    pub(crate) fn page(&self, host: &[u8], none: NoRoute) -> Option<&str> {
        match none {
            NoRoute::UnknownHost => self.lost.as_ref()?.errors.page(421),
            NoRoute::NoPath => self.routes[self.paths_of(host)?.shortest()?].site.errors.page(404),
        }
    }

    /// Whether some site trusts the proxy at this address.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.trusting.iter().any(|site| site.trust.covers(ip.to_canonical()))
    }

    /// What the listener on `address` does, if there is one.
    pub(crate) fn kind(&self, address: SocketAddr) -> Option<Kind> {
        self.listeners.iter().find(|(a, _)| *a == address).map(|(_, kind)| *kind)
    }
}

/// Everything ever seen behind the edge and still of interest, so that counts survive a new table.
#[derive(Debug)]
pub(crate) struct Registry {
    workers: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By instance, address and how it is spoken to. An instance in no table lives on while a request holds it.
    targets: HashMap<(String, String, Transport), Weak<TargetState>>,
    /// Ways of speaking to upstreams. One in no table lives on while an instance has it.
    manners: HashMap<Transport, Weak<Manner>>,
    /// Upstreams keep their counts for the life of the process.
    upstreams: HashMap<String, Arc<UpstreamState>>,
    /// What limits remember of clients, with the number of keys each has room for. A limit in no table is forgotten.
    zones: HashMap<String, (u32, Weak<limit::Zone>)>,
    /// Counts of routes, by stack, host and path. A route in no table is forgotten.
    routes: HashMap<(String, String, String), Weak<RouteStats>>,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, seen: Mutex::default() }
    }

    /// Runs `look` on all targets and upstreams.
    pub(crate) fn visit(
        &self,
        mut target: impl FnMut(&TargetState),
        mut upstream: impl FnMut(&UpstreamState),
    ) {
        let seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.targets.values().filter_map(Weak::upgrade).for_each(|t| target(&t));
        seen.upstreams.values().for_each(|u| upstream(u));
    }

    /// Runs `look` on the counts of all routes.
    pub(crate) fn visit_routes(&self, look: impl FnMut(&RouteStats)) {
        let seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut all: Vec<_> =
            seen.routes.iter().filter_map(|(key, stats)| Some((key, stats.upgrade()?))).collect();
        all.sort_by_key(|(key, _)| *key);
        all.iter().map(|(_, stats)| &**stats).for_each(look);
    }

    /// Builds a table. Nothing that is in force changes yet: see [`Registry::enter_phases`].
    pub(crate) fn build(&self, model: &RouteTable) -> Result<Table, TableError> {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let clients = Clients::new(&model.clients);
        let mut table = Table { version: model.version, clients, ..Table::default() };
        let mut index = HashMap::new();
        for (key, upstream) in &model.upstreams {
            index.insert(key.as_str(), table.upstreams.len());
            table.upstreams.push(seen.compile(key, upstream, self.workers)?);
        }
        for listener in &model.listeners {
            let kind = match &listener.kind {
                ListenerKind::Http => Kind::Http,
                ListenerKind::Https { http3 } => {
                    if *http3 && table.elsewhere.is_empty() {
                        let port = listener.address.port();
                        table.elsewhere = format!("Alt-Svc: h3=\":{port}\"; ma=86400\r\n").into_bytes();
                    }
                    Kind::Https
                }
                ListenerKind::Sni => Kind::Sni,
                ListenerKind::Tcp { upstream } => {
                    Kind::Tcp(compile::find(&index, || format!("listener {}", listener.address), upstream)?)
                }
            };
            if table.kind(listener.address).is_some() {
                return Err(TableError::DoubleListener(listener.address));
            }
            table.listeners.push((listener.address, kind));
            if listener.proxied {
                table.proxied.push(listener.address);
            }
        }
        for Passthrough { on, host, upstream } in &model.passthrough {
            let upstream = compile::find(&index, || format!("passthrough of {host}"), upstream)?;
            table.passthrough.push((*on, host.clone(), upstream));
        }
        let limits = model.limits.iter();
        let compiler = Compiler {
            upstreams: &index,
            limits: limits.map(|(key, settings)| (key.as_str(), seen.limit(key, settings))).collect(),
            sites: model
                .sites
                .iter()
                .map(|(key, site)| (key.as_str(), (site, Arc::new(Site::new(key, site)))))
                .collect(),
            plain: Default::default(),
        };
        let sites = compiler.sites.values().map(|(_, site)| site);
        // One that speaks of this status alone: what a stack shows for all errors of its own is not for other hosts.
        let mut named = model.sites.iter();
        let lost = named.find(|(_, site)| site.errors.pages.contains_key(&PageFor::Status(421)));
        table.lost = lost.and_then(|(key, _)| Some(compiler.sites.get(key.as_str())?.1.clone()));
        table.asks_clients = model.sites.values().any(|site| site.client_ca.is_some());
        table.trusting = sites.filter(|site| !site.trust.is_empty()).cloned().collect();
        let mut hosts = Hosts::default();
        for route in &model.routes {
            let stats = seen.route(route, self.workers);
            hosts.add(&route.host, compiler.route(route, stats)?);
        }
        hosts.into_table(&mut table);
        Ok(table)
    }

    /// Carries out what `model` says about who takes requests and who leaves, when it comes into force.
    pub(crate) fn enter_phases(&self, model: &RouteTable) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = |t: &Target| (t.instance.clone(), t.address.clone());
        let draining: HashMap<_, _> = model
            .upstreams
            .values()
            .flat_map(|u| &u.draining)
            .map(|d| (key(&d.target), clock::from_wall(d.until)))
            .collect();
        let taking = model.upstreams.values().flat_map(|u| u.targets.iter().map(|t| (t, &u.transport)));
        let spoken_to = |(t, transport): (&Target, &Transport)| {
            (t.instance.clone(), t.address.clone(), transport.clone())
        };
        let active: std::collections::HashSet<_> = taking.map(spoken_to).collect();
        seen.routes.retain(|_, stats| stats.strong_count() > 0);
        seen.zones.retain(|_, (_, zone)| zone.strong_count() > 0);
        seen.targets.retain(|_, target| target.strong_count() > 0);
        seen.manners.retain(|_, manner| manner.strong_count() > 0);
        for (key, target) in &seen.targets {
            let Some(target) = target.upgrade() else { continue };
            if active.contains(key) {
                target.enter(Phase::Active, clock::NEVER, clock::now());
            } else {
                // Gone without a word about draining: let it finish, as long as its instance lives.
                let named = (key.0.clone(), key.1.clone());
                let closes_by = draining.get(&named).copied().unwrap_or(clock::NEVER);
                target.enter(Phase::Leaving, closes_by, clock::now());
            }
        }
    }
}

impl Seen {
    /// An upstream, with what is known of it and of its targets from earlier tables on.
    fn compile(
        &mut self,
        key: &str,
        upstream: &mainstay_model::table::Upstream,
        workers: usize,
    ) -> Result<Upstream, TableError> {
        let manner = self.manner(&upstream.transport);
        let target = |t| self.target(t, &upstream.transport, manner.as_ref());
        let targets = upstream.targets.iter().map(target).collect::<Result<Vec<_>, _>>()?;
        for draining in &upstream.draining {
            parse_address(&draining.target)?;
        }
        let state = self.upstream(key, workers);
        let hold_until = upstream.hold_until.map(clock::from_wall);
        let health = upstream.health.as_ref().map(Health::new);
        // Should the table be refused, some are owed nothing for once.
        state.wheel.keep(&targets);
        Ok(Upstream { state, targets, shares: shares(&upstream.targets), hold_until, health })
    }

    fn target(
        &mut self,
        target: &Target,
        transport: &Transport,
        manner: Option<&Arc<Manner>>,
    ) -> Result<Arc<TargetState>, TableError> {
        let Target { instance, address, .. } = target;
        let key = (instance.clone(), address.clone(), transport.clone());
        if let Some(known) = self.targets.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let mut state = TargetState::new(instance, parse_address(target)?);
        state.manner = manner.cloned();
        let state = Arc::new(state);
        self.targets.insert(key, Arc::downgrade(&state));
        Ok(state)
    }

    fn manner(&mut self, transport: &Transport) -> Option<Arc<Manner>> {
        if let Some(known) = self.manners.get(transport).and_then(Weak::upgrade) {
            return Some(known);
        }
        let made = Manner::new(transport).map(Arc::new)?;
        self.manners.insert(transport.clone(), Arc::downgrade(&made));
        Some(made)
    }

    /// The counts of a route, from earlier tables on.
    fn route(&mut self, route: &TableRoute, workers: usize) -> Arc<RouteStats> {
        let (host, path) = (route.host.to_string(), route.path.clone());
        let key = (route.site.clone(), host, path);
        if let Some(known) = self.routes.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(RouteStats::new(&key.0, &key.1, &key.2, workers));
        self.routes.insert(key, Arc::downgrade(&fresh));
        fresh
    }

    /// A limit, with what it remembers from earlier tables.
    fn limit(&mut self, key: &str, settings: &mainstay_model::Limit) -> Arc<limit::InForce> {
        let known = self.zones.get(key).filter(|(keys, _)| *keys == settings.keys);
        let zone = known.and_then(|(_, zone)| zone.upgrade()).unwrap_or_else(|| {
            let zone = Arc::new(limit::Zone::new(settings.keys));
            self.zones.insert(key.to_owned(), (settings.keys, Arc::downgrade(&zone)));
            zone
        });
        Arc::new(limit::InForce::new(key, settings, zone))
    }

    fn upstream(&mut self, key: &str, workers: usize) -> Arc<UpstreamState> {
        let make = || Arc::new(UpstreamState::new(key, workers));
        self.upstreams.entry(key.to_owned()).or_insert_with(make).clone()
    }
}

/// What each target is to get; nothing where none of them says anything.
fn shares(targets: &[Target]) -> Box<[Share]> {
    if targets.iter().all(|target| target.weight.is_none() && !target.is_backup) {
        return Box::default();
    }
    let share = |target: &Target| Share { weight: target.weight.unwrap_or(1), is_backup: target.is_backup };
    targets.iter().map(share).collect()
}

fn parse_address(target: &Target) -> Result<Address, TableError> {
    let Target { instance, address, .. } = target;
    let bad = || TableError::BadAddress { instance: instance.clone(), address: address.clone() };
    address_of(address).ok_or_else(bad)
}

fn address_of(text: &str) -> Option<Address> {
    if let Ok(ip) = text.parse() {
        return Some(Address::Ip(ip));
    }
    let (name, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let valid = !name.is_empty() && name.bytes().all(plain);
    valid.then(|| Address::Name { name: text.to_owned(), known: Mutex::new(None) })
}
