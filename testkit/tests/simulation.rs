//! The converge loop against the simulated host: a hundred thousand seeded schedules of commands and faults.

use mainstay_testkit::sim::run;
use std::sync::atomic::{AtomicU64, Ordering};

/// Two minutes on two cores. `MAINSTAY_SIM_SEEDS=FIRST..END` runs others.
const SEEDS: (u64, u64) = (0, 100_000);

fn seeds() -> (u64, u64) {
    let given = std::env::var("MAINSTAY_SIM_SEEDS").ok();
    let parse =
        |text: &str| Some((text.split_once("..")?.0.parse().ok()?, text.split_once("..")?.1.parse().ok()?));
    given.map_or(SEEDS, |text| parse(&text).expect("MAINSTAY_SIM_SEEDS is FIRST..END"))
}

#[test]
fn every_schedule_keeps_every_promise() {
    let (first, end) = seeds();
    let next = AtomicU64::new(first);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if let Err((violation, _)) = run(seed, false) {
                        next.store(end, Ordering::Relaxed);
                        panic!("seed {seed}: {violation}; replay: cargo run -p mainstay-testkit --bin sim -- {seed}");
                    }
                }
            });
        }
    });
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..50 {
        let (first, again) = (run(seed, true), run(seed, true));
        let story = |outcome: Result<mainstay_testkit::sim::Report, _>| {
            outcome.map_or_else(|_: (_, _)| String::new(), |r| r.story)
        };
        assert_eq!(story(first), story(again), "seed {seed}");
    }
}
