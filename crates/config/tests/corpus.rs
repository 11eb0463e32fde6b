//! What a load finds in every case of the corpus, and what it makes of our own ones, as recorded.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use mainstay_config::{Diagnostic, Loaded};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use support::{Corpus, corpus};

/// A finding as one line and its remarks, without directories.
fn show(finding: &Diagnostic, loaded: &Loaded) -> String {
    let place = |span: Option<mainstay_config::Span>| match span {
        Some(span) => {
            let path = &loaded.texts.get(span.file).expect("spans name files that were read").path;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let slice = loaded.texts.slice(span).expect("spans lie within their file");
            format!("{name}:{}:{} `{slice}`", span.line, span.column)
        }
        None => "nowhere".to_owned(),
    };
    let mut text = format!(
        "{:?} {} at {}\n  {}: {}\n",
        finding.severity,
        finding.code.id(),
        place(finding.span),
        finding.path,
        finding.message
    );
    for note in &finding.notes {
        writeln!(text, "  note: {} at {}", note.message, place(note.span)).unwrap();
    }
    if let Some(help) = &finding.help {
        writeln!(text, "  help: {help}").unwrap();
    }
    text
}

#[test]
fn findings_are_as_recorded() {
    let corpus = Corpus::open();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    // What is not in force yet is said of most valid topics; that changes with every version.
    for case in corpus.cases.iter().filter(|case| !case.name.starts_with("topics/valid/")) {
        let loaded = case.load();
        if loaded.diagnostics.is_empty() {
            continue;
        }
        let topic = case.name.strip_prefix("topics/").and_then(|name| name.rsplit_once('/'));
        let topic = topic.map_or("findings".to_owned(), |(topic, _)| topic.replace('/', "-"));
        let text = all.entry(topic).or_default();
        writeln!(text, "=== {}", case.name).unwrap();
        for finding in &loaded.diagnostics {
            text.push_str(&corpus.without_directories(&show(finding, &loaded)));
        }
    }
    for (topic, text) in all {
        insta::assert_snapshot!(topic, text);
    }
}

#[test]
fn our_own_stacks_are_as_recorded() {
    for case in Corpus::open().cases.into_iter().filter(|c| c.name.starts_with("ours/")) {
        let loaded = case.load();
        assert_eq!(
            loaded.stack.is_none(),
            loaded.has_errors(),
            "{}: a stack if and only if no error",
            case.name
        );
        let Some(stack) = loaded.stack else { continue };
        let text = serde_json::to_string_pretty(&stack).unwrap();
        let text = text.replace(&corpus().display().to_string(), "[corpus]");
        insta::assert_snapshot!(case.name.replace('/', "-"), text);
    }
}

#[test]
fn every_error_has_a_place_a_path_or_names_a_file() {
    let corpus = Corpus::open();
    for case in &corpus.cases {
        let loaded = case.load();
        for finding in &loaded.diagnostics {
            let is_placed = finding.span.is_some() || finding.code.id().starts_with("C00");
            assert!(is_placed || case.name == "invalid/empty", "{}: {finding:?}", case.name);
        }
    }
}
