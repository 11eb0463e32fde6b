//! `mainstay`: the command line, and the processes that the agent starts from the same binary.

mod agent_start;
mod archive;
mod cli;
mod context;
mod demo;
mod error;
mod exit;
mod follow;
mod logging;
mod place;
mod render;
mod source;
mod terminal;
mod watch;

use std::path::Path;
use std::process::ExitCode;

/// The edge forwards many small requests and the agent runs for months: jemalloc gives memory back and fragments
/// less than the system's allocator.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // A shim must be the first thing that happens in its process, before any thread or open file.
    if let (Some(word), Some(dir)) = (args.next(), args.next())
        && word == "shim"
    {
        return mainstay_host::native::shim::main(Path::new(&dir));
    }
    cli::main()
}
