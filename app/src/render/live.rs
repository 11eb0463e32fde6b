//! A few lines at the bottom of the terminal that are drawn again and again, while finished text scrolls above them.

use super::table::cut;
use crate::terminal::Terminal;
use std::io::{self, Write};

/// Stops the terminal from breaking long lines, which would make the region taller than it is known to be.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
/// Clears from the cursor to the end of the screen.
const CLEAR_BELOW: &str = "\x1b[J";
/// Clears to the end of the line.
const CLEAR_LINE: &str = "\x1b[K";

/// The region. What is in it is taken away when it is dropped.
#[derive(Debug, Default)]
pub struct Live {
    drawn: usize,
    shown: Vec<String>,
}

impl Live {
    /// Shows these lines in place of those before.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        if lines == self.shown {
            return Ok(());
        }
        self.shown = lines;
        self.draw("")
    }

    /// Prints text for good, above the region.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.draw(text)
    }

    /// Takes the region away.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn clear(&mut self) -> io::Result<()> {
        self.shown.clear();
        self.draw("")
    }

    fn draw(&mut self, above: &str) -> io::Result<()> {
        let (rows, _) = Terminal::size();
        // The last row stays free for the cursor.
        let most = usize::from(rows).saturating_sub(2).max(1);
        let mut text = String::from(NO_WRAP);
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A\r", self.drawn));
        }
        if !above.is_empty() {
            text.push_str(WRAP);
            text.push_str(CLEAR_BELOW);
            text.push_str(above);
            if !above.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(NO_WRAP);
        }
        for line in self.shown.iter().take(most) {
            text.push_str(line);
            text.push_str(CLEAR_LINE);
            text.push('\n');
        }
        text.push_str(CLEAR_BELOW);
        text.push_str(WRAP);
        self.drawn = self.shown.len().min(most);
        // One write, so that nothing flickers.
        let mut out = anstream::stderr().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.drawn > 0 {
            // Nobody is left to be told.
            let _gone = self.clear();
        }
    }
}

/// Frames of the spinner.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// The spinner at frame `tick`.
pub fn spinner(tick: usize) -> &'static str {
    SPINNER[tick % SPINNER.len()]
}

/// A bar of `width` characters, `part` of `whole` filled.
pub fn bar(part: u64, whole: u64, width: usize) -> String {
    let steps = u64::try_from(width).unwrap_or(0);
    let filled = part.min(whole).saturating_mul(steps).checked_div(whole).unwrap_or(0);
    let filled = usize::try_from(filled).unwrap_or(width).min(width);
    format!("{}{}", "━".repeat(filled), "╌".repeat(width - filled))
}

/// `text` to at most `width` characters.
pub fn fit(text: &str, width: usize) -> String {
    cut(text, width)
}
