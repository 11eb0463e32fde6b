//! Placeholder.

pub mod journal;
pub mod native;
