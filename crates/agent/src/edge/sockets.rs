//! Which sockets a listener has.
//!
//! Knows nothing about who passes them to whom.

use mainstay_edge::listen;
use mainstay_model::table::Listener;
use std::io;
use std::os::fd::OwnedFd;

/// Binds what a listener has beside the sockets that are held: one for each worker, and that for HTTP/3.
pub(super) fn missing(listener: &Listener, held: &[OwnedFd], workers: usize) -> io::Result<Vec<OwnedFd>> {
    let mut missing = Vec::new();
    if held.is_empty() {
        missing = listen::bind(listener.address, workers)?;
    }
    if listener.speaks_http3() && !held.iter().any(listen::is_datagrams) {
        missing.push(listen::bind_datagrams(listener.address)?);
    }
    Ok(missing)
}
