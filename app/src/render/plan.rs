//! What a deploy would do.

use super::style::{self, paint};
use super::words::tame;
use anstyle::Style;
use mainstay_api::{PlanView, PlannedStep};

/// The plan of a stack, for people.
pub fn text(stack: &str, plan: &PlanView) -> String {
    let from = plan.from.map_or_else(|| "nothing runs yet".to_owned(), |n| format!("from release {n}"));
    let mut out =
        format!("{} {}\n", paint(style::BOLD, format!("Plan for {stack}")), paint(style::DIM, from));
    let verb = plan.steps.iter().map(|s| s.verb.chars().count()).max().unwrap_or(0);
    let subject = plan.steps.iter().map(|s| s.subject.chars().count()).max().unwrap_or(0);
    for step in &plan.steps {
        out.push_str(&line(step, verb, subject));
    }
    if plan.steps.is_empty() {
        out.push_str("  nothing to do\n");
    }
    if !plan.unchanged.is_empty() {
        let names: Vec<&str> = plan.unchanged.iter().map(mainstay_model::ServiceName::as_str).collect();
        out.push_str(&format!("  {}\n", paint(style::DIM, format!("= unchanged: {}", names.join(", ")))));
    }
    for note in &plan.notes {
        out.push_str(&format!("  {} {}\n", paint(style::HINT, "note:"), tame(note)));
    }
    out
}

fn line(step: &PlannedStep, verb: usize, subject: usize) -> String {
    let (sign, look) = sign(&step.verb);
    let why = paint(style::DIM, tame(&step.why));
    let text = format!("{sign} {:verb$}  {:subject$}", step.verb, step.subject);
    format!("  {}  {why}\n", paint(look, text))
}

fn sign(verb: &str) -> (char, Style) {
    match verb {
        "create" | "network" | "volume" => ('+', style::GOOD),
        "remove" => ('-', style::BAD),
        "replace" | "swap" | "scale" | "serve" => ('~', style::BUSY),
        "pull" | "build" | "job" => ('*', style::HINT),
        _ => ('>', style::HINT),
    }
}
