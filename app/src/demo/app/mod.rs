//! The services of the demo. They know nothing about Mainstay.

pub mod clock;
pub mod web;
pub mod worker;
