//! Native instances, with real processes.

#![allow(clippy::unwrap_used)] // A test may; the exemption of clippy.toml does not reach shared support code.
#![allow(clippy::print_stderr)] // Says what was skipped.

mod changes;
mod ends;
mod inside;
mod jobs;
mod life;
mod logs;
mod model;
mod outlive;
mod rights;
mod support;
