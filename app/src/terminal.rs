//! What standard output and standard error are connected to.

use std::io::{self, IsTerminal};

/// Columns assumed where nobody can be asked.
const COLUMNS: u16 = 120;
/// Rows assumed where nobody can be asked.
const ROWS: u16 = 24;

/// What is known of the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Standard error is a terminal that can move its cursor: progress may be live.
    pub live: bool,
    /// Standard output is a terminal: tables may be cut to its width.
    pub table: bool,
}

impl Terminal {
    /// Looks.
    pub fn look() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { live: io::stderr().is_terminal() && !dumb, table: io::stdout().is_terminal() }
    }

    /// Rows and columns now.
    pub fn size() -> (u16, u16) {
        let size = rustix::termios::tcgetwinsize(io::stdout())
            .or_else(|_| rustix::termios::tcgetwinsize(io::stderr()))
            .ok()
            .filter(|size| size.ws_col > 0);
        size.map_or((ROWS, COLUMNS), |size| (size.ws_row, size.ws_col))
    }
}
