//! `mainstay uninstall`.

use super::install::{UNIT, command, must_be_root};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::Args;
use std::fs;
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
    command("systemctl", &["disable", "--now", "mainstay.service"])?;
    fs::remove_file(UNIT).map_err(Error::file("remove", UNIT))?;
    command("systemctl", &["daemon-reload"])?;
    context.print("the agent's unit is gone; services go on running\n")?;
    Ok(Exit::Done)
}
