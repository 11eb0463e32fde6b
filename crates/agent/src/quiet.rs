//! Waiting until an instance is through with its start, going by the processor time that it uses.
//!
//! A probe that is a command runs inside the instance's own limits: asked too early, it takes from the start what it
//! waits for. Knows nothing about probes.

use crate::Agent;
use crate::runtimes::Known;
use mainstay_model::RuntimeKind;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two readings. One costs the Engine some 3 ms.
const PAUSE: Duration = Duration::from_millis(200);
/// An instance that uses less than a tenth of a core waits for something or is done. Servers at rest use under 1 %;
/// one that starts among others on a busy machine still gets more than this.
const BUSY: f64 = 0.1;

/// Returns when the instance is not busy any more, at the latest after `most`, at once when that cannot be known.
pub(crate) async fn wait(agent: &Agent, known: &Known, most: Duration) {
    let deadline = Instant::now() + most;
    let Some(mut before) = used(agent, known).await else { return };
    while before.at + PAUSE < deadline {
        tokio::time::sleep(PAUSE).await;
        let Some(now) = used(agent, known).await else { return };
        if !is_busy(before, now) {
            return;
        }
        before = now;
    }
}

/// Processor time used up to a moment.
#[derive(Debug, Clone, Copy)]
struct Used {
    at: Instant,
    cpu: Duration,
}

fn is_busy(before: Used, now: Used) -> bool {
    let cpu = now.cpu.saturating_sub(before.cpu).as_secs_f64();
    let wall = now.at.saturating_duration_since(before.at).as_secs_f64();
    cpu > wall * BUSY
}

async fn used(agent: &Agent, known: &Known) -> Option<Used> {
    let cpu = match known.runtime {
        RuntimeKind::Docker => agent.runtimes.docker().await.ok()?.stats(&known.handle).await.ok()??.cpu,
        RuntimeKind::Native => {
            let stats = agent.runtimes.native.stats(&known.stack, &known.id).await.ok()?;
            Duration::from_nanos(stats.cpu)
        }
    };
    Some(Used { at: Instant::now(), cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_core_is_where_work_begins() {
        let at = Instant::now();
        let before = Used { at, cpu: Duration::from_secs(5) };
        let later =
            |cpu| Used { at: at + Duration::from_secs(1), cpu: before.cpu + Duration::from_millis(cpu) };
        assert!(!is_busy(before, later(90)));
        assert!(is_busy(before, later(110)));
        // A start anew counts from nothing.
        assert!(!is_busy(before, Used { cpu: Duration::ZERO, ..later(0) }));
    }
}
