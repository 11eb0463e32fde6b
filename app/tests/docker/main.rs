//! The binary against real Engines, as its users call it: every test has a stack, a state directory and ports of its own.
#![allow(clippy::unwrap_used, reason = "clippy's own exception for tests does not reach what they call")]

mod adopt;
mod commands;
mod crash;
mod eject;
mod flags;
mod harness;
mod hooks;
mod inspect;
mod loopback;
mod outside;
mod posthub;
mod redeploy;
mod refused;
mod registry;
mod watch;
mod way_out;

/// Makes one test per Engine of each `fn name(site: &mut Site)`.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod debian {
            $(#[test] fn $name() { crate::harness::run("DEBIAN", stringify!($name), super::$name) })+
        }
        mod newest {
            $(#[test] fn $name() { crate::harness::run("NEWEST", stringify!($name), super::$name) })+
        }
    };
}
pub(crate) use on_both_engines;
