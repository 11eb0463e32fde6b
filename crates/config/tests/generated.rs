//! Stack files put together at random from the fragments of the corpus, a base and an override, through the real
//! Compose and through us.
//!
//! The seed is fixed; `MAINSTAY_TEST_SEED` sets another and `MAINSTAY_TEST_CASES` a number of cases. A disagreement
//! is reduced to the fewest lines that still show it.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::oracle::{by_compose, by_us, disagreement};
use support::{Case, corpus};

/// Cases of a usual run: some ten seconds of the oracle.
const CASES: u64 = 80;

/// Values by key.
type Fragments = BTreeMap<String, Vec<String>>;

struct Generator {
    state: u64,
    fragments: Fragments,
}

impl Generator {
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap() % limit
    }

    fn value(&mut self, key: &str) -> String {
        let values = self.fragments[key].clone();
        values[self.below(values.len())].clone()
    }

    /// Lines of a document; those of a base declare all that fragments refer to.
    fn document(&mut self, is_base: bool) -> Vec<String> {
        let service_keys: Vec<String> =
            self.fragments.keys().filter(|k| !k.starts_with('/')).cloned().collect();
        let mut lines = vec!["services:".to_owned(), "  a:".to_owned()];
        if is_base {
            lines.push("    image: base".to_owned());
        }
        let mut used = vec!["image".to_owned()];
        for _ in 0..=self.below(6) {
            let key = service_keys[self.below(service_keys.len())].clone();
            if used.contains(&key) {
                continue;
            }
            let tag = if is_base { "" } else { ["", "", "", "", "", "", "", "!override "][self.below(8)] };
            let value = self.value(&key);
            let is_collection = value.starts_with(['[', '{']);
            lines.push(format!("    {key}: {}{value}", if is_collection { tag } else { "" }));
            used.push(key);
        }
        if is_base {
            lines.push("  z: { image: z }".to_owned());
            for line in ["networks: { n: , m: }", "volumes: { v: , w: }", "secrets: { s: { file: ./s } }"] {
                lines.push(line.to_owned());
            }
            lines.push("configs: { c: { content: x } }".to_owned());
            lines.push("models: { mm: { model: x } }".to_owned());
        } else {
            for key in ["networks", "volumes", "secrets", "configs", "x-top"] {
                if self.below(4) == 0 {
                    let value = self.value(&format!("/{key}"));
                    lines.push(format!("{key}: {value}"));
                }
            }
        }
        lines
    }
}

/// Makes near seeds start far apart (the finaliser of SplitMix64); never 0, where the generator would stay.
fn spread(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) | 1
}

fn fragments() -> Fragments {
    let text = std::fs::read_to_string(corpus().join("fragments.tsv")).unwrap();
    let mut fragments = Fragments::new();
    for (key, value) in text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once('\t')) {
        fragments.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    fragments
}

/// What Compose and we disagree about on a base and an override.
fn disagreements(directory: &Path, base: &[String], over: &[String]) -> Vec<String> {
    std::fs::write(directory.join("compose.yaml"), base.join("\n")).unwrap();
    std::fs::write(directory.join("compose.override.yaml"), over.join("\n")).unwrap();
    let case = Case {
        name: "generated".to_owned(),
        directory: directory.to_path_buf(),
        args: vec!["-p".to_owned(), "generated".to_owned()],
        env: BTreeMap::from([("HOME".to_owned(), "/home/user".to_owned())]),
        is_valid: false,
    };
    disagreement(&case, by_compose(&case), by_us(&case))
}

/// Takes away lines as long as the disagreement stays.
fn reduce(directory: &Path, mut base: Vec<String>, mut over: Vec<String>) -> String {
    for is_base in [false, true] {
        let mut index = 0;
        while index < if is_base { base.len() } else { over.len() } {
            let lines = if is_base { &mut base } else { &mut over };
            let line = lines.remove(index);
            if disagreements(directory, &base, &over).is_empty() {
                let lines = if is_base { &mut base } else { &mut over };
                lines.insert(index, line);
                index += 1;
            }
        }
    }
    let found = disagreements(directory, &base, &over).join("\n");
    format!("{found}\n--- compose.yaml\n{}\n--- compose.override.yaml\n{}", base.join("\n"), over.join("\n"))
}

#[test]
fn compose_and_we_agree_on_generated_files() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("MAINSTAY_TEST_SEED").unwrap_or(0x9E37_79B9_7F4A_7C15);
    let mut generator = Generator { state: spread(seed), fragments: fragments() };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    for (file, text) in [("e.env", "E=1\nA=file\n"), ("l.env", "a=file\n")] {
        std::fs::write(path.join(file), text).unwrap();
    }
    for case in 0..number("MAINSTAY_TEST_CASES").unwrap_or(CASES) {
        let (base, over) = (generator.document(true), generator.document(false));
        if !disagreements(&path, &base, &over).is_empty() {
            panic!("case {case} of seed {seed}: {}", reduce(&path, base, over));
        }
    }
}
