//! The same files through the real Compose: for valid ones the same JSON, and the same ones refused.
//!
//! Where we differ on purpose, `docs/compose-differences.md` says so; a case listed there must differ.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use std::collections::BTreeMap;
use support::oracle::{by_compose, by_us, disagreement};
use support::{Case, Corpus, corpus};

/// Cases in which we differ on purpose, with the reason.
fn differences() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(corpus().join("../../../../docs/compose-differences.md")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once("`: "))
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
        .collect()
}

#[test]
fn compose_and_we_agree_on_every_file_of_the_corpus() {
    let differences = differences();
    let corpus = Corpus::open();
    let cases: Vec<Case> = corpus.cases.iter().filter(|c| !c.name.starts_with("ours/")).cloned().collect();
    assert!(cases.len() >= 600, "the corpus has shrunk to {}", cases.len());
    let mut complaints: Vec<String> = in_parallel(&cases, |case| {
        let found = disagreement(case, by_compose(case), by_us(case));
        match (found.is_empty(), differences.get(&case.name)) {
            (true, None) | (false, Some(_)) => None,
            (true, Some(_)) => Some(format!("{}: listed as a difference and the same", case.name)),
            (false, None) => Some(format!("{}:\n    {}", case.name, found.join("\n    "))),
        }
    });
    complaints.sort();
    assert!(
        complaints.is_empty(),
        "{} of {} cases:\n{}",
        complaints.len(),
        cases.len(),
        complaints.join("\n")
    );
}

/// What `ask` says of each case. Compose takes a tenth of a second to start, so every core asks it.
fn in_parallel(cases: &[Case], ask: impl Fn(&Case) -> Option<String> + Sync) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let ask = &ask;
        let part = |start: usize| cases.iter().skip(start).step_by(cores);
        let threads: Vec<_> = (0..cores)
            .map(|start| scope.spawn(move || part(start).filter_map(ask).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
