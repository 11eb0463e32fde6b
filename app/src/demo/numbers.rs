//! What the demo measured.

use serde_json::{Value, json};
use std::time::Duration;

/// One phase of the show.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its name in JSON.
    pub name: &'static str,
    /// How long the deploy or the recovery took.
    pub took: Duration,
    /// The load during it, where there was one.
    pub load: Option<Tally>,
}

/// What became of a number of requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Those that were not answered, or not with 200.
    pub failed: u64,
    /// Why the first few failed.
    pub why: Vec<String>,
    /// Half of the answers came within this.
    pub median: Duration,
    /// All but one of a hundred came within this.
    pub p99: Duration,
    /// Requests each second.
    pub rate: f64,
}

impl Tally {
    /// `0 of 1843 requests failed`.
    pub fn sentence(&self) -> String {
        format!("{} of {} requests failed", self.failed, self.requests)
    }
}

/// All phases.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// In order.
    pub phases: Vec<Phase>,
}

impl Numbers {
    /// Over all phases.
    pub fn total(&self) -> (u64, u64) {
        let loads = || self.phases.iter().filter_map(|phase| phase.load.as_ref());
        (loads().map(|l| l.requests).sum(), loads().map(|l| l.failed).sum())
    }

    /// For programs.
    pub fn json(&self, ok: bool, left: &[String]) -> Value {
        let (requests, failed) = self.total();
        let millis = |d: Duration| d.as_secs_f64() * 1e3;
        let phases: Vec<Value> = self
            .phases
            .iter()
            .map(|phase| {
                let load = phase.load.as_ref().map(|l| {
                    json!({
                        "requests": l.requests, "failed": l.failed, "why": l.why, "rate": l.rate.round(),
                        "median_ms": millis(l.median), "p99_ms": millis(l.p99),
                    })
                });
                json!({ "name": phase.name, "seconds": phase.took.as_secs_f64(), "load": load })
            })
            .collect();
        json!({ "ok": ok, "requests": requests, "failed": failed, "phases": phases, "left_behind": left })
    }
}
