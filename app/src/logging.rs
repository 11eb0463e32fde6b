//! What the long-running processes write to standard error: one line an event, for a file or the system's journal.

use std::io;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Begins to write. The level is `MAINSTAY_LOG` (`error`, `warn`, `info`, `debug`, `trace`, `off`), `info` by default.
pub fn begin() {
    let level = std::env::var("MAINSTAY_LOG").ok().and_then(|level| level.parse().ok());
    let level = level.unwrap_or(LevelFilter::INFO);
    // It warns of whatever a client does wrong: who floods the edge would fill the disk with that.
    let targets = Targets::new().with_default(level).with_target("h2", level.min(LevelFilter::ERROR));
    let lines = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(level)
        .finish()
        .with(targets)
        .try_init();
    // Somebody else listens already: a test.
    drop(lines);
}
