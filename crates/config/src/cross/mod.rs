//! What the parts of a project say about each other.
//!
//! `references` looks at the tree, so that it speaks of every project Compose would refuse; `conflicts` looks at
//! the finished stack, for what only Mainstay can know.

mod conflicts;
mod cycle;
mod exclusions;
mod references;
mod service;

pub use conflicts::conflicts;
pub use exclusions::exclusions;
pub use references::references;
