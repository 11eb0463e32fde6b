//! What the agent does for a command: a live region on a terminal, plain lines elsewhere, JSON for programs.

mod rows;

use self::rows::Rows;
use super::live::Live;
use super::style::{self, paint};
use super::words::{self, tame};
use super::{plan, style::DIM};
use crate::context::Context;
use crate::error::Error;
use mainstay_api::{Outcome, Progress, StepState};
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Instant;

/// Shows progress in the way that fits the output.
#[derive(Debug)]
pub struct Report {
    way: Way,
    begun: Instant,
    stack: String,
}

#[derive(Debug)]
enum Way {
    Json,
    Quiet,
    Plain { said: BTreeSet<String> },
    Live { region: Live, rows: Rows, tick: usize },
}

impl Report {
    /// A report for the output of `context`; with `plain` in lines only.
    pub fn new(context: &Context, plain: bool) -> Self {
        let way = match (context.json, context.quiet, context.terminal.live && !plain) {
            (true, _, _) => Way::Json,
            (_, true, _) => Way::Quiet,
            (_, _, true) => Way::Live { region: Live::default(), rows: Rows::default(), tick: 0 },
            (_, _, false) => Way::Plain { said: BTreeSet::new() },
        };
        Self { way, begun: Instant::now(), stack: String::new() }
    }

    /// Names the stack in what is shown.
    #[must_use]
    pub fn of(mut self, stack: &str) -> Self {
        self.stack = stack.to_owned();
        self
    }

    /// Shows one line of progress.
    ///
    /// # Errors
    /// The output is closed.
    pub fn take(&mut self, line: &Progress) -> Result<(), Error> {
        match &mut self.way {
            Way::Quiet => Ok(()),
            Way::Json => json_line(line),
            Way::Plain { said } => match plain(line, &self.stack) {
                Some(text) if said.insert(text.clone()) || is_output(line) => remark(&text),
                _ => Ok(()),
            },
            Way::Live { region, rows, tick } => {
                rows.take(line);
                if let Some(text) = above(line, &self.stack) {
                    region.print(&text).map_err(Error::Output)?;
                }
                region.show(rows.lines(*tick)).map_err(Error::Output)
            }
        }
    }

    /// Lets a live display move on.
    ///
    /// # Errors
    /// The terminal is closed.
    pub fn frame(&mut self) -> Result<(), Error> {
        if let Way::Live { region, rows, tick } = &mut self.way {
            *tick += 1;
            region.show(rows.lines(*tick)).map_err(Error::Output)?;
        }
        Ok(())
    }

    /// Says a sentence of the command's own.
    ///
    /// # Errors
    /// The output is closed.
    pub fn say(&mut self, text: &str) -> Result<(), Error> {
        match &mut self.way {
            Way::Json | Way::Quiet => Ok(()),
            Way::Plain { .. } => remark(text),
            Way::Live { region, .. } => region.print(text).map_err(Error::Output),
        }
    }

    /// Shows the end. A bad one is the error's to show.
    ///
    /// # Errors
    /// The output is closed.
    pub fn done(&mut self, outcome: &Outcome) -> Result<(), Error> {
        let took = words::duration(self.begun.elapsed());
        let text =
            format!("{} {} {}", paint(style::GOOD, "✓"), outcome.message, paint(DIM, format!("in {took}")));
        match &mut self.way {
            Way::Json => json_line(&Progress::Done { outcome: outcome.clone() }),
            Way::Quiet => Ok(()),
            Way::Plain { .. } => {
                if outcome.ok {
                    remark(&text)
                } else {
                    Ok(())
                }
            }
            Way::Live { region, rows, .. } => {
                let settled = rows.settled().join("\n");
                region.clear().map_err(Error::Output)?;
                if !settled.is_empty() {
                    region.print(&settled).map_err(Error::Output)?;
                }
                if outcome.ok { region.print(&text).map_err(Error::Output) } else { Ok(()) }
            }
        }
    }
}

fn json_line(line: &Progress) -> Result<(), Error> {
    let mut text = serde_json::to_string(line).map_err(|e| Error::Output(std::io::Error::other(e)))?;
    text.push('\n');
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

fn remark(text: &str) -> Result<(), Error> {
    let mut out = anstream::stderr().lock();
    writeln!(out, "{}", text.trim_end_matches('\n')).map_err(Error::Output)
}

/// Whether two equal lines are two lines.
fn is_output(line: &Progress) -> bool {
    matches!(line, Progress::Job { .. } | Progress::Build { line: Some(_), .. })
}

/// What is printed above the live region, for good.
fn above(line: &Progress, stack: &str) -> Option<String> {
    match line {
        Progress::Plan { .. } | Progress::Job { .. } | Progress::Note { .. } | Progress::Switched { .. } => {
            plain(line, stack)
        }
        Progress::Build { line: Some(_), state: StepState::Failed, .. } => plain(line, stack),
        _ => None,
    }
}

/// A line of text for each thing that happens; `None` for what only moves a bar.
fn plain(line: &Progress, stack: &str) -> Option<String> {
    Some(match line {
        Progress::Queued { behind } => format!("waiting for the deploy of release {behind} to end"),
        Progress::Plan { plan } => plan::text(stack, plan),
        Progress::Pull { image, status, layer, .. } if layer.is_empty() => {
            format!("pull {image}: {}", tame(status))
        }
        Progress::Pull { .. } | Progress::Done { .. } => return None,
        Progress::Build { service, step, state, line } => match (state, line) {
            (_, Some(line)) => format!("build {service} | {}", tame(line)),
            (StepState::Running, None) => format!("build {service}: {}", tame(step)),
            (StepState::Done, None) => return None,
            (StepState::Cached, None) => format!("build {service}: {} (cached)", tame(step)),
            (StepState::Failed, None) => format!("build {service}: {} failed", tame(step)),
        },
        Progress::Step { name, subject, why, state } => match state {
            // That what was made is started, its next line says.
            StepState::Running if name == "start" => return None,
            StepState::Running => format!("{name} {subject}: {}", tame(why)),
            StepState::Failed if why.is_empty() => format!("{subject}: it failed"),
            StepState::Failed => format!("{name} {subject} failed: {}", tame(why)),
            StepState::Done | StepState::Cached => return None,
        },
        Progress::Instance { state, .. } if state == "created" => return None,
        Progress::Instance { instance, state, .. } => format!("{instance} {}", tame(state)),
        Progress::Job { service, line } => {
            format!("{} {}", paint(style::of_service(service.as_str()), format!("{service} |")), tame(line))
        }
        Progress::Waiting { services } if services.is_empty() => return None,
        Progress::Waiting { services } => {
            let each: Vec<String> =
                services.iter().map(|(name, why)| format!("{name} waits: {}", tame(why))).collect();
            each.join("\n")
        }
        Progress::Switched { release } => {
            format!("{} release {release} takes the traffic", paint(style::GOOD, "⇄"))
        }
        Progress::Note { text } => format!("{} {}", paint(style::HINT, "note:"), tame(text)),
    })
}
