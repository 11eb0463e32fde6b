//! What the demo shows: a live region on a terminal, plain lines elsewhere, nothing before the numbers with `--json`.

use super::numbers::{Numbers, Tally};
use crate::context::Context;
use crate::error::Error;
use crate::render::live::{Live, fit};
use crate::render::style::{self, paint};
use crate::render::words;
use crate::terminal::Terminal;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// How far details of a result stand to the right.
const INDENT: usize = 7;

/// Where it is shown.
#[derive(Debug)]
pub enum Screen {
    /// A terminal.
    Live(Live),
    /// A file or a pipe.
    Plain,
    /// Nowhere.
    Silent,
}

impl Screen {
    /// The screen for the output of `context`.
    pub fn new(context: &Context) -> Self {
        match (context.json || context.quiet, context.terminal.live && context.terminal.table) {
            (true, _) => Self::Silent,
            (false, true) => Self::Live(Live::default()),
            (false, false) => Self::Plain,
        }
    }

    /// Prints for good.
    ///
    /// # Errors
    /// The output is closed.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        match self {
            Self::Live(live) => live.print(text).map_err(Error::Output),
            Self::Plain => writeln!(anstream::stdout().lock(), "{text}").map_err(Error::Output),
            Self::Silent => Ok(()),
        }
    }

    /// Shows what changes; only on a terminal.
    ///
    /// # Errors
    /// The output is closed.
    pub fn live(&mut self, lines: Vec<String>) -> Result<(), Error> {
        match self {
            Self::Live(live) => live.show(lines).map_err(Error::Output),
            Self::Plain | Self::Silent => Ok(()),
        }
    }

    /// Begins the show.
    ///
    /// # Errors
    /// The output is closed.
    pub fn title(&mut self, url: &str, dir: &Path) -> Result<(), Error> {
        let title = paint(style::BOLD, "Mainstay demo");
        let what = "a web app in two instances, a worker and a clock: native processes behind the edge";
        let place = paint(style::DIM, format!("{url}  state in {}", dir.display()));
        self.print(&format!("\n  {title}  {what}\n  {place}"))
    }

    /// Begins a phase.
    ///
    /// # Errors
    /// The output is closed.
    pub fn phase(&mut self, number: usize, title: &str, about: &str) -> Result<(), Error> {
        let number = paint(style::HINT, number);
        self.print(&format!("\n  {number}  {}  {}", paint(style::BOLD, title), paint(style::DIM, about)))
    }

    /// A result of a phase, and how long it took.
    ///
    /// # Errors
    /// The output is closed.
    pub fn result(&mut self, text: &str, took: Duration) -> Result<(), Error> {
        self.live(vec![])?;
        let took = paint(style::DIM, words::duration(took));
        self.print(&format!("     {} {text} {took}", paint(style::GOOD, "✓")))
    }

    /// What became of the load.
    ///
    /// # Errors
    /// The output is closed.
    pub fn tally(&mut self, tally: &Tally) -> Result<(), Error> {
        let (sign, look) = if tally.failed == 0 { ("✓", style::GOOD) } else { ("✗", style::BAD) };
        let sentence = paint(look.bold(), tally.sentence());
        let more = format!(
            "{:.0} a second, half within {:.1} ms, 99 of 100 within {:.1} ms",
            tally.rate,
            tally.median.as_secs_f64() * 1e3,
            tally.p99.as_secs_f64() * 1e3
        );
        self.print(&format!("     {} {sentence} {}", paint(look, sign), paint(style::DIM, more)))?;
        for why in &tally.why {
            self.detail(why)?;
        }
        Ok(())
    }

    /// A detail of a result; on a terminal cut to its width.
    ///
    /// # Errors
    /// The output is closed.
    pub fn detail(&mut self, text: &str) -> Result<(), Error> {
        let text = match self {
            Self::Live(_) => fit(text, usize::from(Terminal::size().1).saturating_sub(INDENT)),
            Self::Plain | Self::Silent => text.to_owned(),
        };
        self.print(&format!("{}{}", " ".repeat(INDENT), paint(style::DIM, text)))
    }

    /// The sum of it.
    ///
    /// # Errors
    /// The output is closed.
    pub fn sum(&mut self, numbers: &Numbers) -> Result<(), Error> {
        let (requests, failed) = numbers.total();
        let took: Duration = numbers.phases.iter().map(|phase| phase.took).sum();
        let look = if failed == 0 { style::GOOD } else { style::BAD };
        let text = format!("{failed} of {requests} requests failed");
        let about = "two deploys, a kill and an undone release";
        self.print(&format!(
            "\n  {}  {} {}",
            paint(look.bold(), text),
            about,
            paint(style::DIM, format!("in {}", words::duration(took)))
        ))
    }

    /// Says that it stays up.
    ///
    /// # Errors
    /// The output is closed.
    pub fn stay(&mut self, url: String, dir: &Path) -> Result<(), Error> {
        let look = format!("mainstay -p demo --state-dir {} ps", dir.display());
        self.print(&format!(
            "\n  It stays up at {}  Ctrl-C ends it and leaves nothing behind.\n  {}",
            paint(style::HINT.underline(), url),
            paint(style::DIM, format!("Look around: {look}   (or logs -f, releases, events, rollback)"))
        ))
    }

    /// Says that it ends.
    ///
    /// # Errors
    /// The output is closed.
    pub fn leaving(&mut self) -> Result<(), Error> {
        self.live(vec![format!("  {}", paint(style::DIM, "taking everything away …"))])
    }

    /// Says what is left.
    ///
    /// # Errors
    /// The output is closed.
    pub fn left(&mut self, left: &[String]) -> Result<(), Error> {
        self.live(vec![])?;
        if left.is_empty() {
            return self.print(&format!("\n  {}", paint(style::DIM, "no process, socket or file is left")));
        }
        let text: String = left.iter().map(|line| format!("\n  {} {line}", paint(style::BAD, "✗"))).collect();
        self.print(&text)
    }
}
