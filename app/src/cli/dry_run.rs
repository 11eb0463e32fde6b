//! `--dry-run`: what a command would do. What only looks does so anyway; `up` and what is like it is `plan`.

use super::{Command, plan};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use mainstay_api::{InstanceView, StackView};

/// Says what `command` would do; nothing for one that only looks.
///
/// # Errors
/// The stack cannot be read or the agent not be asked.
pub async fn say(command: &Command, context: &Context) -> Result<Option<Exit>, Error> {
    match command {
        Command::Up(args) => plan::show(&args.request(context)?, context).await.map(Some),
        Command::Create(args) => plan::show(&args.request(context)?, context).await.map(Some),
        Command::Scale(args) => plan::show(&args.as_up().request(context)?, context).await.map(Some),
        Command::Pull(args) => images("pull", &args.services, context).map(Some),
        Command::Build(args) => images("build", &args.services, context).map(Some),
        Command::Push(args) => images("push", &args.services, context).map(Some),
        Command::Start(args) => instances("start", &args.services, context, |i| i.state != "running").await,
        Command::Stop(args) => instances("stop", &args.services, context, is_running).await,
        Command::Restart(args) => instances("restart", &args.services, context, |_| true).await,
        Command::Pause(args) => instances("pause", &args.services, context, is_running).await,
        Command::Unpause(args) => {
            instances("unpause", &args.services, context, |i| i.state == "paused").await
        }
        Command::Kill(args) => instances("send a signal to", &args.services, context, is_running).await,
        Command::Rm(args) => instances("remove", &args.services, context, |i| i.state == "exited").await,
        Command::Down(_) => instances("stop and remove", &[], context, |_| true).await,
        Command::Exec(_)
        | Command::Run(_)
        | Command::Attach(_)
        | Command::Cp(_)
        | Command::Watch(_)
        | Command::Commit(_)
        | Command::Export(_)
        | Command::Wait(_)
        | Command::Rollback(_)
        | Command::Install(_)
        | Command::Uninstall(_)
        | Command::Demo(_)
        | Command::Eject(_) => {
            let typed: Vec<String> = std::env::args().skip(1).filter(|word| word != "--dry-run").collect();
            context.print(&format!("would run `{}`\n", typed.join(" ")))?;
            Ok(Some(Exit::Done))
        }
        // These look, and change nothing.
        Command::Plan(_)
        | Command::Releases(_)
        | Command::Ps(_)
        | Command::Logs(_)
        | Command::Events(_)
        | Command::Ls(_)
        | Command::Config(_)
        | Command::Check(_)
        | Command::Stats(_)
        | Command::Top(_)
        | Command::Port(_)
        | Command::Images(_)
        | Command::Volumes(_)
        | Command::Completions(_)
        | Command::Version(_) => Ok(None),
        // Run before there is a runtime.
        Command::Agent(_) | Command::Edge(_) | Command::Shim(_) | Command::DemoApp(_) => Ok(None),
    }
}

fn is_running(instance: &InstanceView) -> bool {
    instance.state == "running"
}

async fn instances(
    verb: &str,
    services: &[String],
    context: &Context,
    concerned: impl Fn(&InstanceView) -> bool,
) -> Result<Option<Exit>, Error> {
    let client = context.known_agent().await?;
    let stack = context.stack_name(&client).await?;
    let view: StackView = client.get(&format!("/v1/stacks/{stack}")).await?;
    let meant = |name: &str| services.is_empty() || services.iter().any(|s| s == name);
    let all = view.services.iter().filter(|s| meant(s.name.as_str())).flat_map(|s| &s.instances);
    let lines = all.filter(|i| concerned(i)).map(|i| format!("would {verb} {}\n", i.name));
    context.print(&lines.collect::<String>())?;
    Ok(Some(Exit::Done))
}

fn images(verb: &str, services: &[String], context: &Context) -> Result<Exit, Error> {
    let stack = context.load(services)?;
    let meant = |name: &str| services.is_empty() || services.iter().any(|s| s == name);
    let concerned = stack.services.values().filter(|s| meant(s.name.as_str()));
    let concerned = concerned.filter(|s| match verb {
        "pull" => s.image.is_some(),
        _ => s.build.is_some(),
    });
    let line = |s: &mainstay_model::Service| {
        let image = s.image.clone().unwrap_or_else(|| format!("{}-{}", stack.name, s.name));
        format!("would {verb} {image}\n")
    };
    context.print(&concerned.map(line).collect::<String>())?;
    Ok(Exit::Done)
}
