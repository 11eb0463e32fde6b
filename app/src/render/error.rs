//! Errors: what failed, why, what to do, and the code to look up.

use super::{diagnostic, style};
use crate::error::Error;
use crate::render::words;
use mainstay_config::Severity;
use serde_json::{Value, json};
use std::path::Path;

/// An error for people. Paths below `base` are shown from there.
pub fn text(error: &Error, base: &Path) -> String {
    if let Error::Stack(findings) = error {
        let errors = findings.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        let summary = format!("{} in the stack file; nothing was changed", words::count(errors, "error"));
        return format!(
            "{}{}: {summary}\n",
            diagnostic::all(findings, base),
            style::paint(style::BAD, "error")
        );
    }
    if let Error::AgentDied { log } = error
        && log.iter().any(|line| line.starts_with("error"))
    {
        return format!(
            "{}{}\n",
            style::paint(style::DIM, "the agent could not be started:\n"),
            log.join("\n")
        );
    }
    let code = error.code().map(|code| format!("[{code}]")).unwrap_or_default();
    let mut out = format!("{}: {}\n", style::paint(style::BAD, format!("error{code}")), sentence(error));
    for line in log(error) {
        out.push_str(&format!("  {} {}\n", style::paint(style::DIM, "|"), words::tame(line)));
    }
    for cause in causes(error) {
        out.push_str(&format!("  {} {cause}\n", style::paint(style::BOLD, "= cause:")));
    }
    if let Some(hint) = error.hint() {
        out.push_str(&format!("  {} {hint}\n", style::paint(style::HINT, "= help:")));
    }
    if let Some(code) = error.code() {
        out.push_str(&format!("  {} docs/errors/{code}.md\n", style::paint(style::DIM, "= see:")));
    }
    out
}

fn sentence(error: &Error) -> String {
    match error {
        Error::Outcome(outcome) => match &outcome.service {
            Some(service) if !outcome.message.contains(service.as_str()) => {
                format!("{service}: {}", outcome.message)
            }
            _ => outcome.message.clone(),
        },
        error => error.to_string(),
    }
}

fn log(error: &Error) -> &[String] {
    match error {
        Error::Outcome(outcome) => &outcome.log,
        Error::AgentDied { log } => log,
        _ => &[],
    }
}

/// The chain of causes, outermost first, each said once.
fn causes(error: &Error) -> Vec<String> {
    if let Error::Service { causes, .. } = error {
        return causes.clone();
    }
    chain(error)
}

/// What stands behind an error, outermost first, each said once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut said = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = cause.source();
    }
    said.split_off(1)
}

/// An error for programs.
pub fn json(error: &Error) -> Value {
    let findings = match error {
        Error::Stack(findings) => diagnostic::json(findings),
        _ => json!([]),
    };
    json!({
        "error": {
            "message": sentence(error),
            "code": error.code(),
            "exit": error.exit().status(),
            "causes": causes(error),
            "log": log(error),
            "help": error.hint(),
            "findings": findings,
        }
    })
}
