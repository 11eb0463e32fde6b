//! The phases of the show.

use super::load::Load;
use super::numbers::{Numbers, Phase};
use super::screen::Screen;
use super::site::{Site, view};
use crate::error::Error;
use crate::render::style::{self, paint};
use crate::render::{stack, words};
use crate::terminal::Terminal;
use mainstay_api::{Client, Lines, Outcome, Progress, StackView};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);
/// Load before and after each thing that happens, so that there is a before and an after.
const MARGIN: Duration = Duration::from_millis(1_500);
/// Longest time any phase may take; the longest took 6 s on two busy cores.
const PATIENCE: Duration = Duration::from_secs(40);
/// Characters of the bar that shows which version answers.
const BAR: usize = 40;

/// Runs all phases.
///
/// # Errors
/// A phase did not go as it should.
pub async fn run(site: &mut Site, screen: &mut Screen, numbers: &mut Numbers) -> Result<(), Error> {
    screen.title(&site.url(), site.state_dir())?;
    site.start().await?;
    let mut look = Look::begin(site.client().clone());
    up(site, screen, numbers, &mut look).await?;
    redeploy(site, screen, numbers, &mut look).await?;
    kill(site, screen, numbers, &mut look).await?;
    broken(site, screen, numbers, &mut look).await?;
    screen.sum(numbers)
}

/// The stack, looked at again and again while something else goes on.
struct Look {
    seen: watch::Receiver<Option<StackView>>,
    looking: AbortHandle,
}

impl Look {
    fn begin(client: Client) -> Self {
        let (tell, seen) = watch::channel(None);
        let looking = tokio::spawn(async move {
            loop {
                if let Ok(stack) = view(&client).await {
                    tell.send_replace(Some(stack));
                }
                tokio::time::sleep(FRAME).await;
            }
        });
        Self { seen, looking: looking.abort_handle() }
    }

    fn lines(&mut self) -> Vec<String> {
        let width = usize::from(Terminal::size().1).saturating_sub(6);
        let seen = self.seen.borrow_and_update();
        let table = seen.as_ref().map(|view| stack::table(view, false, words::now()).render(Some(width)));
        table.iter().flat_map(|table| table.lines()).map(|line| format!("     {line}")).collect()
    }

    /// Waits until the stack is as `wanted`.
    async fn until(
        &mut self,
        screen: &mut Screen,
        load: Option<&Load>,
        wanted: impl Fn(&StackView) -> bool,
    ) -> Result<(), Error> {
        loop {
            if self.seen.borrow_and_update().as_ref().is_some_and(&wanted) {
                return Ok(());
            }
            tokio::time::sleep(FRAME).await;
            screen.live(frame(self, load))?;
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn up(site: &Site, screen: &mut Screen, numbers: &mut Numbers, look: &mut Look) -> Result<(), Error> {
    screen.phase(1, "Up", "started, proven by its healthcheck, then given a route")?;
    let begun = Instant::now();
    let outcome = deploy("up", site, screen, look, None, 1).await?;
    let took = begun.elapsed();
    must("up", outcome.ok, &outcome.message)?;
    within("up", look.until(screen, None, |view| view.services.iter().all(stack::is_as_wanted))).await?;
    let table = look.lines().join("\n");
    screen.live(vec![])?;
    screen.print(&table)?;
    screen.result("all services are ready", took)?;
    numbers.phases.push(Phase { name: "up", took, load: None });
    Ok(())
}

async fn redeploy(
    site: &Site,
    screen: &mut Screen,
    numbers: &mut Numbers,
    look: &mut Look,
) -> Result<(), Error> {
    screen.phase(2, "Redeploy under load", "version 2 is proven beside version 1, then takes over")?;
    let load = Load::begin(site.address());
    play(screen, look, &load, MARGIN).await?;
    let begun = Instant::now();
    let outcome = deploy("redeploy", site, screen, look, Some(&load), 2).await?;
    let took = begun.elapsed();
    must("redeploy", outcome.ok, &outcome.message)?;
    play(screen, look, &load, MARGIN).await?;
    let versions = load.by_version();
    let why = format!("answered by {versions:?}, {:?}", load.tally());
    must("redeploy", versions.contains_key("2"), &why)?;
    screen.result("version 2 serves", took)?;
    finish("redeploy", took, load, screen, numbers).await
}

async fn kill(site: &Site, screen: &mut Screen, numbers: &mut Numbers, look: &mut Look) -> Result<(), Error> {
    screen.phase(3, "Kill an instance", "SIGKILL, in the middle of the load")?;
    let load = Load::begin(site.address());
    play(screen, look, &load, MARGIN).await?;
    let victim = load.process().and_then(Pid::from_raw);
    let victim = victim.ok_or(Error::Demo { phase: "kill", why: "nobody answers".into() })?;
    let (ids, restarts) = (ready(&site.view().await?), restarts(&site.view().await?));
    let begun = Instant::now();
    let failed = |errno: rustix::io::Errno| Error::Demo { phase: "kill", why: errno.to_string() };
    kill_process(victim, Signal::KILL).map_err(failed)?;
    let replaced = |view: &StackView| {
        view.services.iter().all(stack::is_as_wanted)
            && (ready(view) != ids || self::restarts(view) > restarts)
    };
    within("kill", look.until(screen, Some(&load), replaced)).await?;
    let took = begun.elapsed();
    play(screen, look, &load, MARGIN).await?;
    screen.result(
        &format!("process {} was killed, and two instances serve again", victim.as_raw_nonzero()),
        took,
    )?;
    finish("kill", took, load, screen, numbers).await
}

async fn broken(
    site: &Site,
    screen: &mut Screen,
    numbers: &mut Numbers,
    look: &mut Look,
) -> Result<(), Error> {
    screen.phase(4, "Deploy a broken version", "version 3 never gets ready")?;
    let load = Load::begin(site.address());
    play(screen, look, &load, MARGIN).await?;
    let begun = Instant::now();
    let outcome = deploy("broken", site, screen, look, Some(&load), 3).await?;
    let took = begun.elapsed();
    must("broken", !outcome.ok, "version 3 was deployed although it is broken")?;
    play(screen, look, &load, MARGIN).await?;
    let versions = load.by_version();
    must("broken", versions.len() == 1 && versions.contains_key("2"), "version 2 does not serve alone")?;
    screen.result("undone by itself; version 2 serves as before", took)?;
    screen.detail(&words::tame(&outcome.message))?;
    for line in outcome.log.iter().rev().take(2).rev() {
        screen.detail(&format!("| {}", words::tame(line)))?;
    }
    finish("broken", took, load, screen, numbers).await
}

async fn finish(
    name: &'static str,
    took: Duration,
    load: Load,
    screen: &mut Screen,
    numbers: &mut Numbers,
) -> Result<(), Error> {
    let tally = load.end().await;
    screen.tally(&tally)?;
    numbers.phases.push(Phase { name, took, load: Some(tally) });
    Ok(())
}

/// Deploys a version and shows the stack meanwhile.
async fn deploy(
    phase: &'static str,
    site: &Site,
    screen: &mut Screen,
    look: &mut Look,
    load: Option<&Load>,
    version: u32,
) -> Result<Outcome, Error> {
    let lines = site.deploy(version).await?;
    within(phase, follow(lines, screen, look, load)).await
}

async fn follow(
    mut lines: Lines,
    screen: &mut Screen,
    look: &mut Look,
    load: Option<&Load>,
) -> Result<Outcome, Error> {
    let mut frames = tokio::time::interval(FRAME);
    loop {
        tokio::select! {
            line = lines.next::<Progress>() => match line? {
                Some(Progress::Done { outcome }) => return Ok(outcome),
                Some(_) => {}
                None => return Err(Error::Demo { phase: "deploy", why: "the agent ended".into() }),
            },
            _ = frames.tick() => screen.live(frame(look, load))?,
        }
    }
}

/// Shows the load for a while.
async fn play(screen: &mut Screen, look: &mut Look, load: &Load, time: Duration) -> Result<(), Error> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        screen.live(frame(look, Some(load)))?;
        tokio::time::sleep(FRAME).await;
    }
    Ok(())
}

fn frame(look: &mut Look, load: Option<&Load>) -> Vec<String> {
    let mut lines = look.lines();
    if let Some(load) = load {
        let tally = load.tally();
        let failed = if tally.failed == 0 { style::GOOD } else { style::BAD };
        let (bar, names) = shares(&load.by_version());
        let text = format!("{} requests, {:.0} a second", tally.requests, tally.rate);
        lines.push(String::new());
        lines.push(format!(
            "     {bar}  {names}  {text}, {}",
            paint(failed, format!("{} failed", tally.failed))
        ));
    }
    lines
}

/// Which version answered in the last moment, as a bar.
fn shares(versions: &BTreeMap<String, u64>) -> (String, String) {
    let whole: u64 = versions.values().sum();
    let mut bar = String::new();
    let mut names = vec![];
    let mut drawn = 0;
    for (place, (version, count)) in versions.iter().enumerate() {
        let rest = BAR - drawn;
        let share = usize::try_from(count * u64::try_from(BAR).unwrap_or(0) / whole.max(1)).unwrap_or(0);
        let share = if place + 1 == versions.len() { rest } else { share.min(rest) };
        let look = if version == "1" { style::HINT } else { style::GOOD };
        bar.push_str(&paint(look, "█".repeat(share)));
        names.push(paint(look, format!("v{version}")));
        drawn += share;
    }
    bar.push_str(&paint(style::DIM, "░".repeat(BAR - drawn)));
    (bar, names.join(" "))
}

async fn within<T>(phase: &'static str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::Demo { phase, why: format!("it took longer than {}", words::duration(PATIENCE)) };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
}

fn must(phase: &'static str, holds: bool, why: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Demo { phase, why: why.to_owned() }) }
}

fn restarts(view: &StackView) -> u32 {
    view.services.iter().flat_map(|service| &service.instances).map(|instance| instance.restarts).sum()
}

fn ready(view: &StackView) -> Vec<String> {
    let instances = view.services.iter().flat_map(|service| &service.instances);
    instances.filter(|i| i.health == "ready").map(|i| format!("{}@{:?}", i.id, i.since)).collect()
}
