//! Native instances, with real processes.

#![allow(clippy::unwrap_used)] // A test may; the exemption of clippy.toml does not reach shared support code.

mod ends;
mod life;
mod support;
