//! Adapters: the Docker Engine, native processes, copies of sites, and the journal. Each carries out what it is told and says what it sees.
//!
//! Knows nothing about what is wanted or decided, and nothing about the edge.

pub mod docker;
pub mod journal;
pub mod native;
pub mod sites;
