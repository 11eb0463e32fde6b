//! Findings of the stack file, each with the line it is about.

use crate::error::Findings;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use mainstay_config::{Diagnostic, Severity, Span, Texts};
use serde_json::{Value, json};
use std::path::Path;

/// All findings. Paths below `base` are shown from there.
pub fn all(findings: &Findings, base: &Path) -> String {
    some(findings.diagnostics.iter(), &findings.texts, base)
}

/// Some findings, in the same form.
pub fn some<'f>(diagnostics: impl Iterator<Item = &'f Diagnostic>, texts: &Texts, base: &Path) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&one(diagnostic, texts, base));
        out.push_str("\n\n");
    }
    out
}

/// One finding.
fn one(diagnostic: &Diagnostic, texts: &Texts, base: &Path) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.id());
    let paths: Vec<String> = texts.iter().map(|text| shown(&text.path, base)).collect();
    let mut group = Group::with_title(title);
    if let Some(span) = diagnostic.span
        && let Some(snippet) = snippet(span, &diagnostic.path, texts, &paths, AnnotationKind::Primary)
    {
        group = group.element(snippet);
    }
    let mut groups = vec![];
    for note in &diagnostic.notes {
        match note.span.and_then(|span| snippet(span, "", texts, &paths, AnnotationKind::Context)) {
            Some(snippet) => groups.push(Level::NOTE.secondary_title(note.message.as_str()).element(snippet)),
            None => group = group.element(Level::NOTE.message(note.message.as_str())),
        }
    }
    let also = also(&diagnostic.also);
    if !also.is_empty() {
        group = group.element(Level::NOTE.message(also.as_str()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    groups.insert(0, group);
    Renderer::styled().render(&groups)
}

/// Which other paths say the same; not all of them, when there are many.
fn also(paths: &[String]) -> String {
    match paths {
        [] => String::new(),
        [a, b, c, _, _, ..] => format!("the same at {a}, {b}, {c} and {} others", paths.len() - 3),
        paths => format!("the same at {}", paths.join(", ")),
    }
}

fn snippet<'a>(
    span: Span,
    label: &'a str,
    texts: &'a Texts,
    paths: &'a [String],
    kind: AnnotationKind,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let text = texts.get(span.file)?;
    let path = paths.get(usize::try_from(span.file.0).ok()?)?;
    let start = span.start.min(text.text.len());
    let end = span.start.saturating_add(span.len).min(text.text.len());
    // A value over many lines is pointed at by its first one.
    let covered = text.text.get(start..end)?;
    let end = start + covered.find('\n').unwrap_or(covered.len());
    let annotation = kind.span(start..end);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    Some(Snippet::source(text.text.as_str()).path(path.as_str()).annotation(annotation))
}

fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}

/// `file:line:column`, the file as seen from `base`.
pub fn place(span: Span, texts: &Texts, base: &Path) -> Option<String> {
    let file = shown(&texts.get(span.file)?.path, base);
    Some(format!("{file}:{}:{}", span.line, span.column))
}

/// A place for programs.
pub fn place_json(span: Option<Span>, texts: &Texts) -> Option<Value> {
    let span = span?;
    let file = texts.get(span.file)?.path.display().to_string();
    Some(json!({ "file": file, "line": span.line, "column": span.column }))
}

/// Findings for programs.
pub fn json(findings: &Findings) -> Value {
    let place = |span: Option<Span>| place_json(span, &findings.texts);
    let one = |d: &Diagnostic| {
        let notes: Vec<Value> =
            d.notes.iter().map(|n| json!({ "message": n.message, "at": place(n.span) })).collect();
        json!({
            "severity": d.severity,
            "code": d.code.id(),
            "message": d.message,
            "at": place(d.span),
            "path": d.path,
            "also": d.also,
            "notes": notes,
            "help": d.help,
        })
    };
    findings.diagnostics.iter().map(one).collect()
}
