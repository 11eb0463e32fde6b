//! `mainstay check`.

use crate::context::Context;
use crate::error::{Error, Findings};
use crate::exit::Exit;
use crate::render;
use crate::render::{style, words};
use clap::Args;
use mainstay_config::Loaded;

/// Check the stack file
///
/// Everything that stands against running it, and everything in it that has no effect, at its place. Neither the
/// agent nor Docker is asked.
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
    let Loaded { stack, diagnostics, texts, .. } = context.read(&[]);
    let findings = Findings { diagnostics, texts };
    let Some(stack) = stack else { return Err(Error::Stack(Box::new(findings))) };
    let warnings = findings.diagnostics.len();
    if args.strict && warnings > 0 {
        return Err(Error::Stack(Box::new(findings)));
    }
    if context.json {
        context.print_json(&render::diagnostic::json(&findings))?;
        return Ok(Exit::Done);
    }
    context.remark(&render::diagnostic::all(&findings, &context.request.working_dir))?;
    if !context.quiet {
        let services = words::count(stack.services.len(), "service");
        let warnings =
            if warnings == 0 { String::new() } else { format!(", {}", words::count(warnings, "warning")) };
        context.print(&format!(
            "{} {}: {services}{warnings}\n",
            style::paint(style::GOOD, "✓"),
            stack.name
        ))?;
    }
    Ok(Exit::Done)
}
