//! `mainstay demo`: a stack of native services in a directory of its own, and a show of what Mainstay is for.

pub mod app;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;

/// Runs the show.
///
/// # Errors
/// A phase did not go as it should.
pub async fn run(context: &Context, wait: bool) -> Result<Exit, Error> {
    let _ = (context, wait);
    Err(Error::Demo { phase: "begin", why: "not yet".into() })
}
