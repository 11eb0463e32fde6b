//! For tests only: the simulated host that the converge loop runs against.
//!
//! Knows nothing about Docker, processes or sockets: it is a small model of them, which carries out the same steps as
//! the real adapters, with faults that a seed decides.

pub mod fixture;
mod invariant;
mod rng;
mod scenario;
pub mod sim;
pub mod world;

pub use invariant::Violation;
pub use rng::Rng;
pub use scenario::Scenario;
pub use world::Behaviour;
