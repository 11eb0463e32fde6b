//! The other processes of this crate's tests: a shim, and those that are killed in the middle of something.

use mainstay_host::journal::Journal;
use mainstay_host::native::{Native, shim};
use mainstay_model::{InstanceId, StackName, StackState, Transition};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["shim", dir] => return shim::main(Path::new(dir)),
        ["starter", state, stack, instance] => run(start_and_wait(state, stack, instance)),
        ["journal-writer", dir] => run(record_for_ever(Path::new(dir))),
        _ => return ExitCode::from(2),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_reads = writeln!(std::io::stderr(), "{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: impl Future<Output = Result<(), Box<dyn Error>>>) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Starts an instance, says so, and waits to be killed.
async fn start_and_wait(state: &str, stack: &str, instance: &str) -> Result<(), Box<dyn Error>> {
    let native = Native::new(state, std::env::current_exe()?);
    let id = InstanceId::parse(instance).ok_or("not an instance")?;
    native.start(&StackName::new(stack)?, &id).await?;
    say("started")?;
    std::future::pending().await
}

/// Records one transition after the other, and says each generation that was acknowledged.
async fn record_for_ever(dir: &Path) -> Result<(), Box<dyn Error>> {
    let journal = Journal::open(dir)?;
    let stack = StackName::new("shop")?;
    for generation in 0.. {
        let after = StackState { generation: generation + 1, ..StackState::default() };
        journal.record(&stack, &Transition::Settle, &after, generation).await?;
        say(&after.generation.to_string())?;
    }
    Ok(())
}

fn say(word: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{word}")?;
    out.flush()
}
