//! `mainstay install`.

use crate::cli::agent::EDGE_USER;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::style;
use clap::Args;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the program goes.
pub const PROGRAM: &str = "/usr/local/bin/mainstay";
/// Where the unit goes.
pub const UNIT: &str = "/etc/systemd/system/mainstay.service";

/// Run the agent under systemd
///
/// Copies this program to /usr/local/bin, makes a user for the edge, writes a unit and starts it. `uninstall` undoes
/// that and leaves services and state alone.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Print the unit and change nothing
    #[arg(long)]
    print_unit: bool,
}

/// Runs the command.
///
/// # Errors
/// Not root, no systemd, or a step failed.
pub fn run(args: InstallArgs, context: &Context) -> Result<Exit, Error> {
    let unit = unit(&context.state_dir);
    if args.print_unit {
        context.print(&unit)?;
        return Ok(Exit::Done);
    }
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(Error::Install {
            what: "systemd does not run here".into(),
            hint: format!(
                "have your init system keep `mainstay agent --state-dir {}` running; \
                 or let `mainstay up` start the agent, which then does not come back after a reboot",
                context.state_dir.display()
            ),
        });
    }
    must_be_root("install")?;
    copy_program()?;
    if !user_exists(EDGE_USER) {
        let shell = "/usr/sbin/nologin";
        let args = ["--system", "--user-group", "--no-create-home", "--shell", shell, EDGE_USER];
        command("useradd", &args)?;
    }
    fs::write(UNIT, unit).map_err(Error::file("write", UNIT))?;
    command("systemctl", &["daemon-reload"])?;
    command("systemctl", &["enable", "mainstay.service"])?;
    command("systemctl", &["restart", "mainstay.service"])?;
    context.print(&format!("{} the agent runs as mainstay.service\n", style::paint(style::GOOD, "✓")))?;
    Ok(Exit::Done)
}

/// The unit. `KillMode=process`: shims and the edge outlive the agent, that is what they are for.
fn unit(state_dir: &Path) -> String {
    format!(
        "[Unit]\n\
         Description=Mainstay, runs production from a Compose file\n\
         Wants=network-online.target\n\
         After=network-online.target docker.service\n\
         \n\
         [Service]\n\
         Type=simple\n\
         ExecStart={PROGRAM} agent --state-dir \"{}\"\n\
         Restart=always\n\
         RestartSec=1\n\
         KillMode=process\n\
         OOMScoreAdjust=-900\n\
         LimitNOFILE=1048576\n\
         Delegate=yes\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        state_dir.display()
    )
}

/// Puts this program in its place, through a rename: the old one may be running.
fn copy_program() -> Result<(), Error> {
    let exe = std::env::current_exe().map_err(Error::file("find", "the program itself"))?;
    let same =
        |a: &Path, b: &str| fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).ok() == Some(a));
    if same(&exe, PROGRAM) {
        return Ok(());
    }
    let new = PathBuf::from(format!("{PROGRAM}.new"));
    fs::copy(&exe, &new).map_err(Error::file("write", &new))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).map_err(Error::file("write", &new))?;
    fs::rename(&new, PROGRAM).map_err(Error::file("write", PROGRAM))
}

/// Stops the agent and takes its unit away.
///
/// # Errors
/// A step failed.
pub fn remove_unit() -> Result<(), Error> {
    command("systemctl", &["disable", "--now", "mainstay.service"])?;
    fs::remove_file(UNIT).map_err(Error::file("remove", UNIT))?;
    command("systemctl", &["daemon-reload"])
}

/// Whether this machine has a user of this name.
pub fn user_exists(name: &str) -> bool {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().any(|line| line.split(':').next() == Some(name))
}

/// Refuses everybody but root.
///
/// # Errors
/// [`Error::Install`].
pub fn must_be_root(word: &str) -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::Install {
        what: format!("only root can {word} a system service"),
        hint: format!("run `sudo {} {word}`", std::env::current_exe().unwrap_or_default().display()),
    })
}

/// Runs a program of the system to its end.
///
/// # Errors
/// [`Error::Install`] with what it printed.
pub fn command(program: &str, args: &[&str]) -> Result<(), Error> {
    let what = format!("`{program} {}` failed", args.join(" "));
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|source| Error::Process { what: what.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Install {
        what,
        hint: if words.is_empty() { "run it by hand to see why".into() } else { words },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_lets_services_outlive_the_agent() {
        let unit = unit(Path::new("/var/lib/mainstay"));
        assert!(unit.contains("KillMode=process\n"));
        assert!(unit.contains("ExecStart=/usr/local/bin/mainstay agent --state-dir \"/var/lib/mainstay\"\n"));
    }
}
