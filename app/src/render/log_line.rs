//! A line of a log as it is shown: whose it is, when, and what.

use super::style::{self, paint};
use super::words;
use mainstay_api::LogEntry;

/// How lines are shown.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct LogLines {
    /// Begin each with its time.
    pub timestamps: bool,
    /// No colours of ours or of the service.
    pub no_color: bool,
    /// The line alone, without the instance it is from.
    pub no_prefix: bool,
    /// The widest name of an instance so far: names stand in one column.
    widest: usize,
}

impl LogLines {
    /// Lines in this form.
    pub fn new(timestamps: bool, no_color: bool, no_prefix: bool) -> Self {
        Self { timestamps, no_color, no_prefix, widest: 0 }
    }

    /// The line as text, with its end.
    pub fn text(&mut self, entry: &LogEntry) -> String {
        self.widest = self.widest.max(entry.instance.chars().count());
        let mut line = String::new();
        if !self.no_prefix {
            let (look, width) = (style::of_service(entry.service.as_str()), self.widest);
            line.push_str(&paint(look, format!("{:width$} |", entry.instance)));
            line.push(' ');
        }
        if self.timestamps {
            line.push_str(&paint(style::DIM, words::local_precise(entry.at)));
            line.push(' ');
        }
        // Colours that the service itself prints are its own affair; what else it may send to a terminal, too.
        line.push_str(&entry.line);
        line.push('\n');
        if self.no_color { anstream::adapter::strip_str(&line).to_string() } else { line }
    }
}
