//! A table that takes every host and path, for tests and fuzz targets that look at nothing but heads.

use super::{Registry, Table};
use mainstay_model::table::{RouteTable, TableRoute, Upstream};
use mainstay_model::{HostPattern, RoutePolicy};

impl Table {
    pub(crate) fn for_anything() -> Self {
        let route = TableRoute {
            host: HostPattern::Any,
            path: "/".into(),
            upstream: Some("u".into()),
            site: String::new(),
            https: None,
            policy: RoutePolicy::default(),
        };
        let upstreams = [("u".to_owned(), Upstream::default())].into();
        let model = RouteTable { version: 1, routes: vec![route], upstreams, ..RouteTable::default() };
        Registry::new(1).build(&model).expect("a table of one route")
    }
}
