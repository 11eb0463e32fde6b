//! Whatever the input, a load ends, without a panic.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use mainstay_config::{Code, Loaded, MapSource, Request, load};
use proptest::prelude::*;
use support::Corpus;

fn read(bytes: &[u8]) -> Loaded {
    let source = MapSource::default().file("/p/compose.yaml", bytes).file("/p/.env", "A=1\n").set("B", "b");
    load(&Request { working_dir: "/p".into(), ..Request::default() }, &source)
}

/// Texts of the corpus, to be mutated.
fn texts() -> Vec<Vec<u8>> {
    let mut texts = vec![];
    for case in Corpus::open().cases {
        let loaded = case.load();
        texts.extend(loaded.texts.iter().map(|t| t.text.clone().into_bytes()));
    }
    texts
}

/// Spans must lie on character borders within their file.
fn check_spans(loaded: &Loaded) {
    for finding in &loaded.diagnostics {
        let spans = finding.span.into_iter().chain(finding.notes.iter().filter_map(|n| n.span));
        for span in spans {
            assert!(loaded.texts.slice(span).is_some(), "{finding:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_spans(&read(&bytes));
    }

    #[test]
    fn arbitrary_yaml_like_text(text in "[a-z0-9:\\-\\[\\]{},&*!<>|'\"#$ \n]{0,200}") {
        check_spans(&read(text.as_bytes()));
    }

    #[test]
    fn arbitrary_values_for_known_keys(
        key in prop::sample::select(vec![
            "ports", "volumes", "command", "environment", "depends_on", "healthcheck", "build", "deploy", "ulimits",
            "extra_hosts", "mem_limit", "secrets", "networks", "env_file", "tmpfs", "x-mainstay", "restart", "extends",
        ]),
        value in "[a-z0-9:/.\\-\\[\\]{}, ${}\"%é]{0,40}",
    ) {
        let text = format!("services:\n  a:\n    image: i\n    {key}: {value}\n");
        check_spans(&read(text.as_bytes()));
        let text = format!("services:\n  a:\n    image: i\n    {key}: [\"{}\"]\n", value.replace('"', ""));
        check_spans(&read(text.as_bytes()));
    }
}

/// Files of the corpus with bytes removed, doubled, swapped for others of the corpus. The seed is fixed: a failure
/// is the same failure tomorrow.
#[test]
fn mutated_files() {
    let texts = texts();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    for _ in 0..4000 {
        let mut text = texts[random(texts.len())].clone();
        for _ in 0..=random(4) {
            let (at, other) = (random(text.len()), random(texts.len()));
            match random(4) {
                0 => drop(text.drain(at..(at + random(20)).min(text.len()))),
                1 => text.insert(at, b"\n :-[]{}&*!$'\"\t\0\xff"[random(17)]),
                2 => {
                    let piece = &texts[other];
                    let from = random(piece.len());
                    let piece = piece[from..(from + random(60)).min(piece.len())].to_vec();
                    text.splice(at..at, piece);
                }
                _ => text.truncate(at),
            }
        }
        check_spans(&read(&text));
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("x0: &x0 [a, a, a, a, a, a, a, a, a]\n");
    for n in 1..30 {
        let many = vec![format!("*x{}", n - 1); 9].join(", ");
        text.push_str(&format!("x{n}: &x{n} [{many}]\n"));
    }
    text.push_str("services: { a: { image: i, command: *x29 } }\n");
    let loaded = read(text.as_bytes());
    assert!(loaded.project.is_none());
    assert_eq!(loaded.diagnostics[0].code, Code::TooLarge);
}

#[test]
fn a_thousand_services_load() {
    let mut text = String::from(
        "x-common: &common { restart: always, environment: { A: '1', B: \"${B}\" } }\nservices:\n",
    );
    for n in 0..1000 {
        text.push_str(&format!(
            "  s{n}:\n    <<: *common\n    image: img:{n}\n    ports: [\"{}:80\"]\n    depends_on: [s{}]\n    labels: [a=b]\n",
            10_000 + n,
            n + 1
        ));
    }
    text.push_str("  s1000: { image: i }\n");
    let loaded = read(text.as_bytes());
    assert_eq!(loaded.diagnostics, []);
    assert_eq!(loaded.stack.unwrap().services.len(), 1001);
}
