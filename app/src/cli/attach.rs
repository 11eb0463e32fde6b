//! `mainstay attach`.

use super::session::{self, Keys, Session};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::{ArgAction, Args};
use mainstay_api::AttachRequest;
use mainstay_model::ServiceName;
use tokio::signal::unix::{SignalKind, signal};

/// Attach to the streams of a running container
///
/// Ctrl-C is sent on to it; with `--sig-proxy=false` it lets go and leaves it running.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The service
    service: String,
    /// Which of the service's instances, counted from 1
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// Only look on
    #[arg(long)]
    no_stdin: bool,
    /// Keys that let go of the container, as with Docker: letters, or ctrl-KEY, separated by commas
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = session::keys)]
    detach_keys: Keys,
    /// Send SIGINT and SIGTERM on to the container
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    sig_proxy: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub async fn run(args: AttachArgs, context: &Context) -> Result<Exit, Error> {
    let AttachArgs { service, index, no_stdin, detach_keys, sig_proxy } = args;
    let service = ServiceName::new(service)?;
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let tty = if no_stdin { None } else { session::terminal_size() };
    let request = AttachRequest { index, stdin: !no_stdin, tty };
    let stream = client.post_frames(&format!("/v1/stacks/{stack}/attach/{service}"), &request).await?;
    let attached = Session::new(tty.is_some(), !no_stdin).detached_by(detach_keys).run(stream);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Terminal)?;
    let mut attached = std::pin::pin!(attached);
    loop {
        let signal = tokio::select! {
            ended = &mut attached => return ended,
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        if !sig_proxy {
            return Err(Error::Interrupted);
        }
        let request =
            mainstay_api::SignalRequest { services: vec![service.clone()], signal: signal.to_owned() };
        let _told: Vec<String> = client.post(&format!("/v1/stacks/{stack}/kill"), &request).await?;
    }
}
