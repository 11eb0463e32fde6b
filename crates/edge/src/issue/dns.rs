//! Writing and removing the TXT records that prove a domain is ours (RFC 8555, 8.4).
//!
//! Knows nothing about orders.

use super::cloudflare_dns::{Cloudflare, CloudflareError, Place};
use mainstay_model::DnsProvider;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Until Cloudflare's name servers around the world have what its API has taken; it says "typically within seconds".
const CLOUDFLARE_SPREADS: Duration = Duration::from_secs(15);
/// For a program of the user's; providers with slow zones take minutes.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(600);

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsError {
    #[error(transparent)]
    Cloudflare(#[from] CloudflareError),
    #[error("cannot run `{program}`")]
    Run { program: String, source: std::io::Error },
    #[error("`{program}` ended with {status}: {words}")]
    Program { program: String, status: std::process::ExitStatus, words: String },
    #[error("`{0}` takes too long")]
    TimedOut(String),
    #[error("no program is named")]
    NoProgram,
}

/// A record that was written.
pub(super) struct Record {
    name: String,
    value: String,
    /// What Cloudflare calls it.
    place: Option<Place>,
}

/// Writes `value` at `name`, and returns when the world can see it.
pub(super) async fn set(provider: &DnsProvider, name: &str, value: &str) -> Result<Record, DnsError> {
    let place = match provider {
        DnsProvider::Cloudflare { token } => {
            let place = Cloudflare::new(token)?.create(name, value).await?;
            tokio::time::sleep(CLOUDFLARE_SPREADS).await;
            Some(place)
        }
        DnsProvider::Exec { command } => {
            run(command, "set", name, value).await?;
            None
        }
    };
    Ok(Record { name: name.to_owned(), value: value.to_owned(), place })
}

/// Takes a record away again.
pub(super) async fn unset(provider: &DnsProvider, record: Record) -> Result<(), DnsError> {
    let Record { name, value, place } = record;
    match (provider, place) {
        (DnsProvider::Cloudflare { token }, Some(place)) => {
            Ok(Cloudflare::new(token)?.delete(&place).await?)
        }
        (DnsProvider::Cloudflare { .. }, None) => Ok(()),
        (DnsProvider::Exec { command }, _) => run(command, "unset", &name, &value).await,
    }
}

async fn run(command: &[String], what: &str, name: &str, value: &str) -> Result<(), DnsError> {
    let (program, arguments) = command.split_first().ok_or(DnsError::NoProgram)?;
    let mut command = Command::new(program);
    command.args(arguments).args([what, name, value]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PROGRAM_PATIENCE, command.output()).await;
    let output = output.map_err(|_| DnsError::TimedOut(program.clone()))?;
    let output = output.map_err(|source| DnsError::Run { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect();
    Err(DnsError::Program { program: program.clone(), status: output.status, words })
}
