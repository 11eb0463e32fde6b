//! `mainstay demo`: a stack of native services in a directory of its own, and a show of what Mainstay is for.
//!
//! Nothing here is special to the demo: the stack is a file, the agent and the edge are the processes that `mainstay
//! up` starts, and each phase is a request that a command would make.

pub mod app;
mod load;
mod numbers;
mod screen;
mod show;
mod site;
mod sweep;

use self::numbers::Numbers;
use self::screen::Screen;
use self::site::Site;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the show; with `wait`, stays up after it until it is told to end. Leaves nothing behind.
///
/// # Errors
/// A phase did not go as it should.
pub async fn run(context: &Context, wait: bool) -> Result<Exit, Error> {
    let mut ends = Ends::hear()?;
    let mut screen = Screen::new(context);
    let mut numbers = Numbers::default();
    let mut site = Site::new(context)?;
    let shown = tokio::select! {
        shown = Box::pin(show::run(&mut site, &mut screen, &mut numbers)) => shown,
        () = ends.told() => Err(Error::Interrupted),
    };
    let shown = match shown {
        Ok(()) if wait => {
            screen.stay(site.url(), site.state_dir())?;
            ends.told().await;
            Ok(())
        }
        shown => shown,
    };
    screen.leaving()?;
    let left = site.leave().await;
    screen.left(&left)?;
    if context.json {
        context.print_json(&numbers.json(shown.is_ok(), &left))?;
    }
    shown?;
    if left.is_empty() { Ok(Exit::Done) } else { Err(Error::Demo { phase: "leave", why: left.join(", ") }) }
}

/// The signals that end the demo.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Ends {
    fn hear() -> Result<Self, Error> {
        let hear = |kind| signal(kind).map_err(Error::Terminal);
        Ok(Self {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
            hang_up: hear(SignalKind::hangup())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
