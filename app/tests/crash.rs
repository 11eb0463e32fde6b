//! The agent is killed at every crash point of an `up`, a redeploy and a redeploy that fails, and started again:
//! nothing may be lost. The points are counted up until one is never reached.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and shows what it saw"
)]

mod support;

use std::collections::BTreeMap;
use support::load::{Load, version};
use support::{Site, errors, processes};

/// Points beyond this mean that counting does not end; an `up` has about a hundred.
const MANY: u64 = 1_000;
/// A version that never gets ready.
const BROKEN: u32 = 3;

#[test]
fn up_survives_a_crash_at_every_odd_point() {
    every_point_of_up(1);
}

#[test]
fn up_survives_a_crash_at_every_even_point() {
    every_point_of_up(2);
}

#[test]
fn a_redeploy_survives_a_crash_at_every_odd_point() {
    every_point_of_a_redeploy(1, false);
}

#[test]
fn a_redeploy_survives_a_crash_at_every_even_point() {
    every_point_of_a_redeploy(2, false);
}

#[test]
fn a_failing_redeploy_survives_a_crash_at_every_odd_point() {
    every_point_of_a_redeploy(1, true);
}

#[test]
fn a_failing_redeploy_survives_a_crash_at_every_even_point() {
    every_point_of_a_redeploy(2, true);
}

/// A version of its own for each deploy, so that its release job can be told from others.
fn version_of(point: u64) -> u32 {
    100 + point as u32
}

fn every_point_of_up(first: u64) {
    let mut site = Site::new();
    for point in (first..MANY).step_by(2) {
        let died = crash(&mut site, point, |site| site.up(version_of(point), version_of(point)));
        let mut view = site.settled_view();
        if view.is_null() || view["release"].is_null() {
            // It died before the deploy was begun: then nothing may be there, and it can be begun again.
            assert_eq!(site.kept(), Vec::<String>::new(), "point {point}");
            let output = site.up(version_of(point), version_of(point));
            assert!(output.status.success(), "point {point}: {}", errors(&output));
            view = site.settled_view();
        }
        let after = Picture::of(&site, &view);
        after.is_whole(&site, point);
        for (id, restarts) in &after.restarts {
            assert_eq!(*restarts, 0, "point {point}: {id} was restarted without need");
        }
        assert_eq!(
            version(site.port, "web.test").as_deref(),
            Ok(version_of(point).to_string().as_str()),
            "point {point}"
        );
        let down = site.run(&["down"]);
        assert!(down.status.success(), "point {point}: {}", errors(&down));
        assert_eq!(site.kept(), Vec::<String>::new(), "point {point}: left by down");
        let ours = |p: &processes::Process| processes::is_agent(p) || processes::is_edge(p);
        support::until("nothing is left", || processes::of(site.dir()).iter().all(ours).then_some(()));
        if !died {
            println!("up: the last crash point is before {point}");
            return;
        }
        site.kill_agent();
    }
    panic!("crash points do not end");
}

fn every_point_of_a_redeploy(first: u64, fails: bool) {
    let mut site = Site::new();
    assert!(site.start_agent(None));
    let output = site.up(10, 10);
    assert!(output.status.success(), "{}", errors(&output));
    let load = Load::begin(site.port, &["web.test", "beat.test"]);
    let mut serving = 10;
    let mut before = Picture::of(&site, &site.settled_view());
    for point in (first..MANY).step_by(2) {
        site.kill_agent();
        let wanted = version_of(point);
        let beat = if fails { BROKEN } else { wanted };
        let died = crash(&mut site, point, |site| site.up(wanted, beat));
        let after = Picture::of(&site, &site.settled_view());
        let release = after.release;
        // What went wrong for clients explains what may have gone wrong since, such as a return to the release before.
        let failures = load.failures();
        assert!(failures.is_empty(), "point {point}: {} failed: {:?}", failures.len(), failures.first());
        after.is_whole(&site, point);
        after.kept_what_need_not_change(&before, &site, fails, point);
        let begun = release > before.release;
        assert!(begun || release == before.release, "point {point}: {release:?} after {:?}", before.release);
        assert!(!(begun && fails), "point {point}: a broken release serves");
        if begun {
            serving = wanted;
        }
        before = after;
        for host in ["web.test", "beat.test"] {
            let answers = version(site.port, host);
            assert_eq!(answers, Ok(serving.to_string()), "point {point}: {host}");
        }
        if !died {
            assert_eq!(begun, !fails);
            let (answered, failures) = load.end();
            println!(
                "redeploy: the last crash point is before {point}; {answered} requests, {} failed",
                failures.len()
            );
            assert!(failures.is_empty(), "{:?}", failures.first());
            return;
        }
    }
    panic!("crash points do not end");
}

/// Runs `command` with an agent that dies at `point`, and has another one come back. True when it did die.
fn crash(site: &mut Site, point: u64, command: impl Fn(&Site) -> std::process::Output) -> bool {
    if !site.start_agent(Some(point)) {
        site.restart_agent();
        let _whatever = command(site);
        return true;
    }
    let output = command(site);
    // An agent that dies in the moment in which it answers is given the time to be gone.
    let lost = !output.status.success() && errors(&output).contains("lost the connection");
    if lost {
        support::until("the agent is gone", || site.agent_has_ended().then_some(()));
    }
    let died = site.agent_has_ended();
    // Also when it lives: it would die later, where nobody counts.
    site.restart_agent();
    died
}

/// What runs and serves at one moment.
struct Picture {
    release: Option<u64>,
    pids: BTreeMap<String, i32>,
    restarts: BTreeMap<String, u64>,
}

impl Picture {
    fn of(site: &Site, view: &serde_json::Value) -> Self {
        let instances = support::instances(view);
        let restarts =
            instances.iter().map(|(id, i)| (id.clone(), i["restarts"].as_u64().unwrap())).collect();
        let pids = instances.keys().map(|id| (id.clone(), site.pid(id))).collect();
        Self { release: view["release"].as_u64(), pids, restarts }
    }

    /// Exactly the instances of one release, each one shim and one process, nothing else, on disk or running.
    fn is_whole(&self, site: &Site, point: u64) {
        let ids: Vec<_> = self.pids.keys().cloned().collect();
        assert_eq!(ids.len(), 5, "point {point}: {ids:?}");
        assert_eq!(site.kept(), ids, "point {point}: on disk and seen");
        support::until("nothing but the stack runs", || self.stray(site).is_none().then_some(()));
        assert_eq!(site.lines("overlaps"), Vec::<String>::new(), "point {point}: two Beats ran at once");
        let mut jobs = site.lines("jobs");
        let count = jobs.len();
        jobs.sort();
        jobs.dedup();
        assert_eq!(jobs.len(), count, "point {point}: a release job ran twice: {jobs:?}");
        let releases = site.get("/v1/stacks/shop/releases").unwrap();
        let serving: Vec<_> = releases
            .as_array()
            .unwrap()
            .iter()
            .filter(|r| r["status"] == "serving")
            .map(|r| r["number"].as_u64())
            .collect();
        assert_eq!(serving, [self.release], "point {point}: {releases}");
        let deploying = releases.as_array().unwrap().iter().any(|r| r["status"] == "deploying");
        assert!(!deploying, "point {point}: {releases}");
    }

    /// What runs and should not, or does not and should. Probes, and processes on their way to be a shim, go by
    /// themselves.
    fn stray(&self, site: &Site) -> Option<String> {
        let all = processes::of(site.dir());
        let (mut shims, mut agents, mut edges, mut services) = (0, 0, 0, 0);
        for process in &all {
            match process {
                p if processes::is_shim(p) => shims += 1,
                p if processes::is_agent(p) => agents += 1,
                p if processes::is_edge(p) => edges += 1,
                p if self.pids.values().any(|pid| *pid == p.pid) => services += 1,
                other => return Some(format!("{other:?}")),
            }
        }
        let count = self.pids.len();
        ((shims, agents, edges, services) != (count, 1, 1, count)).then(|| format!("{all:?}"))
    }

    /// What is there before and after is the same process, and was not restarted. Where a failing deploy stopped the
    /// Beat, it runs again.
    fn kept_what_need_not_change(&self, before: &Self, site: &Site, failed: bool, point: u64) {
        for (id, pid) in &before.pids {
            let swapped = failed && id.starts_with("beat.");
            let stays = id.starts_with("clock.") || (failed && !swapped);
            assert!(
                !stays || self.pids.get(id) == Some(pid),
                "point {point}: {id} is not process {pid} any more: {}",
                site.log()
            );
            assert!(!swapped || self.pids.contains_key(id), "point {point}: {id} did not come back");
        }
        for (id, restarts) in &self.restarts {
            let swapped = failed && id.starts_with("beat.");
            assert!(*restarts == 0 || swapped, "point {point}: {id} was restarted without need");
        }
    }
}
