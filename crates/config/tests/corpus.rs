//! What a load finds in every case of the corpus, and what it makes of our own ones, as recorded.

#![allow(clippy::unwrap_used)] // Tests.

mod support;

use mainstay_config::{Diagnostic, Loaded};
use std::fmt::Write as _;
use support::{cases, corpus};

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
    text.replace(&corpus().display().to_string(), "[corpus]")
}

#[test]
fn findings_are_as_recorded() {
    let mut all = String::new();
    for case in cases() {
        let loaded = case.load();
        if loaded.diagnostics.is_empty() {
            continue;
        }
        writeln!(all, "=== {}", case.name).unwrap();
        for finding in &loaded.diagnostics {
            all.push_str(&show(finding, &loaded));
        }
    }
    insta::assert_snapshot!("findings", all);
}

#[test]
fn our_own_stacks_are_as_recorded() {
    for case in cases().into_iter().filter(|c| c.name.starts_with("ours/")) {
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
    for case in cases() {
        let loaded = case.load();
        for finding in &loaded.diagnostics {
            let is_placed = finding.span.is_some() || finding.code.id().starts_with("C00");
            assert!(is_placed || case.name == "invalid/empty", "{}: {finding:?}", case.name);
        }
    }
}
