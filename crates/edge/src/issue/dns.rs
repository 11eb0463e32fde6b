//! Writing and removing the TXT records that prove a domain is ours (RFC 8555, 8.4).
//!
//! Knows nothing about orders.

use super::https::{HttpError, Https};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use mainstay_model::{DnsProvider, Secret};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Cloudflare's API.
const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";
/// Until Cloudflare's name servers around the world have what its API has taken; it says "typically within seconds".
const CLOUDFLARE_SPREADS: Duration = Duration::from_secs(15);
/// For a program of the user's; providers with slow zones take minutes.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(600);
/// A record that is gone in a minute does not stay in caches.
const TTL: u32 = 60;

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("Cloudflare answers {status}: {message}")]
    Cloudflare { status: StatusCode, message: String },
    #[error("Cloudflare has no zone for `{0}` that the token may edit")]
    NoZone(String),
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
    /// Where Cloudflare has it.
    address: Option<String>,
}

/// Writes `value` at `name`, and returns when the world can see it.
pub(super) async fn set(provider: &DnsProvider, name: &str, value: &str) -> Result<Record, DnsError> {
    let address = match provider {
        DnsProvider::Cloudflare { token } => {
            let address = Cloudflare::new(token)?.create(name, value).await?;
            tokio::time::sleep(CLOUDFLARE_SPREADS).await;
            Some(address)
        }
        DnsProvider::Exec { command } => {
            run(command, "set", name, value).await?;
            None
        }
    };
    Ok(Record { name: name.to_owned(), value: value.to_owned(), address })
}

/// Takes a record away again.
pub(super) async fn unset(provider: &DnsProvider, record: Record) -> Result<(), DnsError> {
    let Record { name, value, address } = record;
    match (provider, address) {
        (DnsProvider::Cloudflare { token }, Some(address)) => Cloudflare::new(token)?.delete(&address).await,
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

struct Cloudflare<'t> {
    http: Https,
    token: &'t Secret,
}

impl<'t> Cloudflare<'t> {
    fn new(token: &'t Secret) -> Result<Self, DnsError> {
        Ok(Self { http: Https::new(None)?, token })
    }

    /// Writes a record and says where it is.
    async fn create(&self, name: &str, value: &str) -> Result<String, DnsError> {
        let zone = self.zone(name).await?;
        let record = json!({ "type": "TXT", "name": name, "content": format!("\"{value}\""), "ttl": TTL });
        let path = format!("/zones/{zone}/dns_records");
        let answer = self.ask(Method::POST, &path, Bytes::from(record.to_string())).await?;
        let id = answer["result"]["id"].as_str().unwrap_or_default();
        Ok(format!("{path}/{id}"))
    }

    async fn delete(&self, address: &str) -> Result<(), DnsError> {
        self.ask(Method::DELETE, address, Bytes::new()).await.map(drop)
    }

    /// The zone that `name` is in: the longest of its parents that the account has.
    async fn zone(&self, name: &str) -> Result<String, DnsError> {
        let mut parent = name;
        while let Some((_, rest)) = parent.split_once('.') {
            parent = rest;
            if !parent.contains('.') {
                break;
            }
            let answer = self.ask(Method::GET, &format!("/zones?name={parent}"), Bytes::new()).await?;
            if let Some(id) = answer["result"][0]["id"].as_str() {
                return Ok(id.to_owned());
            }
        }
        Err(DnsError::NoZone(name.to_owned()))
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, DnsError> {
        let url = format!("{CLOUDFLARE}{path}");
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.token.expose()))
            .header("content-type", "application/json")
            .header("user-agent", concat!("mainstay/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|_| HttpError::BadUrl(url))?;
        let answer = self.http.send(request).await?;
        let value: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if answer.status().is_success() && value["success"] == true {
            return Ok(value);
        }
        let message = value["errors"][0]["message"].as_str().unwrap_or("no reason given").to_owned();
        Err(DnsError::Cloudflare { status: answer.status(), message })
    }
}
