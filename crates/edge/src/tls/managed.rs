//! Certificates that the edge is to get and renew: what is wanted, what is held, what has been tried.
//!
//! Knows nothing about how certificates are got.

use super::certificates::Certificate;
use super::store::{Store, StoreError};
use crate::issue::fingerprint;
use crate::issue::on_demand::still_meant;
use crate::issue::schedule::{self, Failures, Known, Next, Seconds, Suggestion};
use mainstay_model::table::CertificateStatus;
use mainstay_model::{Issuer, ManagedCertificate};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Where those are kept that were asked for.
const ON_DEMAND: &str = "on_demand.json";

/// Orders under way at once: authorities take a few in parallel gladly.
const MOST_AT_ONCE: usize = 4;

/// All that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Managed {
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// Wanted besides those of the table, and kept as such.
    on_demand: Vec<ManagedCertificate>,
    /// Who issues what is wanted on demand.
    issuer: Option<Issuer>,
    /// None until there is a place to keep things in.
    store: Option<Store>,
}

#[derive(Debug)]
struct Entry {
    wanted: ManagedCertificate,
    /// Its files are called so.
    name: String,
    held: Option<Certificate>,
    history: History,
    problem: Option<String>,
    is_busy: bool,
    is_on_demand: bool,
}

/// What must be remembered of attempts, so that a new process does not begin them anew.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct History {
    failures: Failures,
    suggestion: Option<Suggestion>,
    /// When the certificate at hand was got.
    #[serde(default)]
    issued: Option<Seconds>,
}

/// Something to be done about a certificate.
pub(crate) struct Job {
    pub(crate) task: Task,
    pub(crate) wanted: ManagedCertificate,
    pub(crate) held: Option<Certificate>,
    /// How often it was tried in vain.
    pub(crate) failures: u32,
    /// The authority has said when to renew, so it knows what is replaced.
    pub(crate) is_suggested: bool,
    pub(crate) store: Store,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Order,
    /// Ask when to renew.
    Ask,
}

/// What became of a job.
pub(crate) enum Done {
    Issued { certificate: Certificate, pem: String },
    Suggested(Suggestion),
    Failed { problem: String, retry_after: Option<Seconds> },
}

impl Managed {
    /// From here on, things are kept in `store`; what is there already is taken over.
    pub(super) fn keep_in(&self, store: Store) {
        let mut state = self.lock();
        for entry in &mut state.entries {
            entry.load(&store);
        }
        let kept = store.read(ON_DEMAND).ok().flatten();
        state.on_demand =
            kept.and_then(|text| serde_json::from_slice(text.as_bytes()).ok()).unwrap_or_default();
        state.store = Some(store);
        state.want_on_demand();
    }

    /// From here on these are wanted. What is held of others stays on disk, for the day they are wanted again.
    pub(super) fn want(&self, wanted: &[ManagedCertificate], on_demand: Option<Issuer>) {
        let mut state = self.lock();
        let State { entries, on_demand: _, issuer, store } = &mut *state;
        *issuer = on_demand;
        let mut before = std::mem::take(entries);
        for wanted in wanted {
            let known = before.iter().position(|entry| entry.wanted == *wanted);
            let entry = known.map(|place| before.swap_remove(place));
            entries.push(entry.unwrap_or_else(|| Entry::new(wanted, store.as_ref())));
        }
        let State { entries, issuer, .. } = &mut *state;
        // What was got on demand is not forgotten over a change of the table.
        entries.extend(
            before
                .into_iter()
                .filter(|entry| still_meant(&entry.wanted, issuer.as_ref()) && entry.is_on_demand),
        );
        state.want_on_demand();
        drop(state);
        self.changed.notify_one();
    }

    /// Wants one more, that no table knows.
    pub(crate) fn want_too(&self, wanted: ManagedCertificate) {
        let mut state = self.lock();
        state.on_demand.push(wanted);
        state.want_on_demand();
        let text = serde_json::to_string(&state.on_demand).unwrap_or_default();
        if let Some(store) = &state.store {
            say(&store.write_secret(ON_DEMAND, &text));
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn is_wanted(&self, wanted: &ManagedCertificate) -> bool {
        self.lock().entries.iter().any(|entry| entry.wanted == *wanted)
    }

    /// Whether the last attempt came to nothing, or nothing is attempted.
    pub(crate) fn has_failed(&self, wanted: &ManagedCertificate) -> bool {
        let state = self.lock();
        let entry = state.entries.iter().find(|entry| entry.wanted == *wanted);
        entry.is_none_or(|entry| entry.problem.is_some() && !entry.is_busy)
    }

    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.lock().entries.iter().filter_map(|entry| entry.held.clone()).collect()
    }

    /// For the report.
    pub(super) fn report(&self) -> Vec<CertificateStatus> {
        let report = |entry: &Entry| CertificateStatus {
            problem: entry.problem.clone(),
            ..entry.held.as_ref().map_or_else(
                || CertificateStatus { names: entry.wanted.names.clone(), not_after: None, problem: None },
                Certificate::report,
            )
        };
        self.lock().entries.iter().map(report).collect()
    }

    /// Becomes ready when there may be something new to do.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + use<> {
        let changed = self.changed.clone();
        async move { changed.notified().await }
    }

    /// What is due now, and how long nothing else will be.
    pub(crate) fn take_due(&self, now: Seconds) -> (Vec<Job>, Seconds) {
        let mut state = self.lock();
        let State { entries, store, .. } = &mut *state;
        let Some(store) = store else { return (Vec::new(), Seconds::MAX) };
        let mut free = MOST_AT_ONCE.saturating_sub(entries.iter().filter(|entry| entry.is_busy).count());
        let mut wait = Seconds::MAX;
        let mut jobs = Vec::new();
        for entry in entries.iter_mut().filter(|entry| !entry.is_busy) {
            let task = match entry.next(now) {
                Next::Order => Task::Order,
                Next::AskForSuggestion => Task::Ask,
                Next::Wait(seconds) => {
                    wait = wait.min(seconds);
                    continue;
                }
            };
            if free > 0 {
                free -= 1;
                entry.is_busy = true;
                jobs.push(entry.job(task, store.clone()));
            }
        }
        (jobs, wait)
    }

    /// Takes in what became of a job; true when what is served changes.
    pub(super) fn finish(&self, job: &Job, done: Done, now: Seconds) -> bool {
        let mut state = self.lock();
        let entry = state.entries.iter_mut().find(|entry| entry.wanted == job.wanted);
        let is_issued = matches!(done, Done::Issued { .. });
        // Kept on disk also when it is not wanted any more.
        let kept = match &done {
            Done::Issued { pem, .. } => job.store.write_secret(&format!("{}.pem", job.name), pem),
            Done::Suggested(_) | Done::Failed { .. } => Ok(()),
        };
        say(&kept);
        if let Some(entry) = entry {
            entry.is_busy = false;
            entry.take(job.task, done, now);
            say(&entry.store_history(&job.store));
        }
        drop(state);
        self.changed.notify_one();
        is_issued
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(kept: &Result<(), StoreError>) {
    if let Err(error) = kept {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, "a certificate would be lost if the edge ended now");
    }
}

impl State {
    /// Adds what was asked for and has no entry yet.
    fn want_on_demand(&mut self) {
        let Self { entries, on_demand, issuer, store } = self;
        for wanted in on_demand.iter().filter(|wanted| still_meant(wanted, issuer.as_ref())) {
            if !entries.iter().any(|entry| entry.wanted == *wanted) {
                entries.push(Entry { is_on_demand: true, ..Entry::new(wanted, store.as_ref()) });
            }
        }
    }
}

impl Entry {
    fn new(wanted: &ManagedCertificate, store: Option<&Store>) -> Self {
        let mut entry = Self {
            wanted: wanted.clone(),
            name: file_name(wanted),
            held: None,
            history: History::default(),
            problem: None,
            is_busy: false,
            is_on_demand: false,
        };
        if let Some(store) = store {
            entry.load(store);
        }
        entry
    }

    /// What an earlier process has left. What cannot be read is got again.
    fn load(&mut self, store: &Store) {
        let read = |extension: &str| match store.read(&format!("{}.{extension}", self.name)) {
            Ok(text) => text,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "what was kept of a certificate is lost");
                None
            }
        };
        let held = read("pem").and_then(|pem| Certificate::from_pem(&pem).ok());
        let history = read("json").and_then(|text| serde_json::from_slice(text.as_bytes()).ok());
        self.held = held;
        self.history = history.unwrap_or_default();
    }

    fn store_history(&self, store: &Store) -> Result<(), StoreError> {
        let text = serde_json::to_string(&self.history).unwrap_or_default();
        store.write(&format!("{}.json", self.name), &text)
    }

    fn next(&self, now: Seconds) -> Next {
        let History { failures, suggestion, issued } = self.history;
        let held = self.held.as_ref().map(Certificate::life);
        let can_suggest = matches!(self.wanted.issuer, Issuer::Acme(_));
        schedule::next(&Known { held, suggestion, can_suggest, failures, issued }, now, self.chance())
    }

    /// The same for a certificate's whole life, and another for the next.
    fn chance(&self) -> f64 {
        let until = self.held.as_ref().map_or(0, |held| held.life().to).to_string();
        let digits = fingerprint(&[&self.name, &until]);
        let number = u32::from_str_radix(&digits[..8], 16).unwrap_or(0);
        f64::from(number) / f64::from(u32::MAX)
    }

    fn job(&self, task: Task, store: Store) -> Job {
        Job {
            task,
            wanted: self.wanted.clone(),
            held: self.held.clone(),
            failures: self.history.failures.count,
            is_suggested: self.history.suggestion.is_some_and(|s| s.window.is_some()),
            store,
            name: self.name.clone(),
        }
    }

    fn take(&mut self, task: Task, done: Done, now: Seconds) {
        match done {
            Done::Issued { certificate, .. } => {
                tracing::info!(names = self.wanted.names.join(", "), "a new certificate is served");
                self.held = Some(certificate);
                self.history = History { issued: Some(now), ..History::default() };
                self.problem = None;
            }
            Done::Suggested(suggestion) => self.history.suggestion = Some(suggestion),
            Done::Failed { .. } if task == Task::Ask => {
                /// Whether it would like an early renewal is worth asking a few times a day.
                const ASK_AGAIN: Seconds = 6 * 3600;
                let window = self.history.suggestion.and_then(|s| s.window);
                self.history.suggestion = Some(Suggestion { window, asked: now, good_for: ASK_AGAIN });
            }
            Done::Failed { problem, retry_after } => {
                let count = self.history.failures.count.saturating_add(1);
                self.history.failures = Failures { count, last: now, retry_after };
                self.problem = Some(problem);
            }
        }
    }
}

/// A name that people find their way by, and that differs for each set of names and issuer.
fn file_name(wanted: &ManagedCertificate) -> String {
    let ManagedCertificate { names, issuer } = wanted;
    let issuer = match issuer {
        Issuer::Internal => "internal",
        Issuer::Acme(acme) => acme.directory.as_str(),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let first: String = names.first().map_or("none", String::as_str).chars().map(plain).take(100).collect();
    let texts: Vec<&str> = names.iter().map(String::as_str).chain([issuer]).collect();
    format!("{first}-{}", fingerprint(&texts))
}
