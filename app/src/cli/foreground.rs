//! `up` in the foreground: what the services print, during the deploy and after it, until something ends it.
//!
//! Without these flags `up` deploys and returns. With them it is what Compose's `up` without `-d` is: Ctrl-C, or an
//! instance that ends where that was asked for, stops the stack.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Following, Interrupt, follow, follow_as};
use crate::render::log_line::LogLines;
use crate::render::words;
use clap::Args;
use mainstay_api::{
    Client, DeployRequest, ExitView, Lines, LogEntry, LogQuery, Outcome, Progress, ServicesRequest,
};
use mainstay_model::{ServiceName, StackName};
use mainstay_plan::UnknownService;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long lines may still be on their way from an instance that has ended.
const LAST_LINES: Duration = Duration::from_millis(300);

/// Flags of `up` that keep it in the foreground, and how it then prints.
#[derive(Debug, Default, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of Compose")]
pub struct ForegroundArgs {
    /// Stay, and stop the stack when an instance ends
    #[arg(long, conflicts_with = "detach")]
    abort_on_container_exit: bool,
    /// Stay, and stop the stack when an instance fails
    #[arg(long, conflicts_with_all = ["detach", "abort_on_container_exit"])]
    abort_on_container_failure: bool,
    /// As --abort-on-container-exit, and end with the exit status of this service
    #[arg(long, value_name = "SERVICE", conflicts_with = "detach")]
    exit_code_from: Option<String>,
    /// Stay, and show what these services print
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "attach_dependencies"])]
    attach: Vec<String>,
    /// Stay, and show what all but these services print
    #[arg(long, value_name = "SERVICE", conflicts_with = "detach")]
    no_attach: Vec<String>,
    /// Stay, and show what the services and those they depend on print
    #[arg(long, conflicts_with = "detach")]
    attach_dependencies: bool,
    /// Begin each printed line with its time
    #[arg(long)]
    timestamps: bool,
    /// Print without colours
    #[arg(long)]
    no_color: bool,
    /// Print lines alone, without the instance they are from
    #[arg(long)]
    no_log_prefix: bool,
    /// Accepted: there are no shortcuts, Ctrl-C is all
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, hide = true)]
    menu: Option<bool>,
}

impl ForegroundArgs {
    /// Whether `up` is to stay.
    pub fn wanted(&self) -> bool {
        self.aborts() || !self.attach.is_empty() || !self.no_attach.is_empty() || self.attach_dependencies
    }

    fn aborts(&self) -> bool {
        self.abort_on_container_exit || self.abort_on_container_failure || self.exit_code_from.is_some()
    }

    /// Whether an instance that ended like this ends everything.
    fn ends(&self, code: i32) -> bool {
        self.aborts() && !(self.abort_on_container_failure && code == 0)
    }

    /// Services whose lines are shown; all when empty.
    ///
    /// # Errors
    /// A name is none of a service.
    pub fn shown(&self, request: &DeployRequest) -> Result<BTreeSet<ServiceName>, Error> {
        let known = |name: &String| -> Result<ServiceName, Error> {
            let unknown = || Error::Argument { value: name.clone(), expected: "a service of the stack" };
            let name = ServiceName::new(name.as_str())?;
            if request.stack.services.contains_key(&name) { Ok(name) } else { Err(unknown()) }
        };
        if let Some(service) = &self.exit_code_from {
            known(service)?;
        }
        let mut shown: BTreeSet<ServiceName> = match self.attach.is_empty() {
            false => self.attach.iter().map(known).collect::<Result<_, _>>()?,
            true if request.services.is_empty() => request.stack.services.keys().cloned().collect(),
            true if self.attach_dependencies => {
                mainstay_plan::with_dependencies(&request.stack, request.services.clone()).map_err(
                    |UnknownService(name)| Error::Argument {
                        value: name.to_string(),
                        expected: "a service of the stack",
                    },
                )?
            }
            true => request.services.iter().cloned().collect(),
        };
        for name in &self.no_attach {
            shown.remove(&known(name)?);
        }
        Ok(shown)
    }
}

/// What is under way.
struct Foreground<'a> {
    args: &'a ForegroundArgs,
    context: &'a Context,
    client: &'a Client,
    stack: &'a StackName,
    printed: LogLines,
    /// What the services print; none when nothing is to be shown.
    logs: Option<Lines>,
    /// Services of which something was printed.
    heard: BTreeSet<ServiceName>,
}

/// Follows the deploy, and then what it deployed.
///
/// # Errors
/// Any.
pub async fn run(
    args: &ForegroundArgs,
    context: &Context,
    client: &Client,
    request: &DeployRequest,
    lines: Lines,
    how: Following,
) -> Result<Exit, Error> {
    let shown = args.shown(request)?;
    let stack = &request.stack.name;
    let logs = match shown.is_empty() {
        true => None,
        false => {
            let names: Vec<_> = shown.iter().map(ToString::to_string).collect();
            let query = LogQuery {
                services: names.join(","),
                follow: true,
                since: Some(words::now().0),
                ..LogQuery::default()
            };
            let path = format!("/v1/stacks/{stack}/logs?{}", super::logs::encode(&query));
            Some(client.get_lines(&path).await?)
        }
    };
    let printed = LogLines::new(args.timestamps, args.no_color, args.no_log_prefix);
    let mut here = Foreground { args, context, client, stack, printed, logs, heard: BTreeSet::new() };
    match here.deploy(lines, Following { plain: true, ..how }).await? {
        Deployed::Serves => here.stay().await,
        Deployed::Ended(outcome, code) => {
            here.last_lines().await?;
            here.remember(&outcome)?;
            context.remark(&format!("{}\n", outcome.message))?;
            here.stop().await?;
            Ok(Exit::Command(super::session::shell_status(code)))
        }
    }
}

/// How the deploy came out.
enum Deployed {
    Serves,
    /// It failed because the service that was asked about ended, with this status.
    Ended(Outcome, i32),
}

impl Foreground<'_> {
    async fn deploy(&mut self, lines: Lines, how: Following) -> Result<Deployed, Error> {
        let asked = self.args.exit_code_from.clone();
        let mut ended = None;
        let seen = |line: &Progress| {
            if let Progress::Instance { instance, exit_code: Some(code), .. } = line
                && asked.as_deref() == Some(instance.service.as_str())
            {
                ended = ended.or(Some(*code));
            }
        };
        let deployed = {
            let follow = follow_as(self.context, self.client, self.stack, lines, how, seen);
            let mut follow = std::pin::pin!(follow);
            loop {
                tokio::select! {
                    deployed = &mut follow => break deployed,
                    entry = next(&mut self.logs) => self.print(entry?)?,
                }
            }
        };
        match (deployed, ended) {
            (Ok(_), _) => Ok(Deployed::Serves),
            (Err(Error::Outcome(outcome)), Some(code)) => Ok(Deployed::Ended(*outcome, code)),
            (Err(error), _) => {
                self.last_lines().await?;
                Err(error)
            }
        }
    }

    /// Until Ctrl-C, until all instances have ended, or until one has where that ends everything.
    async fn stay(&mut self) -> Result<Exit, Error> {
        let everything = ServicesRequest { services: vec![], timeout: None };
        let path = format!("/v1/stacks/{}/wait", self.stack);
        let mut ends = self.client.post_lines(&path, &everything).await?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Terminal)?;
        loop {
            tokio::select! {
                entry = next(&mut self.logs) => self.print(entry?)?,
                ended = ends.next::<ExitView>() => match ended? {
                    Some(ended) if self.args.ends(ended.code) => return self.abort(ended, ends).await,
                    Some(_) => {}
                    None => {
                        self.last_lines().await?;
                        return Ok(Exit::Done);
                    }
                },
                _ = interrupt.recv() => {
                    self.context.remark("stopping (Ctrl-C again to stop looking on)\n")?;
                    self.stop().await?;
                    return Err(Error::Interrupted);
                }
            }
        }
    }

    /// Stops the stack because `first` ended, and says with which status to end.
    async fn abort(&mut self, first: ExitView, mut ends: Lines) -> Result<Exit, Error> {
        self.last_lines().await?;
        self.context.remark(&format!("{} ended with status {}: stopping\n", first.name, first.code))?;
        self.stop().await?;
        let mut code = first.code;
        if let Some(asked) =
            self.args.exit_code_from.as_deref().filter(|asked| *asked != first.service.as_str())
        {
            while let Some(ended) = ends.next::<ExitView>().await? {
                if ended.service.as_str() == asked {
                    code = ended.code;
                    break;
                }
            }
        }
        Ok(Exit::Command(super::session::shell_status(code)))
    }

    /// Prints the last lines of what failed, where it was removed before anything of it could be read.
    fn remember(&mut self, outcome: &Outcome) -> Result<(), Error> {
        let Some(service) = outcome.service.as_ref().filter(|s| !self.heard.contains(*s)) else {
            return Ok(());
        };
        for line in &outcome.log {
            let (at, instance) = (words::now(), service.to_string());
            let entry =
                LogEntry { at, service: service.clone(), instance, stderr: false, line: line.clone() };
            self.context.print(&self.printed.text(&entry))?;
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), Error> {
        let everything = ServicesRequest { services: vec![], timeout: None };
        let path = format!("/v1/stacks/{}/stop", self.stack);
        let lines = match self.client.post_lines(&path, &everything).await {
            Ok(lines) => lines,
            // A first deploy that was undone leaves nothing to stop.
            Err(mainstay_api::ClientError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        follow(self.context, self.client, self.stack, lines, Interrupt::Detach).await?;
        self.last_lines().await
    }

    fn print(&mut self, entry: Option<LogEntry>) -> Result<(), Error> {
        let Some(entry) = entry else {
            self.logs = None;
            return Ok(());
        };
        let line = self.printed.text(&entry);
        self.heard.insert(entry.service.clone());
        if self.context.json { self.context.print_json_line(&entry) } else { self.context.print(&line) }
    }

    /// What was printed and has not arrived yet.
    async fn last_lines(&mut self) -> Result<(), Error> {
        while let Ok(entry) = tokio::time::timeout(LAST_LINES, next(&mut self.logs)).await {
            self.print(entry?)?;
        }
        Ok(())
    }
}

/// The next line; never, where none is to be shown.
async fn next(logs: &mut Option<Lines>) -> Result<Option<LogEntry>, Error> {
    match logs {
        Some(lines) => Ok(lines.next::<LogEntry>().await?),
        None => std::future::pending().await,
    }
}
