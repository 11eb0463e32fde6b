//! `mainstay demo-app`: the services of the demo.

use crate::demo::app;
use crate::error::Error;
use crate::exit::Exit;
use clap::{Args, Subcommand};

/// Be one of the demo's services
#[derive(Debug, Args)]
pub struct DemoAppArgs {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The web application, on `PORT`
    Web,
    /// Exit with 0 when the web application on `PORT` says it is well
    Healthcheck,
    /// The worker
    Worker,
    /// The clock
    Clock,
}

/// Runs the service.
///
/// # Errors
/// It cannot run.
pub fn run(args: DemoAppArgs) -> Result<Exit, Error> {
    match args.part {
        Part::Web => app::web::run(),
        Part::Healthcheck => app::web::healthcheck(),
        Part::Worker => app::worker::run(),
        Part::Clock => app::clock::run(),
    }
}
