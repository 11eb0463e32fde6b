//! The routes of one host by path: the longest prefix that takes a request, in a handful of comparisons however many
//! routes there are.
//!
//! Paths stand in order. Whatever begins a path stands before it, and between the two only what begins alike, so one
//! binary search finds the nearest candidate, and each path knows the next shorter one that begins it. Knows nothing
//! about hosts.

use crate::route::Route;
use mainstay_model::Conditions;
use std::ops::Range;

/// The end of the way from a path to shorter ones.
const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
}

/// One path, and its place among the table's routes.
#[derive(Debug)]
struct Node {
    /// On one path what asks for more goes first, and rivals stand together.
    routes: Range<usize>,
    /// The longest other path that begins this one.
    shorter: u32,
}

impl Paths {
    /// Appends `routes` to `all`, the routes of the table.
    pub(crate) fn new(mut routes: Vec<Route>, all: &mut Vec<Route>) -> Self {
        // Stable: of two that ask for the same, the first in the table wins.
        routes.sort_by(|a, b| {
            let more_first = b.specificity().cmp(&a.specificity());
            a.path.cmp(&b.path).then(more_first).then_with(|| a.when.cmp(&b.when))
        });
        let mut nodes: Vec<Node> = Vec::new();
        for route in routes {
            let index = all.len();
            match nodes.last_mut() {
                Some(node) if all[node.routes.start].path == route.path => node.routes.end = index + 1,
                _ => {
                    let shorter = shorter(&nodes, all, &route.path);
                    nodes.push(Node { routes: index..index + 1, shorter });
                }
            }
            all.push(route);
        }
        Self { nodes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Where in the table's routes the one with the shortest path stands.
    pub(crate) fn shortest(&self) -> Option<usize> {
        self.nodes.first().map(|node| node.routes.start)
    }

    /// Where in `all` the routes for a path stand: one, or several that share it by weight.
    pub(crate) fn find(
        &self,
        all: &[Route],
        path: &[u8],
        meets: &impl Fn(&Conditions) -> bool,
    ) -> Option<Range<usize>> {
        let after = self.nodes.partition_point(|node| *all[node.routes.start].path <= *path);
        let mut at = after.checked_sub(1)?;
        loop {
            let node = self.nodes.get(at)?;
            if path.starts_with(&all[node.routes.start].path)
                && let Some(found) = first(&all[node.routes.clone()], path, meets)
            {
                return Some(node.routes.start + found.start..node.routes.start + found.end);
            }
            at = node.shorter as usize;
        }
    }
}

/// Of `nodes`, the longest that begins `path`, which stands after all of them.
fn shorter(nodes: &[Node], all: &[Route], path: &[u8]) -> u32 {
    let mut candidate = u32::try_from(nodes.len()).unwrap_or(NONE).checked_sub(1).unwrap_or(NONE);
    while let Some(node) = nodes.get(candidate as usize) {
        if path.starts_with(&all[node.routes.start].path) {
            break;
        }
        candidate = node.shorter;
    }
    candidate
}

/// The first of the routes on one path that takes a request, with those it shares it with.
fn first(routes: &[Route], path: &[u8], meets: &impl Fn(&Conditions) -> bool) -> Option<Range<usize>> {
    let takes = |route: &Route| {
        (!route.exact || route.path.len() == path.len()) && route.when.as_deref().is_none_or(meets)
    };
    let start = routes.iter().position(takes)?;
    let first = &routes[start];
    if first.weight.is_none() {
        return Some(start..start + 1);
    }
    let shares = |route: &&Route| route.weight.is_some() && route.is_rival(first);
    Some(start..start + routes[start..].iter().take_while(shares).count())
}

/// Of routes that share their requests by weight, the place of the one for a client; `lot` differs between clients and
/// stays the same for one.
pub(crate) fn pick(routes: &[Route], lot: impl FnOnce() -> u64) -> Option<usize> {
    if routes.len() == 1 {
        return Some(0);
    }
    let total: u64 = routes.iter().map(|r| u64::from(r.weight.unwrap_or(0))).sum();
    let mut left = lot() % total.max(1);
    routes.iter().position(|route| {
        let weight = u64::from(route.weight.unwrap_or(0));
        let is_it = left < weight;
        left = left.saturating_sub(weight);
        is_it
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::route;
    use mainstay_model::RoutePolicy;
    use proptest::prelude::*;

    /// The number that each route was made with.
    fn number(all: &[Route], at: Option<usize>) -> Option<usize> {
        match all.get(at?)?.action {
            crate::route::Action::Forward(upstream) => Some(upstream),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_looking_at_every_route_finds(
            prefixes in proptest::collection::vec(("(/[ab]{0,2}){1,3}/?", any::<bool>()), 0..24),
            path in "(/[ab]{0,2}){0,4}",
        ) {
            let routes = prefixes.iter().enumerate().map(|(index, (prefix, exact))| {
                route(prefix, RoutePolicy { exact: *exact, ..RoutePolicy::default() }, index)
            });
            let mut all = vec![route("/other", RoutePolicy::default(), 99)];
            let paths = Paths::new(routes.collect(), &mut all);
            let takes = |(_, (prefix, exact)): &(usize, &(String, bool))| {
                if *exact { *prefix == path } else { path.starts_with(prefix.as_str()) }
            };
            let expected = prefixes.iter().enumerate().filter(takes).max_by_key(|(index, (prefix, exact))| {
                (prefix.len(), *exact, std::cmp::Reverse(*index))
            });
            let found = paths.find(&all, path.as_bytes(), &|_| true);
            prop_assert_eq!(number(&all, found.map(|f| f.start)), expected.map(|(index, _)| index));
        }
    }

    #[test]
    fn a_route_with_conditions_goes_first_and_lets_others_have_the_rest() {
        let when = |methods: &[&str]| {
            let methods = methods.iter().map(|m| (*m).to_owned()).collect();
            RoutePolicy { when: Conditions { methods, ..Conditions::default() }, ..RoutePolicy::default() }
        };
        let routes = vec![
            route("/", RoutePolicy::default(), 0),
            route("/api/", when(&["POST"]), 1),
            route("/", when(&["GET"]), 2),
        ];
        let mut all = Vec::new();
        let paths = Paths::new(routes, &mut all);
        let find = |method: &str, path: &str| {
            let meets = |c: &Conditions| c.methods.iter().any(|m| m == method);
            number(&all, paths.find(&all, path.as_bytes(), &meets).map(|f| f.start))
        };
        assert_eq!(find("POST", "/api/x"), Some(1));
        assert_eq!(find("GET", "/api/x"), Some(2));
        assert_eq!(find("PUT", "/api/x"), Some(0));
    }

    #[test]
    fn weights_are_shares() {
        let share = |weight| RoutePolicy { weight: Some(weight), ..RoutePolicy::default() };
        let routes = vec![
            route("/", share(90), 0),
            route("/", share(10), 1),
            route("/", share(0), 2),
            route("/", RoutePolicy { exact: true, ..share(5) }, 3),
        ];
        let mut all = Vec::new();
        let paths = Paths::new(routes, &mut all);
        let found = paths.find(&all, b"/x", &|_| true).unwrap();
        assert_eq!(found.len(), 3);
        let mut counts = [0; 3];
        for lot in 0..1000 {
            let at = pick(&all[found.clone()], || lot).map(|at| found.start + at);
            counts[number(&all, at).unwrap()] += 1;
        }
        assert_eq!(counts, [900, 100, 0]);
        assert_eq!(number(&all, paths.find(&all, b"/", &|_| true).map(|f| f.start)), Some(3));
        assert!(pick(&[], || 1).is_none());
    }
}
