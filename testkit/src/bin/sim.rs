//! `sim FIRST COUNT`: runs the schedules of COUNT seeds from FIRST on all cores. `sim SEED`: replays one, with its story.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for developers: printing is its purpose"
)]

use mainstay_testkit::sim::{Report, run};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    match numbers.as_slice() {
        [seed] => replay(*seed),
        [first, count] => sweep(*first, *count),
        _ => {
            eprintln!("usage: sim SEED | sim FIRST COUNT");
            ExitCode::from(2)
        }
    }
}

fn replay(seed: u64) -> ExitCode {
    match run(seed, true) {
        Ok(report) => {
            println!("{}seed {seed} holds", report.story);
            ExitCode::SUCCESS
        }
        Err((violation, report)) => {
            println!("{}seed {seed}: {violation}", report.story);
            ExitCode::FAILURE
        }
    }
}

fn sweep(first: u64, count: u64) -> ExitCode {
    let next = AtomicU64::new(first);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| work(&next, first + count))).collect();
        workers
            .into_iter()
            .map(|w| w.join().unwrap_or_else(|_| Err((0, "a worker panicked".into()))))
            .collect()
    });
    let mut total = Report::default();
    for outcome in outcomes {
        match outcome {
            Ok(report) => add(&mut total, &report),
            Err((seed, violation)) => {
                println!(
                    "seed {seed}: {violation}\nreplay with: cargo run -p mainstay-testkit --bin sim -- {seed}"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{count} schedules hold: {} plans, {} deploys switched, {} undone, {} left again, {} deaths of the agent",
        total.plans, total.switched, total.undone, total.left, total.crashes
    );
    ExitCode::SUCCESS
}

fn work(next: &AtomicU64, end: u64) -> Result<Report, (u64, String)> {
    let mut total = Report::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return Ok(total);
        }
        match run(seed, false) {
            Ok(report) => add(&mut total, &report),
            Err((violation, _)) => {
                next.store(end, Ordering::Relaxed);
                return Err((seed, violation.to_string()));
            }
        }
    }
}

fn add(total: &mut Report, report: &Report) {
    total.plans += report.plans;
    total.switched += report.switched;
    total.undone += report.undone;
    total.left += report.left;
    total.crashes += report.crashes;
    total.lost += report.lost;
}
