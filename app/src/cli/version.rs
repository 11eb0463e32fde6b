//! `mainstay version`.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::format::{self, Format};
use clap::Args;
use mainstay_api::AgentInfo;
use serde_json::json;

/// Show versions: of this program, of the agent that runs, of Docker
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// The number alone
    #[arg(long)]
    short: bool,
    /// How to print: pretty or json
    #[arg(short, long, value_parser = format::plain, default_value = "pretty")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// The output is closed.
pub async fn run(args: VersionArgs, context: &Context) -> Result<Exit, Error> {
    let version = env!("CARGO_PKG_VERSION");
    if args.short {
        context.print(&format!("{version}\n"))?;
        return Ok(Exit::Done);
    }
    if args.format == Format::Json {
        context.print_json_line(&json!({ "version": version }))?;
        return Ok(Exit::Done);
    }
    // An agent that does not run has no version.
    let agent: Option<AgentInfo> = context.client().get("/v1/info").await.ok();
    if context.json {
        context.print_json(&json!({ "version": version, "agent": agent }))?;
        return Ok(Exit::Done);
    }
    let mut text = format!("mainstay {version}\n");
    match agent {
        Some(agent) => {
            text.push_str(&format!(
                "agent    {} (pid {}, state in {})\n",
                agent.version, agent.pid, agent.state_dir
            ));
            if let Some(engine) = agent.engine {
                text.push_str(&match engine.unreachable {
                    Some(why) => format!("docker   unreachable: {why}\n"),
                    None => format!("docker   {} (API {})\n", engine.version, engine.api),
                });
            }
        }
        None => text.push_str("agent    not running\n"),
    }
    context.print(&text)?;
    Ok(Exit::Done)
}
