//! What is remembered between requests: passwords that were right a moment ago, keys that were fetched.
//!
//! Passwords are never kept, only a hash of them under a key that this process made and nobody else has.

use super::ask::{AskError, Asked, ask};
use super::jwt::KeySet;
use crate::clock::{self, Millis};
use crate::issue::https::{HttpError, Https};
use crate::table::Table;
use aws_lc_rs::{hmac, rand};
use bytes::Bytes;
use http::Request;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as Turn, Semaphore};

/// How long a right password is believed without computing its hash again. Whoever takes a user away takes its hash out
/// of the table, and is obeyed at once; this only spares the computing.
const BELIEVE_FOR: Millis = 60_000;

/// Users remembered at once; beyond that those that are over are forgotten, then all.
const MOST_VERDICTS: usize = 10_000;

/// Hashes computed at once. Each takes tens of milliseconds of a core and, with Argon2, tens of megabytes.
const AT_ONCE: usize = 2;

/// Requests that wait for a hash to be computed; more than that are an attack or an outage, and are turned away.
const MOST_WAITING: usize = 64;

/// How long fetched keys count as new, and how long they may be used when no newer ones are to be had.
const FRESH_FOR: Millis = 10 * 60_000;
const USABLE_FOR: Millis = 60 * 60_000;

/// Time between two attempts to fetch keys: an unknown key may be new, but whoever invents some must not have us ask
/// for each.
const ASK_AGAIN_AFTER: Millis = 10_000;

/// For a request for keys.
const PATIENCE: Duration = Duration::from_secs(10);

/// All that is remembered.
#[derive(Debug)]
pub(crate) struct Memory {
    key: Option<hmac::Key>,
    verdicts: Mutex<HashMap<[u8; 32], Millis>>,
    pub(super) computing: Semaphore,
    pub(super) places: Semaphore,
    https: OnceLock<Result<Https, HttpError>>,
    sets: Mutex<HashMap<Box<str>, Arc<Turn<Published>>>>,
}

/// Keys that somebody publishes.
#[derive(Debug, Default)]
struct Published {
    set: Option<Arc<KeySet>>,
    fetched: Millis,
    tried: Option<Millis>,
}

impl Default for Memory {
    fn default() -> Self {
        let mut secret = [0; 32];
        // Without randomness nothing is remembered.
        let key = rand::fill(&mut secret).is_ok().then(|| hmac::Key::new(hmac::HMAC_SHA256, &secret));
        Self {
            key,
            verdicts: Mutex::default(),
            computing: Semaphore::new(AT_ONCE),
            places: Semaphore::new(MOST_WAITING),
            https: OnceLock::new(),
            sets: Mutex::default(),
        }
    }
}

/// Stands for one password and one hash.
pub(super) struct Verdict([u8; 32]);

impl Memory {
    pub(super) fn verdict(&self, hash: &str, password: &[u8]) -> Option<Verdict> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        // The hash has a length that its own text shows, so the two cannot be cut otherwise.
        context.update(hash.as_bytes());
        context.update(&[0]);
        context.update(password);
        Some(Verdict(context.sign().as_ref().try_into().ok()?))
    }

    pub(super) fn is_known(&self, verdict: &Verdict) -> bool {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(&verdict.0).is_some_and(|until| *until > clock::now())
    }

    pub(super) fn remember(&self, verdict: Verdict) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        if verdicts.len() >= MOST_VERDICTS {
            verdicts.retain(|_, until| *until > now);
        }
        if verdicts.len() >= MOST_VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(verdict.0, now + BELIEVE_FOR);
    }

    /// The client for servers outside the stack.
    pub(super) fn https(&self) -> Result<&Https, AskError> {
        self.https.get_or_init(|| Https::new(None)).as_ref().map_err(|_| AskError::NoTls)
    }

    /// The keys that are published at `asked`; `has` tells whether what is there already will do.
    pub(super) async fn keys(
        &self,
        asked: &Asked,
        table: &Table,
        has: impl Fn(&KeySet) -> bool,
    ) -> Option<Arc<KeySet>> {
        let turn = {
            let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
            sets.entry(asked.url.clone()).or_default().clone()
        };
        // Held while keys are fetched: whoever comes meanwhile wants the same and waits for it.
        let mut published = turn.lock().await;
        let now = clock::now();
        let age = now.saturating_sub(published.fetched);
        let is_enough = published.set.as_ref().is_some_and(|set| age < FRESH_FOR && has(set));
        let may_ask = published.tried.is_none_or(|tried| now.saturating_sub(tried) >= ASK_AGAIN_AFTER);
        if !is_enough && may_ask {
            // The first keys of all are not asked for because of anybody's unknown one.
            published.tried = published.set.is_some().then_some(now);
            match self.fetch(asked, table).await {
                Some(set) => {
                    published.set = Some(set);
                    published.fetched = now;
                }
                None => {
                    published.tried = Some(now);
                    tracing::warn!(url = &*asked.url, "no keys for tokens from there");
                }
            }
        }
        let age = now.saturating_sub(published.fetched);
        published.set.clone().filter(|_| age < USABLE_FOR)
    }

    async fn fetch(&self, asked: &Asked, table: &Table) -> Option<Arc<KeySet>> {
        let request = Request::get(&*asked.url).body(Bytes::new()).ok()?;
        let answer = ask(self, table, asked, request, PATIENCE).await;
        let answer = answer.inspect_err(|error| tracing::debug!(%error, "keys were not to be had")).ok()?;
        let set = answer.status().is_success().then(|| KeySet::published(answer.body()))?;
        set.map(Arc::new)
    }
}
