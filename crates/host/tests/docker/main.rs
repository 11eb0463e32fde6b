//! The Docker adapter against real Engines: Debian's (API 1.41) and the newest (containerd's image store).
//!
//! Every test runs on both, in a project of its own which it removes.
#![allow(clippy::unwrap_used, reason = "clippy's own exception for tests does not reach what they call")]

mod builds;
mod harness;
mod lifecycle;
mod model;
mod news;
mod refusals;
mod registry;
mod streams;
mod whole_service;

/// Makes one test per Engine of each `async fn name(site: &mut Site)`.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod debian {
            $(#[test] fn $name() { crate::harness::run("MAINSTAY_TEST_DOCKER_DEBIAN", stringify!($name), super::$name) })+
        }
        mod newest {
            $(#[test] fn $name() { crate::harness::run("MAINSTAY_TEST_DOCKER_NEWEST", stringify!($name), super::$name) })+
        }
    };
}
pub(crate) use on_both_engines;
