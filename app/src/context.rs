//! What every command shares: which stack is meant, which agent is asked, and how to print.

use crate::agent_start;
use crate::cli::{Ansi, GlobalArgs, ProgressWay};
use crate::error::{Error, Findings};
use crate::exit::Exit;
use crate::place;
use crate::render;
use crate::render::format::{Format, Row};
use crate::source::Host;
use crate::terminal::Terminal;
use mainstay_api::{Client, StackSummary};
use mainstay_config::{Fate, Loaded, Request, Skip, Source, UsedKey};
use mainstay_model::{ServiceName, Stack, StackName};
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The common part of a command, resolved.
#[derive(Debug, Clone)]
pub struct Context {
    /// Which stack: files, names, profiles.
    pub request: Request,
    /// Where the agent keeps its state.
    pub state_dir: PathBuf,
    /// Print for programs.
    pub json: bool,
    /// Print less.
    pub quiet: bool,
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// What the output is connected to.
    pub terminal: Terminal,
}

impl Context {
    /// What the arguments mean.
    ///
    /// # Errors
    /// The present directory cannot be known.
    pub fn new(args: GlobalArgs) -> Result<Self, Error> {
        let working_dir = std::env::current_dir().map_err(Error::file("find", "the present directory"))?;
        let GlobalArgs { file, project_name, profile, env_file, project_directory, state_dir, .. } = args;
        let mut terminal = Terminal::look();
        match args.ansi {
            Ansi::Auto => {}
            Ansi::Always => anstream::ColorChoice::Always.write_global(),
            Ansi::Never => {
                anstream::ColorChoice::Never.write_global();
                terminal.live = false;
            }
        }
        match args.progress {
            ProgressWay::Tty => terminal.live = true,
            ProgressWay::Plain => terminal.live = false,
            ProgressWay::Auto | ProgressWay::Json | ProgressWay::Quiet => {}
        }
        Ok(Self {
            request: Request {
                working_dir,
                files: file,
                project_directory,
                project_name,
                env_files: env_file,
                profiles: profile,
                services: vec![],
                all_resources: args.all_resources,
                skip: Skip::default(),
            },
            state_dir: place::state_dir(state_dir.as_deref()),
            json: args.json || args.progress == ProgressWay::Json,
            quiet: args.quiet || args.progress == ProgressWay::Quiet,
            dry_run: args.dry_run,
            terminal,
        })
    }

    /// A client of the agent, running or not.
    pub fn client(&self) -> Client {
        Client::new(place::socket(&self.state_dir))
    }

    /// A client of the agent, which is started when it does not run.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn agent(&self) -> Result<Client, Error> {
        agent_start::ensure(&self.state_dir, !self.quiet && !self.json).await
    }

    /// A client of the agent for what only an existing stack can be asked: the agent is started when it has been
    /// here before.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn known_agent(&self) -> Result<Client, Error> {
        if self.state_dir.is_dir() { self.agent().await } else { Ok(self.client()) }
    }

    /// Reads the stack file. `services` are those the user named.
    pub fn read(&self, services: &[String]) -> Loaded {
        let request = Request { services: services.to_vec(), ..self.request.clone() };
        mainstay_config::load(&request, &Host)
    }

    /// The stack of the files, after its warnings and the keys that are not honoured are shown.
    ///
    /// # Errors
    /// [`Error::Stack`], with every finding.
    pub fn load(&self, services: &[String]) -> Result<Stack, Error> {
        let Loaded { stack, project, diagnostics, texts } = self.read(services);
        match (stack, project) {
            (Some(stack), Some(project)) => {
                let mut keys = mainstay_config::parity(&project, &diagnostics, &texts);
                keys.retain(|key| key.fate != Fate::Honoured);
                self.warn(&Findings { diagnostics, texts }, &keys)?;
                Ok(stack)
            }
            _ => Err(Error::Stack(Box::new(Findings { diagnostics, texts }))),
        }
    }

    /// Keys without effect are one table: each with its lines would bury what happens next. `check` shows them at length.
    fn warn(&self, findings: &Findings, keys: &[UsedKey]) -> Result<(), Error> {
        if self.quiet || self.json || findings.diagnostics.is_empty() {
            return Ok(());
        }
        let base = &self.request.working_dir;
        let others = findings.diagnostics.iter().filter(|finding| !finding.is_about_parity());
        self.remark(&render::diagnostic::some(others, &findings.texts, base))?;
        match keys {
            [] => Ok(()),
            keys => self.remark(&(render::parity::table(keys, &findings.texts, base) + "\n")),
        }
    }

    /// The name of the stack that is meant, even where its file has errors: what runs must be reachable then, too.
    ///
    /// # Errors
    /// [`Error::WhichStack`], or the agent cannot be asked.
    pub async fn stack_name(&self, client: &Client) -> Result<StackName, Error> {
        let given = self.request.project_name.clone().or_else(|| Host.variable("COMPOSE_PROJECT_NAME"));
        if let Some(name) = given.filter(|name| !name.is_empty()) {
            return Ok(StackName::new(name)?);
        }
        let loaded = self.read(&[]);
        if let Some(project) = loaded.project {
            return Ok(StackName::new(project.name)?);
        }
        let known: Vec<StackSummary> = client.get("/v1/stacks").await?;
        let here = &self.request.working_dir;
        let named = |file: &String| self.request.files.iter().any(|f| here.join(f) == Path::new(file));
        let above = |file: &String| Path::new(file).parent().is_some_and(|dir| here.starts_with(dir));
        let meant = |stack: &&StackSummary| match self.request.files.is_empty() {
            true => stack.files.iter().any(above),
            false => stack.files.iter().any(named),
        };
        match known.iter().find(meant) {
            Some(stack) => Ok(stack.name.clone()),
            None if loaded.texts.iter().next().is_some() => {
                let Loaded { diagnostics, texts, .. } = loaded;
                Err(Error::Stack(Box::new(Findings { diagnostics, texts })))
            }
            None => Err(Error::WhichStack { known: known.iter().map(|s| s.name.to_string()).collect() }),
        }
    }

    /// Prints to standard output; without colours where that is no terminal.
    ///
    /// # Errors
    /// It is closed.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
    }

    /// Prints rows in another form than a table: as JSON, one a line, or by a template that may name `fields`.
    ///
    /// # Errors
    /// Standard output is closed, or the template names what is not there.
    pub fn print_rows(&self, format: &Format, rows: &[Row], fields: &[&str]) -> Result<(), Error> {
        match format {
            Format::Template(template) => self.print(&template.render(rows, fields)?),
            Format::Json | Format::Table => rows.iter().try_for_each(|row| self.print_json_line(row)),
        }
    }

    /// Prints one name a line; for programs as a list.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn print_names(&self, names: &[String]) -> Result<Exit, Error> {
        if self.json {
            self.print_json(&names)?;
        } else {
            self.print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        }
        Ok(Exit::Done)
    }

    /// Prints to standard error, for people.
    ///
    /// # Errors
    /// It is closed.
    pub fn remark(&self, text: &str) -> Result<(), Error> {
        let mut out = anstream::stderr().lock();
        out.write_all(text.as_bytes()).map_err(Error::Output)
    }

    /// Prints a value for programs.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn print_json(&self, value: &impl Serialize) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::Output(io::Error::other(e)))?;
        text.push('\n');
        self.print(&text)
    }

    /// Prints a value for programs, as one line of a stream.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn print_json_line(&self, value: &impl Serialize) -> Result<(), Error> {
        let mut text = serde_json::to_string(value).map_err(|e| Error::Output(io::Error::other(e)))?;
        text.push('\n');
        self.print(&text)
    }
}

/// Names of services as typed.
///
/// # Errors
/// One cannot be a name.
pub fn service_names(typed: &[String]) -> Result<Vec<ServiceName>, Error> {
    typed.iter().map(|name| Ok(ServiceName::new(name.as_str())?)).collect()
}
