//! What the long-running processes write to standard error: one line an event, for a file or the system's journal.

use std::io;
use tracing_subscriber::filter::LevelFilter;

/// Begins to write. The level is `MAINSTAY_LOG` (`error`, `warn`, `info`, `debug`, `trace`, `off`), `info` by default.
pub fn begin() {
    let level = std::env::var("MAINSTAY_LOG").ok().and_then(|level| level.parse().ok());
    let lines = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .try_init();
    // Somebody else listens already: a test.
    drop(lines);
}
