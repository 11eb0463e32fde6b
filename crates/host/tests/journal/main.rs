//! The journal, against real files and processes that die.

#![allow(clippy::unwrap_used)] // A test may; the exemption of clippy.toml does not reach shared support code.

mod kept;
mod refused;
mod support;
