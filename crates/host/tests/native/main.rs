//! Native instances, with real processes.

mod ends;
mod life;
mod support;
