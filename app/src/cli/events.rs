//! `mainstay events`.

use super::time;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::style::{self, paint};
use crate::render::words;
use clap::Args;
use mainstay_model::{Event, EventKind};
use tokio::signal::unix::{SignalKind, signal};

/// Show what happened: deploys, steps with their reasons, crashes, restarts
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only of these services
    services: Vec<String>,
    /// Go on as things happen
    #[arg(short, long)]
    follow: bool,
    /// Only since then: an age such as 10m, or a date
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only until then; with --follow it ends then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: EventsArgs, context: &Context) -> Result<Exit, Error> {
    let client = context.client();
    let stack = context.stack_name(&client).await?;
    let mut path = format!("/v1/stacks/{stack}/events?follow={}", args.follow);
    if let Some(since) = &args.since {
        path.push_str(&format!("&since={}", time::parse(since, words::now())?.0));
    }
    if let Some(until) = &args.until {
        path.push_str(&format!("&until={}", time::parse(until, words::now())?.0));
    }
    let mut lines = client.get_lines(&path).await?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    loop {
        let event = tokio::select! {
            event = lines.next::<Event>() => event?,
            _ = interrupt.recv() => return Err(Error::Interrupted),
        };
        let Some(event) = event else { return Ok(Exit::Done) };
        let of_service =
            |s: &mainstay_model::ServiceName| args.services.iter().any(|name| name == s.as_str());
        if !args.services.is_empty() && !event.service.as_ref().is_some_and(of_service) {
            continue;
        }
        if context.json { context.print_json_line(&event)? } else { context.print(&text(&event))? }
    }
}

fn text(event: &Event) -> String {
    let Event { at, instance, service, message, kind, .. } = event;
    let about = instance.clone().or_else(|| service.as_ref().map(ToString::to_string)).unwrap_or_default();
    // Most sentences name what they are about.
    let about = if about.is_empty() || message.contains(&about) {
        String::new()
    } else {
        format!("{} ", paint(style::BOLD, about))
    };
    format!("{} {about}{}\n", paint(style::DIM, words::local(*at)), paint(look(*kind), words::tame(message)))
}

fn look(kind: EventKind) -> anstyle::Style {
    match kind {
        EventKind::DeployFinished | EventKind::DeploySwitched | EventKind::Ready => style::GOOD,
        EventKind::DeployFailed | EventKind::StepFailed | EventKind::OutOfMemory | EventKind::CrashLoop => {
            style::BAD
        }
        EventKind::Unhealthy | EventKind::Exited | EventKind::Restarted | EventKind::DeployUndone => {
            style::BUSY
        }
        EventKind::DeployStarted | EventKind::StepStarted | EventKind::StepDone => anstyle::Style::new(),
        EventKind::Progress | EventKind::Note => style::DIM,
    }
}
