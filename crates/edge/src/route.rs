//! A route in the form requests meet it: everything looked up and computed once, when its table is built.
//!
//! Knows nothing about other routes and about connections.

use crate::access::Access;
use crate::client::Scheme;
use crate::clock::{self, Millis, NEVER};
use crate::files::Files;
use crate::headers::{RequestRules, ResponseRules};
use crate::limit;
use crate::metrics::RouteStats;
use crate::pool::Keeping;
use crate::site::Site;
use crate::steering::Steering;
use mainstay_model::{Conditions, RoutePolicy, RouteTimeouts};
use std::sync::Arc;

/// A route, ready to be used.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: Box<[u8]>,
    pub(crate) exact: bool,
    /// What else must be true of a request; most routes have nothing here.
    pub(crate) when: Option<Box<Conditions>>,
    /// Share of the clients, against its neighbours in the table.
    pub(crate) weight: Option<u32>,
    pub(crate) action: Action,
    /// Requests without TLS are sent to this port, with it.
    pub(crate) https: Option<u16>,
    /// Stands in the place of the path's first bytes, as many as [`Route::path`] has.
    pub(crate) rewrite: Option<Box<[u8]>>,
    /// Is put before the path.
    pub(crate) add_prefix: Option<Box<[u8]>>,
    pub(crate) site: Arc<Site>,
    pub(crate) limits: Box<[Arc<limit::InForce>]>,
    /// Who may use it; mostly everybody.
    pub(crate) access: Option<Arc<Access>>,
    /// What it says about instances; mostly nothing.
    pub(crate) steering: Option<Box<Steering>>,
    /// Which connections to instances are kept.
    pub(crate) keeping: Keeping,
    /// What is done to header fields and bodies; mostly nothing.
    pub(crate) request: Option<Box<RequestRules>>,
    pub(crate) response: Option<Box<ResponseRules>>,
    /// Largest request body; `u64::MAX` for any.
    pub(crate) max_body: u64,
    pub(crate) timeouts: Timeouts,
    pub(crate) stats: Arc<RouteStats>,
}

/// What a route has in common with others, or with itself in other tables.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) site: Arc<Site>,
    pub(crate) limits: Vec<Arc<limit::InForce>>,
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) stats: Arc<RouteStats>,
}

/// What a route does with a request.
#[derive(Debug)]
pub(crate) enum Action {
    /// Passes it on. Index into the table's upstreams.
    Forward(usize),
    /// Sends the client elsewhere.
    Redirect(Redirect),
    /// Serves files.
    Files(Files),
}

/// Another address for a request.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) status: u16,
    parts: Box<[Part]>,
}

#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    Scheme,
    Host,
    Path,
    Query,
    Uri,
}

/// What a redirect's target can be made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'b> {
    pub(crate) scheme: Scheme,
    pub(crate) host: &'b [u8],
    pub(crate) path_and_query: &'b [u8],
    pub(crate) path_len: usize,
}

/// [`RouteTimeouts`] in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Millis,
    pub(crate) read: Millis,
    pub(crate) write: Millis,
    pub(crate) body: Millis,
    pub(crate) first_byte: Millis,
    pub(crate) request: Millis,
}

impl From<RouteTimeouts> for Timeouts {
    fn from(
        RouteTimeouts { connect, read, write, body, first_byte, request, queue: _ }: RouteTimeouts,
    ) -> Self {
        Self {
            connect: clock::millis(connect),
            read: clock::millis(read),
            write: clock::millis(write),
            body: clock::millis(body),
            first_byte: clock::millis(first_byte.unwrap_or(read)),
            request: request.map_or(NEVER, clock::millis),
        }
    }
}

impl Route {
    pub(crate) fn new(
        path: &str,
        policy: &RoutePolicy,
        action: Action,
        settings: &mainstay_model::Site,
        shared: Shared,
    ) -> Self {
        let Shared { site, limits, access, stats } = shared;
        let bytes = |text: &String| text.as_bytes().into();
        let rewrite = policy.rewrite.as_ref().map(bytes).or(policy.strip_prefix.then(|| b"/"[..].into()));
        Self {
            path: path.as_bytes().into(),
            exact: policy.exact,
            when: (policy.when.count() > 0).then(|| Box::new(policy.when.clone())),
            weight: policy.weight,
            action,
            https: None,
            rewrite,
            add_prefix: policy.add_prefix.as_ref().map(bytes),
            site,
            limits: limits.into(),
            access,
            steering: Steering::new(policy),
            keeping: Keeping::new(&policy.keepalive),
            request: RequestRules::new(policy, settings),
            response: ResponseRules::new(policy, settings),
            max_body: policy.max_body.unwrap_or(u64::MAX),
            timeouts: policy.timeouts.into(),
            stats,
        }
    }

    /// How much it asks of a request: what asks for more is tried before.
    pub(crate) fn specificity(&self) -> (bool, usize) {
        (self.exact, self.when.as_ref().map_or(0, |when| when.count()))
    }

    /// Whether two routes on one path take the same requests.
    pub(crate) fn is_rival(&self, other: &Self) -> bool {
        self.exact == other.exact && self.when == other.when
    }

    /// Appends the path and query that the upstream gets. Whatever the route takes off or puts on, it begins with one
    /// slash, lest `//x` be taken for a host.
    pub(crate) fn write_target(&self, out: &mut Vec<u8>, whole: &[u8]) {
        if self.rewrite.is_none() && self.add_prefix.is_none() {
            return out.extend_from_slice(whole);
        }
        let from = out.len();
        let mut put = |bytes: &[u8]| {
            // Where two parts meet there is one slash.
            let doubled = out.len() > from && out.last() == Some(&b'/') && bytes.first() == Some(&b'/');
            out.extend_from_slice(&bytes[usize::from(doubled)..]);
        };
        if let Some(prefix) = &self.add_prefix {
            put(prefix);
        }
        match (&self.rewrite, whole.strip_prefix(&*self.path)) {
            (Some(new), Some(rest)) => {
                put(new);
                let slashes = match new.last() {
                    Some(b'/') => rest.iter().take_while(|b| **b == b'/').count(),
                    _ => 0,
                };
                put(&rest[slashes..]);
            }
            _ => put(whole),
        }
    }
}

impl Redirect {
    /// Compiles a target with its placeholders.
    pub(crate) fn new(redirect: &mainstay_model::Redirect) -> Self {
        let mut parts = Vec::new();
        let mut rest = redirect.to.as_str();
        while let Some((text, part, after)) = next_placeholder(rest) {
            if !text.is_empty() {
                parts.push(Part::Text(text.as_bytes().into()));
            }
            parts.push(part);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.as_bytes().into()));
        }
        Self { status: redirect.status, parts: parts.into() }
    }

    /// The value of `Location` for a request.
    pub(crate) fn location(&self, asked: &Asked<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let (path, query) = asked.path_and_query.split_at(asked.path_len);
        for part in &self.parts {
            out.extend_from_slice(match part {
                Part::Text(text) => text,
                Part::Scheme => asked.scheme.as_str().as_bytes(),
                Part::Host => asked.host,
                Part::Path => path,
                Part::Query => query.strip_prefix(b"?").unwrap_or_default(),
                Part::Uri => asked.path_and_query,
            });
        }
        // `//x` at the front would be another host.
        if out.starts_with(b"//") {
            let slashes = out.iter().take_while(|b| **b == b'/').count();
            out.drain(..slashes - 1);
        }
        out
    }
}

/// Text, the placeholder behind it, and what follows.
fn next_placeholder(text: &str) -> Option<(&str, Part, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let close = open + text[open..].find('}')?;
        let part = match &text[open..=close] {
            "{scheme}" => Some(Part::Scheme),
            "{host}" => Some(Part::Host),
            "{path}" => Some(Part::Path),
            "{query}" => Some(Part::Query),
            "{uri}" => Some(Part::Uri),
            _ => None,
        };
        if let Some(part) = part {
            return Some((&text[..open], part, &text[close + 1..]));
        }
        from = open + 1;
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A route as a table would have it.
    pub(crate) fn route(path: &str, policy: RoutePolicy, upstream: usize) -> Route {
        let site = mainstay_model::Site::default();
        let stats = Arc::new(RouteStats::new("s", "*", path, 1));
        let shared = Shared { site: Arc::default(), limits: Vec::new(), access: None, stats };
        Route::new(path, &policy, Action::Forward(upstream), &site, shared)
    }

    fn target(policy: RoutePolicy, path: &str, whole: &str) -> String {
        let mut out = Vec::new();
        route(path, policy, 0).write_target(&mut out, whole.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_rewritten_at_their_front() {
        let strip = || RoutePolicy { strip_prefix: true, ..RoutePolicy::default() };
        assert_eq!(target(strip(), "/api/", "/api/x?q=/api/"), "/x?q=/api/");
        assert_eq!(target(strip(), "/api", "/api"), "/");
        assert_eq!(target(strip(), "/api/", "/api///evil.example"), "/evil.example");
        assert_eq!(target(strip(), "/api", "/api?x"), "/?x");
        let rewrite = |to: &str| RoutePolicy { rewrite: Some(to.into()), ..RoutePolicy::default() };
        assert_eq!(target(rewrite("/v2/"), "/v1/", "/v1/x"), "/v2/x");
        assert_eq!(target(rewrite("/v2"), "/v1", "/v1x"), "/v2x");
        let add = RoutePolicy { add_prefix: Some("/app/".into()), ..RoutePolicy::default() };
        assert_eq!(target(add.clone(), "/", "/x"), "/app/x");
        assert_eq!(target(RoutePolicy { strip_prefix: true, ..add }, "/a/", "/a/b"), "/app/b");
        assert_eq!(target(RoutePolicy::default(), "/", "//x"), "//x");
    }

    #[test]
    fn a_redirect_is_made_of_what_was_asked() {
        let location = |to: &str, whole: &str| {
            let redirect = Redirect::new(&mainstay_model::Redirect { to: to.into(), status: 308 });
            let path_len = whole.find('?').unwrap_or(whole.len());
            let asked = Asked {
                scheme: Scheme::Https,
                host: b"a.example",
                path_and_query: whole.as_bytes(),
                path_len,
            };
            String::from_utf8(redirect.location(&asked)).unwrap()
        };
        assert_eq!(location("{scheme}://www.{host}{uri}", "/x?y"), "https://www.a.example/x?y");
        assert_eq!(location("/new{path}", "/x?y"), "/new/x");
        assert_eq!(location("/find?{query}&{nothing}", "/x?y"), "/find?y&{nothing}");
        assert_eq!(location("{uri}", "//evil.example/"), "/evil.example/");
        assert_eq!(location("/{", "/"), "/{");
    }
}
