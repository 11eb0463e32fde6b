//! `mainstay check`.

use crate::context::Context;
use crate::error::{Error, Findings};
use crate::exit::Exit;
use crate::render;
use crate::render::{style, words};
use clap::Args;
use mainstay_config::Loaded;
use serde_json::json;

/// Check the stack file
///
/// What becomes of every key that it uses: honoured, ignored or refused, and why. Then everything that stands against
/// running it, at its place. Keys that only say what is read (`include`, `extends`, `env_file`, `label_file`, `profiles`)
/// are done with by then and not listed. Neither the agent nor Docker is asked.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Make warnings errors
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
///
/// # Errors
/// Any.
pub fn run(args: CheckArgs, context: &Context) -> Result<Exit, Error> {
    let Loaded { stack, project, diagnostics, texts } = context.read(&[]);
    let keys =
        project.map(|project| mainstay_config::parity(&project, &diagnostics, &texts)).unwrap_or_default();
    let findings = Findings { diagnostics, texts };
    let warnings = findings.diagnostics.len();
    let base = &context.request.working_dir;
    if context.json {
        let (found, keys) =
            (render::diagnostic::json(&findings), render::parity::json(&keys, &findings.texts));
        context.print_json(&json!({ "findings": found, "keys": keys }))?;
    } else if !context.quiet && !keys.is_empty() {
        context.print(&render::parity::table(&keys, &findings.texts, base))?;
    }
    let Some(stack) = stack.filter(|_| !args.strict || warnings == 0) else {
        return if context.json { Ok(Exit::BadStack) } else { Err(Error::Stack(Box::new(findings))) };
    };
    if context.json {
        return Ok(Exit::Done);
    }
    context.remark(&render::diagnostic::all(&findings, base))?;
    if !context.quiet {
        let services = words::count(stack.services.len(), "service");
        let warnings =
            if warnings == 0 { String::new() } else { format!(", {}", words::count(warnings, "warning")) };
        let name = &stack.name;
        context.print(&format!("{} {name}: {services}{warnings}\n", style::paint(style::GOOD, "✓")))?;
    }
    Ok(Exit::Done)
}
