//! `mainstay uninstall`.

use super::install::{UNIT, must_be_root, remove_unit};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use std::path::Path;

/// Undo `install`
///
/// Services go on running, the state directory, the program and the edge's user stay. Run `mainstay down` first to
/// remove stacks.
#[derive(Debug, Args)]
pub struct UninstallArgs {}

/// Runs the command.
///
/// # Errors
/// Not root, not installed, or a step failed.
pub fn run(args: UninstallArgs, context: &Context) -> Result<Exit, Error> {
    let UninstallArgs {} = args;
    if !Path::new(UNIT).exists() {
        let hint = "an agent that `mainstay up` started ends with `kill`; services go on".into();
        return Err(Error::Install { what: format!("there is no {UNIT}"), hint });
    }
    must_be_root("uninstall")?;
    remove_unit()?;
    context.print("the agent's unit is gone; services go on running\n")?;
    Ok(Exit::Done)
}
