//! `mainstay export`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use mainstay_model::ServiceName;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// Write the files of a container as a tar archive
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The service
    service: String,
    /// Where to; standard output without
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Which of the service's instances, counted from 1
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

/// Runs the command.
///
/// # Errors
/// Any; a file that was begun is removed again.
pub async fn run(args: ExportArgs, context: &Context) -> Result<Exit, Error> {
    let ExportArgs { service, output, index } = args;
    let service = ServiceName::new(service)?;
    if output.is_none() && io::stdout().is_terminal() {
        return Err(Error::Argument {
            value: "a terminal".into(),
            expected: "a place for an archive; give --output",
        });
    }
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let index = index.map(|n| format!("?index={n}")).unwrap_or_default();
    let mut pieces = client.get_bytes(&format!("/v1/stacks/{stack}/export/{service}{index}")).await?;
    let Some(path) = output else {
        let mut out = io::stdout().lock();
        while let Some(piece) = pieces.next().await? {
            out.write_all(&piece).map_err(Error::Output)?;
        }
        return Ok(Exit::Done);
    };
    let mut file = File::create(&path).map_err(Error::file("write", &path))?;
    let written = async {
        while let Some(piece) = pieces.next().await? {
            file.write_all(&piece).map_err(Error::file("write", &path))?;
        }
        Ok(Exit::Done)
    };
    let outcome = written.await;
    if outcome.is_err() {
        // Half an archive is worse than none; the error says what happened.
        let _ = std::fs::remove_file(&path);
    }
    outcome
}
