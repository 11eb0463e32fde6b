//! Certificates for hosts that were not known before, such as customers' domains: whether one may be had is asked of
//! somebody who knows, and the first handshake waits for it.
//!
//! Knows nothing about how certificates are got.

use super::chain;
use super::https::{HttpError, Https};
use crate::tls::Tls;
use bytes::Bytes;
use http::{Request, StatusCode};
use mainstay_model::{Issuer, ManagedCertificate, OnDemand};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A host that was refused is not asked about again so soon: strangers' handshakes must not become requests.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// Refusals remembered; beyond them, strangers are many, and nobody is asked at all for a while.
const MOST_REFUSED: usize = 10_000;

/// Who was refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<String, Instant>>);

impl Refusals {
    /// Whether `host` may be asked about.
    fn may_ask(&self, host: &str) -> bool {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MOST_REFUSED {
            refused.retain(|_, since| since.elapsed() < REFUSED_FOR);
        }
        let is_recent = refused.get(host).is_some_and(|since| since.elapsed() < REFUSED_FOR);
        !is_recent && refused.len() < MOST_REFUSED
    }

    fn add(&self, host: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), Instant::now());
    }
}

/// Sees to it that there is a certificate for `host`, if it may have one. Ends when there is, or will not be soon.
pub(crate) async fn provide(tls: &Tls, host: &str) {
    let Some((OnDemand { ask }, issuer)) = tls.on_demand() else { return };
    if tls.covers(host) || !is_host(host) {
        return;
    }
    let wanted = ManagedCertificate { names: vec![host.to_owned()], issuer };
    if !tls.managed.is_wanted(&wanted) {
        if !tls.refusals.may_ask(host) {
            return;
        }
        match is_allowed(&ask, host).await {
            Ok(true) => tls.managed.want_too(wanted.clone()),
            Ok(false) => return tls.refusals.add(host),
            Err(error) => {
                tls.refusals.add(host);
                let problem = chain(&error);
                return tracing::warn!(host, problem, "cannot ask whether a host may have a certificate");
            }
        }
    }
    let mut published = tls.published();
    while !tls.covers(host) && !tls.managed.has_failed(&wanted) {
        if published.changed().await.is_err() {
            return;
        }
    }
}

async fn is_allowed(ask: &str, host: &str) -> Result<bool, HttpError> {
    let joint = if ask.contains('?') { '&' } else { '?' };
    let url = format!("{ask}{joint}domain={host}");
    let request = Request::get(&url).body(Bytes::new()).map_err(|_| HttpError::BadUrl(url))?;
    Ok(Https::new(None)?.send(request).await?.status() == StatusCode::OK)
}

/// A full name in letters, digits and hyphens: nothing that could change the address that is asked.
fn is_host(host: &str) -> bool {
    let label =
        |l: &str| !l.is_empty() && l.len() < 64 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    host.len() < 254 && host.contains('.') && host.split('.').all(label)
}

/// Whether a certificate is one of those that were asked for: by its issuer, when the settings have changed meanwhile.
pub(crate) fn still_meant(wanted: &ManagedCertificate, on_demand: Option<&Issuer>) -> bool {
    on_demand == Some(&wanted.issuer)
}
