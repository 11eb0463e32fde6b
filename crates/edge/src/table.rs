//! The routing table in the form requests are matched against, built from the model's and never changed after.
//!
//! Matching is nginx's: the host picks first (exact, then the longest wildcard suffix, then `*`) and a request
//! never falls back to another host; then the longest path prefix wins, compared byte by byte: `/api` matches
//! `/api`, `/api/x` and `/apix`; write `/api/` to mean a directory. Knows nothing about connections.

use crate::clock::{self, Millis};
use crate::target::{Address, Phase, TargetState, UpstreamState};
use mainstay_model::table::{ListenerKind, RouteTable, Target};
use mainstay_model::{HostPattern, RouteTimeouts};
use std::collections::HashMap;
use std::net::SocketAddr;
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

/// A route, ready to be used.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: Box<[u8]>,
    pub(crate) strip_prefix: bool,
    /// Index into [`Table::upstreams`].
    pub(crate) upstream: usize,
    pub(crate) timeouts: Timeouts,
}

/// [`RouteTimeouts`] in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Millis,
    pub(crate) read: Millis,
    pub(crate) write: Millis,
}

impl From<RouteTimeouts> for Timeouts {
    fn from(RouteTimeouts { connect, read, write }: RouteTimeouts) -> Self {
        Self { connect: clock::millis(connect), read: clock::millis(read), write: clock::millis(write) }
    }
}

/// What a route points to.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) state: Arc<UpstreamState>,
    pub(crate) targets: Vec<Arc<TargetState>>,
    /// While the service is being swapped: until when requests wait.
    pub(crate) hold_until: Option<Millis>,
}

/// What a listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Https,
    /// Index into [`Table::upstreams`].
    Tcp(usize),
}

/// A whole table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) version: u64,
    pub(crate) listeners: Vec<(SocketAddr, Kind)>,
    pub(crate) upstreams: Vec<Upstream>,
    exact: HashMap<Box<[u8]>, Vec<Route>>,
    /// By suffix, the longest first.
    wildcard: Vec<(Box<[u8]>, Vec<Route>)>,
    any: Vec<Route>,
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
    /// The route for a request; `host` in lower case, without port and trailing dot.
    pub(crate) fn find(&self, host: &[u8], path: &[u8]) -> Result<&Route, NoRoute> {
        let routes = self.routes_of(host).ok_or(NoRoute::UnknownHost)?;
        routes.iter().find(|route| path.starts_with(&route.path)).ok_or(NoRoute::NoPath)
    }

    fn routes_of(&self, host: &[u8]) -> Option<&[Route]> {
        if let Some(routes) = self.exact.get(host) {
            return Some(routes);
        }
        let longer = |suffix: &[u8]| host.len() > suffix.len() && host.ends_with(suffix);
        if let Some((_, routes)) = self.wildcard.iter().find(|(suffix, _)| longer(suffix)) {
            return Some(routes);
        }
        (!self.any.is_empty()).then_some(&self.any)
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
    /// By instance and address. An instance in no table lives on while a request holds it.
    targets: HashMap<(String, String), Weak<TargetState>>,
    /// Upstreams keep their counts for the life of the process.
    upstreams: HashMap<String, Arc<UpstreamState>>,
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

    /// Builds a table. Nothing that is in force changes yet: see [`Registry::enter_phases`].
    pub(crate) fn build(&self, model: &RouteTable) -> Result<Table, TableError> {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut table = Table { version: model.version, ..Table::default() };
        let mut index = HashMap::new();
        for (key, upstream) in &model.upstreams {
            index.insert(key.as_str(), table.upstreams.len());
            let targets = upstream.targets.iter().map(|t| seen.target(t)).collect::<Result<_, _>>()?;
            for draining in &upstream.draining {
                seen.target(&draining.target)?;
            }
            let state = seen.upstream(key, self.workers);
            let hold_until = upstream.hold_until.map(clock::from_wall);
            table.upstreams.push(Upstream { state, targets, hold_until });
        }
        let find = |what: String, key: &str| {
            index.get(key).copied().ok_or_else(|| TableError::UnknownUpstream { what, key: key.to_owned() })
        };
        for listener in &model.listeners {
            let kind = match &listener.kind {
                ListenerKind::Http => Kind::Http,
                ListenerKind::Https => Kind::Https,
                ListenerKind::Tcp { upstream } => {
                    Kind::Tcp(find(format!("listener {}", listener.address), upstream)?)
                }
            };
            if table.kind(listener.address).is_some() {
                return Err(TableError::DoubleListener(listener.address));
            }
            table.listeners.push((listener.address, kind));
        }
        for route in &model.routes {
            if !route.path.starts_with('/') {
                return Err(TableError::RelativePath(route.path.clone()));
            }
            let upstream = find(format!("route {}{}", route.host, route.path), &route.upstream)?;
            let compiled = Route {
                path: route.path.as_bytes().into(),
                strip_prefix: route.strip_prefix,
                upstream,
                timeouts: route.timeouts.into(),
            };
            table.add(&route.host, compiled);
        }
        table.sort();
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
        let active: std::collections::HashSet<_> =
            model.upstreams.values().flat_map(|u| &u.targets).map(key).collect();
        seen.targets.retain(|_, target| target.strong_count() > 0);
        for (key, target) in &seen.targets {
            let Some(target) = target.upgrade() else { continue };
            if active.contains(key) {
                target.enter(Phase::Active, clock::NEVER);
            } else {
                // Gone without a word about draining: let it finish, as long as its instance lives.
                target.enter(Phase::Leaving, draining.get(key).copied().unwrap_or(clock::NEVER));
            }
        }
    }
}

impl Table {
    fn add(&mut self, host: &HostPattern, route: Route) {
        match host {
            HostPattern::Exact(name) => self.exact.entry(name.as_bytes().into()).or_default().push(route),
            HostPattern::Wildcard(suffix) => {
                let suffix = suffix.as_bytes();
                match self.wildcard.iter_mut().find(|(known, _)| **known == *suffix) {
                    Some((_, routes)) => routes.push(route),
                    None => self.wildcard.push((suffix.into(), vec![route])),
                }
            }
            HostPattern::Any => self.any.push(route),
        }
    }

    fn sort(&mut self) {
        let longest_first = |routes: &mut Vec<Route>| routes.sort_by_key(|r| std::cmp::Reverse(r.path.len()));
        self.exact.values_mut().for_each(longest_first);
        self.wildcard.iter_mut().for_each(|(_, routes)| longest_first(routes));
        longest_first(&mut self.any);
        self.wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
    }
}

impl Seen {
    fn target(&mut self, target: &Target) -> Result<Arc<TargetState>, TableError> {
        let Target { instance, address } = target;
        let key = (instance.clone(), address.clone());
        if let Some(known) = self.targets.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let parsed = parse_address(address)
            .ok_or_else(|| TableError::BadAddress { instance: instance.clone(), address: address.clone() })?;
        let state = Arc::new(TargetState::new(instance, parsed));
        self.targets.insert(key, Arc::downgrade(&state));
        Ok(state)
    }

    fn upstream(&mut self, key: &str, workers: usize) -> Arc<UpstreamState> {
        let make = || Arc::new(UpstreamState::new(key, workers));
        self.upstreams.entry(key.to_owned()).or_insert_with(make).clone()
    }
}

fn parse_address(text: &str) -> Option<Address> {
    if let Ok(ip) = text.parse() {
        return Some(Address::Ip(ip));
    }
    let (name, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let valid = !name.is_empty() && name.bytes().all(plain);
    valid.then(|| Address::Name { name: text.to_owned(), known: Mutex::new(None) })
}
