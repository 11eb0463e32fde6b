//! A plan while it is being made.

use crate::view::{Input, View};
use mainstay_model::{Plan, Reason, ServiceName, Step, StepKey, Timestamp, Transition, Waiting};
use std::collections::BTreeSet;

pub(crate) struct Draft<'a> {
    busy: &'a BTreeSet<StepKey>,
    records: Vec<(Step, Reason)>,
    steps: Vec<(Step, Reason)>,
    keys: BTreeSet<StepKey>,
    waiting: Vec<Waiting>,
    wake: Option<Timestamp>,
    generation: u64,
}

impl<'a> Draft<'a> {
    pub fn new(input: &'a Input<'a>) -> Self {
        let generation = input.state.generation;
        let (records, steps, waiting, keys) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        Self { busy: input.busy, records, steps, keys, waiting, wake: None, generation }
    }

    /// Asks for a step, unless one about the same thing is under way or already asked for.
    pub fn step(&mut self, step: Step, why: impl Into<Reason>) {
        let key = step.key();
        if !self.busy.contains(&key) && self.keys.insert(key) {
            self.steps.push((step, why.into()));
        }
    }

    /// Asks for a change of the journal.
    pub fn record(&mut self, transition: Transition, why: impl Into<Reason>) {
        if !self.busy.contains(&StepKey::Journal) {
            self.records.push((Step::Record { transition }, why.into()));
        }
    }

    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    pub fn wait(&mut self, service: &ServiceName, why: impl Into<String>) {
        self.waiting.push(Waiting { service: service.clone(), why: why.into() });
    }

    pub fn wait_all(&mut self, view: &View<'_>, why: &str) {
        let services: BTreeSet<_> =
            view.releases().flat_map(|b| b.services().map(|s| s.name.clone())).collect();
        for service in services {
            self.wait(&service, why);
        }
    }

    /// Asks to be called again at `at`.
    pub fn wake(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |known| known.min(at)));
    }

    /// The plan. While the journal changes nothing is done: the next plan rests on what was written.
    pub fn finish(self) -> Plan {
        let steps = if self.records.is_empty() { self.steps } else { self.records };
        Plan { generation: self.generation, steps, waiting: self.waiting, wake: self.wake }
    }
}
