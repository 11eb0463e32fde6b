//! Certificates that the edge gets and renews by itself: one task that looks what is due, has it done, and serves it.
//!
//! When is decided in [`schedule`]; how, by [`acme`] and [`internal`]. Whatever fails, what is held is served on. Knows
//! nothing about requests.

mod acme;
mod cloudflare_dns;
mod dns;
pub(crate) mod https;
pub(crate) mod internal;
pub(crate) mod on_demand;
pub(crate) mod schedule;

use crate::shared::Shared;
use crate::tls::{Certificate, CertificateError, Done, Job, StoreError, Task};
use acme::Shop;
use aws_lc_rs::digest;
use https::{HttpError, Https};
use mainstay_model::{Issuer, ManagedCertificate};
use std::error::Error as StdError;
use std::fmt::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that was set is noticed after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    Acme(#[from] instant_acme::Error),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Dns(#[from] dns::DnsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a certificate or key cannot be made")]
    Make(#[from] rcgen::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the authority does not accept that {host} is ours: {why}")]
    NotProven { host: String, why: String },
    #[error("no way to prove {0} that the authority offers: wildcards need `dns:`")]
    NoWay(String),
    #[error("the key of the external account is not base64")]
    ExternalKey,
}

/// A certificate fresh from its issuer, in PEM.
pub(super) struct Issued {
    /// The certificate first.
    chain: String,
    key: String,
}

/// Gets and renews what is to be had, until the edge ends: from then on that is the business of the one that takes over,
/// and two at the same files would order everything twice.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut ending = pin!(shared.ending());
    while shared.ends_at().is_none() {
        let changed = shared.tls.managed.changed();
        let (jobs, wait) = shared.tls.managed.take_due(unix_time());
        for job in jobs {
            let shared = shared.clone();
            tokio::task::spawn_local(async move {
                let done = carry_out(&shared, &job).await;
                shared.tls.finish(&job, done);
            });
        }
        tokio::select! {
            () = changed => {}
            () = &mut ending => {}
            () = tokio::time::sleep(Duration::from_secs(wait).min(LOOK_AGAIN)) => {}
        }
    }
}

async fn carry_out(shared: &Shared, job: &Job) -> Done {
    let mut retry_after = None;
    match try_to(shared, job, &mut retry_after).await {
        Ok(done) => done,
        Err(error) => {
            let (problem, names) = (chain(&error), job.wanted.names.join(", "));
            match job.task {
                Task::Order => tracing::error!(names, problem, "no certificate; it is tried again later"),
                Task::Ask => tracing::warn!(names, problem, "the authority cannot say when to renew"),
            }
            Done::Failed { problem, retry_after }
        }
    }
}

async fn try_to(shared: &Shared, job: &Job, retry_after: &mut Option<u64>) -> Result<Done, IssueError> {
    let ManagedCertificate { names, issuer } = &job.wanted;
    let acme = match issuer {
        Issuer::Internal => return issued(internal::issue(&job.store, names)?),
        Issuer::Acme(acme) => acme,
    };
    let http = Https::new(acme.trust.as_deref())?;
    let shop = Shop { acme, store: &job.store, challenges: &shared.tls.challenges, http: http.clone() };
    let outcome = match (job.task, &job.held) {
        (Task::Ask, Some(held)) => shop.suggestion(held).await.map(Done::Suggested),
        (Task::Ask | Task::Order, held) => {
            let before = held.as_ref().filter(|_| job.is_suggested);
            shop.order(names, job.failures, before).await.and_then(issued)
        }
    };
    if outcome.is_err() {
        *retry_after = http.take_retry_after();
    }
    outcome
}

fn issued(issued: Issued) -> Result<Done, IssueError> {
    let pem = issued.key + &issued.chain;
    Ok(Done::Issued { certificate: Certificate::from_pem(&pem)?, pem })
}

/// An error with all its causes, in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// A short name for some texts that differs when they do.
pub(crate) fn fingerprint(texts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in texts {
        context.update(text.as_bytes());
        context.update(&[0]);
    }
    let mut name = String::new();
    for byte in &context.finish().as_ref()[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::tls::Tls;

    #[tokio::test]
    async fn an_edge_that_ends_leaves_certificates_to_the_next_one() {
        let shared = Arc::new(Shared::new(1, Tls::new().unwrap()));
        let end = async {
            tokio::task::yield_now().await;
            shared.end_at(clock::now() + 3_600_000);
        };
        tokio::join!(keep(shared.clone()), end);
    }
}
