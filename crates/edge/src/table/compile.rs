//! From the model's routes to those requests are matched against.
//!
//! Knows nothing about what is in force.

use super::paths::Paths;
use super::{Table, TableError};
use crate::access::Access;
use crate::files::Files;
use crate::limit;
use crate::metrics::RouteStats;
use crate::route::{Action, Redirect, Route, Shared};
use crate::site::Site;
use mainstay_model::HostPattern;
use mainstay_model::table::TableRoute;
use std::collections::HashMap;
use std::sync::Arc;

/// What routes refer to.
pub(super) struct Compiler<'m> {
    pub(super) upstreams: &'m HashMap<&'m str, usize>,
    pub(super) limits: HashMap<&'m str, Arc<limit::InForce>>,
    pub(super) sites: HashMap<&'m str, (&'m mainstay_model::Site, Arc<Site>)>,
    /// For routes without a site.
    pub(super) plain: (mainstay_model::Site, Arc<Site>),
}

impl Compiler<'_> {
    pub(super) fn route(&self, route: &TableRoute, stats: Arc<RouteStats>) -> Result<Route, TableError> {
        let what = || format!("{}{}", route.host, route.path);
        if !route.path.starts_with('/') {
            return Err(TableError::RelativePath(route.path.clone()));
        }
        let action = match (&route.policy.redirect, &route.policy.files, &route.upstream) {
            (Some(redirect), ..) => Action::Redirect(Redirect::new(redirect)),
            (None, Some(files), _) => Action::Files(Files::new(files)),
            (None, None, Some(key)) => {
                Action::Forward(find(self.upstreams, || format!("route {}", what()), key)?)
            }
            (None, None, None) => return Err(TableError::NoAction(what())),
        };
        let limit = |key: &String| {
            let found = self.limits.get(key.as_str()).cloned();
            found.ok_or_else(|| TableError::UnknownLimit { what: what(), key: key.clone() })
        };
        let limits: Vec<_> = route.policy.limits.iter().map(limit).collect::<Result<_, _>>()?;
        if limits.len() > limit::MOST_LIMITS {
            return Err(TableError::TooManyLimits(what()));
        }
        let known = self.sites.get(route.site.as_str()).map(|(settings, site)| (*settings, site));
        let (settings, site) = known.unwrap_or((&self.plain.0, &self.plain.1));
        let access = match route.policy.access_within(settings) {
            None => None,
            Some(rules) => {
                let find = |key: &str| find(self.upstreams, || format!("access to {}", what()), key);
                Some(Arc::new(Access::new(rules, find)?))
            }
        };
        let compiled = Route::new(
            &route.path,
            &route.policy,
            action,
            settings,
            Shared { site: site.clone(), limits, access, stats },
        );
        Ok(Route { https: route.https, ..compiled })
    }
}

/// The place of an upstream that `what` names.
pub(super) fn find(
    upstreams: &HashMap<&str, usize>,
    what: impl Fn() -> String,
    key: &str,
) -> Result<usize, TableError> {
    let found = upstreams.get(key).copied();
    found.ok_or_else(|| TableError::UnknownUpstream { what: what(), key: key.to_owned() })
}

/// Routes by host, while a table is built.
#[derive(Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<[u8]>, Vec<Route>>,
    wildcard: HashMap<Box<[u8]>, Vec<Route>>,
    any: Vec<Route>,
}

impl Hosts {
    pub(super) fn add(&mut self, host: &HostPattern, route: Route) {
        match host {
            HostPattern::Exact(name) => self.exact.entry(name.as_bytes().into()).or_default().push(route),
            HostPattern::Wildcard(suffix) => {
                self.wildcard.entry(suffix.as_bytes().into()).or_default().push(route);
            }
            HostPattern::Any => self.any.push(route),
        }
    }

    pub(super) fn into_table(self, table: &mut Table) {
        let mut all = Vec::new();
        let mut by_path = |(host, routes)| (host, Paths::new(routes, &mut all));
        table.exact = self.exact.into_iter().map(&mut by_path).collect();
        table.wildcard = self.wildcard.into_iter().map(&mut by_path).collect();
        table.wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        table.any = Paths::new(self.any, &mut all);
        table.routes = all;
    }
}
