//! Following what the agent does for a command, to its end.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::progress::Report;
use mainstay_api::{Client, Lines, Outcome, Progress};
use mainstay_model::StackName;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often a live display moves on by itself: often enough for a spinner to turn.
const FRAME: Duration = Duration::from_millis(100);

/// What Ctrl-C means while a command is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The first asks the agent to cancel and undo, the second only stops looking on.
    Cancel,
    /// It stops looking on; the agent goes on.
    Detach,
}

/// How it is looked on.
#[derive(Debug, Clone, Copy)]
pub struct Following {
    /// What Ctrl-C means.
    pub interrupt: Interrupt,
    /// After so long it is given up, as Ctrl-C would.
    pub timeout: Option<Duration>,
    /// Show nothing of builds.
    pub quiet_build: bool,
    /// Show nothing of pulls.
    pub quiet_pull: bool,
    /// Lines only, even on a terminal: something else is printed meanwhile.
    pub plain: bool,
}

impl Following {
    /// Everything is shown, for as long as it takes.
    pub fn new(interrupt: Interrupt) -> Self {
        Self { interrupt, timeout: None, quiet_build: false, quiet_pull: false, plain: false }
    }

    fn hides(self, line: &Progress) -> bool {
        match line {
            Progress::Build { .. } => self.quiet_build,
            Progress::Pull { .. } => self.quiet_pull,
            _ => false,
        }
    }
}

/// Shows `lines` until the last one.
///
/// # Errors
/// The outcome was bad, the connection broke, or the user stopped looking on.
pub async fn follow(
    context: &Context,
    client: &Client,
    stack: &StackName,
    lines: Lines,
    interrupt: Interrupt,
) -> Result<Exit, Error> {
    follow_as(context, client, stack, lines, Following::new(interrupt), |_| {}).await
}

/// Shows `lines` until the last one, in the way that `how` says; `seen` sees every line.
///
/// # Errors
/// The outcome was bad, the connection broke, the user stopped looking on, or the time was up.
pub async fn follow_as(
    context: &Context,
    client: &Client,
    stack: &StackName,
    mut lines: Lines,
    how: Following,
    mut seen: impl FnMut(&Progress),
) -> Result<Exit, Error> {
    let mut report = Report::new(context, how.plain).of(stack.as_str());
    let mut signals = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    let mut frames = tokio::time::interval(FRAME);
    let mut late = std::pin::pin!(after(how.timeout));
    let (mut cancelling, mut too_late) = (false, false);
    loop {
        tokio::select! {
            line = lines.next::<Progress>() => match line {
                Ok(Some(Progress::Done { outcome })) => {
                    report.done(&outcome)?;
                    if cancelling && !outcome.ok {
                        report.say(&outcome.message)?;
                    }
                    return end(outcome, cancelling && !too_late);
                }
                Ok(Some(line)) => {
                    seen(&line);
                    if !how.hides(&line) {
                        report.take(&line)?;
                    }
                }
                Ok(None) => return Err(unfinished()),
                Err(error) => return Err(error.into()),
            },
            _ = frames.tick() => report.frame()?,
            () = &mut late, if !too_late => {
                too_late = true;
                let seconds = how.timeout.unwrap_or_default().as_secs();
                if how.interrupt == Interrupt::Detach {
                    return Err(Error::NotInTime { seconds });
                }
                cancelling = true;
                report.say(&format!("not ready within {seconds} seconds: cancelling"))?;
                cancel(client, stack, &mut report).await?;
            }
            _ = signals.recv() => {
                if how.interrupt == Interrupt::Detach || cancelling {
                    report.say("no longer looking on; the agent goes on (`mainstay ps`, `mainstay events`)")?;
                    return Err(Error::Interrupted);
                }
                cancelling = true;
                report.say("cancelling: the release that serves goes on serving (Ctrl-C again to stop looking on)")?;
                cancel(client, stack, &mut report).await?;
            }
        }
    }
}

async fn cancel(client: &Client, stack: &StackName, report: &mut Report) -> Result<(), Error> {
    let path = format!("/v1/stacks/{stack}/cancel");
    let asked: Result<serde_json::Value, _> = client.post(&path, &serde_json::json!({})).await;
    match asked {
        Ok(_) => Ok(()),
        Err(error) => report.say(&format!("could not cancel: {error}")),
    }
}

/// Ends after `time`; never without one.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

fn end(outcome: Outcome, cancelled: bool) -> Result<Exit, Error> {
    match (outcome.ok, cancelled) {
        (true, _) => Ok(Exit::Done),
        (false, true) => Err(Error::Interrupted),
        (false, false) => Err(Error::Outcome(Box::new(outcome))),
    }
}

/// The agent ended in the middle. What it had begun is finished or undone when it runs again.
fn unfinished() -> Error {
    let gone = std::io::Error::new(
        std::io::ErrorKind::UnexpectedEof,
        "it ended before it was done; started again, it finishes or undoes what it had begun",
    );
    Error::Agent(mainstay_api::ClientError::Broken(gone.into()))
}
