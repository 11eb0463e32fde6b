//! Placeholder.

pub mod native;
