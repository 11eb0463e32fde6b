//! Placeholder.

pub mod docker;
