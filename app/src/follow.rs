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

/// Shows `lines` until the last one.
///
/// # Errors
/// The outcome was bad, the connection broke, or the user stopped looking on.
pub async fn follow(
    context: &Context,
    client: &Client,
    stack: &StackName,
    mut lines: Lines,
    interrupt: Interrupt,
) -> Result<Exit, Error> {
    let mut report = Report::new(context).of(stack.as_str());
    let mut signals = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    let mut frames = tokio::time::interval(FRAME);
    let mut cancelling = false;
    loop {
        tokio::select! {
            line = lines.next::<Progress>() => match line {
                Ok(Some(Progress::Done { outcome })) => {
                    report.done(&outcome)?;
                    if cancelling && !outcome.ok {
                        report.say(&outcome.message)?;
                    }
                    return end(outcome, cancelling);
                }
                Ok(Some(line)) => report.take(&line)?,
                Ok(None) => return Err(unfinished()),
                Err(error) => return Err(error.into()),
            },
            _ = frames.tick() => report.frame()?,
            _ = signals.recv() => {
                if interrupt == Interrupt::Detach || cancelling {
                    report.say("no longer looking on; the agent goes on (`mainstay ps`, `mainstay events`)")?;
                    return Err(Error::Interrupted);
                }
                cancelling = true;
                report.say("cancelling: the release that serves goes on serving (Ctrl-C again to stop looking on)")?;
                let path = format!("/v1/stacks/{stack}/cancel");
                let asked: Result<serde_json::Value, _> = client.post(&path, &serde_json::json!({})).await;
                if let Err(error) = asked {
                    report.say(&format!("could not cancel: {error}"))?;
                }
            }
        }
    }
}

fn end(outcome: Outcome, cancelling: bool) -> Result<Exit, Error> {
    match (outcome.ok, cancelling) {
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
