//! The same files through the real Compose: for valid ones the same JSON, and the same ones refused.
//!
//! Where we differ on purpose, `docs/compose-differences.md` says so; a case listed there must differ.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use support::oracle::{by_compose, by_us, disagreement, in_parallel};
use support::{Case, Corpus, differences};

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
