//! `kill -9` of everything else: the edge, agent and edge together, instances, shims; and services that end by
//! themselves.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and shows what it saw"
)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use support::load::{Load, version};
use support::{BIN, Site, errors, processes, until};

/// Clients that may each have one request in what dies.
const CLIENTS: usize = 4;

fn up(stack: Option<&str>) -> Site {
    let mut site = stack.map_or_else(Site::new, Site::of);
    assert!(site.start_agent(None));
    let up = site.up(1, 1);
    assert!(up.status.success(), "{}", errors(&up));
    site
}

/// Waits until so many more requests were answered.
fn answered_more(load: &Load, more: u64) {
    let wanted = load.answered() + more;
    until("requests are answered", || (load.answered() >= wanted).then_some(()));
}

/// Only what was under way in the dead edge may fail: nobody is refused a connection.
fn lost_only_what_was_under_way(failures: &[String]) {
    assert!(failures.len() <= CLIENTS, "{} failed: {:?}", failures.len(), failures.first());
    let refused = failures.iter().find(|why| why.contains("cannot connect") || why.contains("answered"));
    assert_eq!(refused, None);
}

#[test]
fn an_edge_that_is_killed_is_replaced_and_connections_wait_for_it() {
    let site = up(None);
    let pids = site.pids();
    let load = Load::begin(site.port, &["web.test", "beat.test"]);
    for _ in 0..3 {
        answered_more(&load, 50);
        let edge = site.edge_pid().unwrap();
        processes::kill(edge);
        until("another edge is there", || site.edge_pid().filter(|pid| *pid != edge));
        answered_more(&load, 50);
        lost_only_what_was_under_way(&load.failures());
    }
    assert_eq!(load.end().1, Vec::<String>::new());
    assert_eq!(site.pids(), pids);
}

#[test]
fn an_edge_that_dies_right_after_the_agent_came_back_is_replaced_with_its_sockets() {
    let mut site = up(None);
    let load = Load::begin(site.port, &["web.test", "beat.test"]);
    answered_more(&load, 50);
    let edge = site.edge_pid().unwrap();
    site.restart_agent();
    until("the agent has found the edge", || site.edge_pid());
    processes::kill(edge);
    until("another edge is there", || site.edge_pid().filter(|pid| *pid != edge));
    answered_more(&load, 50);
    lost_only_what_was_under_way(&load.end().1);
}

#[test]
fn agent_and_edge_killed_together_come_back_and_restart_nothing() {
    let mut site = up(None);
    let pids = site.pids();
    let edge = site.edge_pid().unwrap();
    site.kill_agent();
    processes::kill(edge);
    site.restart_agent();
    until("it serves again", || version(site.port, "web.test").ok());
    assert_eq!(site.settled(), Some(1));
    assert_eq!(site.pids(), pids);
}

#[test]
fn an_edge_without_an_agent_serves_from_its_table() {
    let mut site = up(None);
    let edge = site.edge_pid().unwrap();
    site.kill_agent();
    processes::kill(edge);
    // One that finds another alive does not start.
    until("the edge is gone", || (!processes::of(site.dir()).iter().any(|p| p.pid == edge)).then_some(()));
    let dir = site.state_dir().join("edge");
    let mut alone = Command::new(BIN);
    alone
        .arg("edge")
        .arg("--control")
        .arg(dir.join("control.sock"))
        .arg("--table")
        .arg(dir.join("table.json"));
    alone.stdout(Stdio::null());
    let mut alone = alone.spawn().unwrap();
    until("it serves alone", || version(site.port, "web.test").ok());
    let load = Load::begin(site.port, &["web.test", "beat.test"]);
    assert!(site.start_agent(None));
    until("the agent takes it over", || site.edge_pid().filter(|pid| *pid == alone.id() as i32));
    let up = site.up(2, 2);
    assert!(up.status.success(), "{}", errors(&up));
    assert_eq!(load.end().1, Vec::<String>::new());
    assert_eq!(version(site.port, "web.test").as_deref(), Ok("2"));
    alone.kill().unwrap();
    alone.wait().unwrap();
}

#[test]
fn an_instance_that_is_killed_runs_again() {
    let site = up(None);
    let pids = site.pids();
    let load = Load::begin(site.port, &["web.test"]);
    answered_more(&load, 20);
    processes::kill(pids["web.1.1"]);
    let runs_again = |i: &Value| i["restarts"] == 1 && i["health"] == "ready";
    until("it runs again", || runs_again(&site.instances()["web.1.1"]).then_some(()));
    let (_, failures) = load.end();
    assert!(failures.len() <= CLIENTS, "{failures:?}");
    let others = |mut pids: BTreeMap<String, i32>| {
        pids.remove("web.1.1");
        pids
    };
    assert_eq!(others(site.pids()), others(pids));
}

#[test]
fn a_shim_that_is_killed_leaves_no_second_copy() {
    let site = up(None);
    let shim_of_worker = |p: &processes::Process| processes::is_shim(p) && p.words.contains("worker.1.1");
    let shim = processes::of(site.dir()).into_iter().find(shim_of_worker).unwrap();
    let command = site.pid("worker.1.1");
    processes::kill(shim.pid);
    let another = || processes::of(site.dir()).iter().any(|p| p.pid != shim.pid && shim_of_worker(p));
    until("another shim runs", || another().then_some(()));
    assert_eq!(site.settled(), Some(1));
    assert_ne!(site.pid("worker.1.1"), command);
    let left = processes::of(site.dir()).iter().any(|p| p.pid == command);
    assert!(!left, "the old command still runs");
}

/// One service a restart policy; each lives until its file is there, and ends with what is in it.
const POLICIES: &str = r#"
name: shop
x-app: &app
  command: [sh, -c, 'until test -s "$$SITE/end"; do sleep 0.05; done; exit $$(cat "$$SITE/end")']
  environment: { SITE: "${SITE}" }
services:
  never: { <<: *app, restart: "no" }
  twice: { <<: *app, restart: "on-failure:2" }
  ever: { <<: *app, restart: always }
"#;

fn service<'v>(view: &'v Value, name: &str) -> &'v Value {
    view["services"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()
}

#[test]
fn restart_policies_are_kept_and_a_crash_loop_is_called_one() {
    let site = up(Some(POLICIES));
    fs::write(site.dir().join("end"), "3").unwrap();
    let looping = || service(&site.view(), "ever")["note"] == "crash loop";
    until("a crash loop is called one", || looping().then_some(()));
    let view = site.view();
    let of = |name: &str, field: &str| service(&view, name)["instances"][0][field].clone();
    assert_eq!((of("never", "state"), of("never", "restarts")), ("exited".into(), 0.into()));
    assert_eq!((of("twice", "state"), of("twice", "restarts")), ("exited".into(), 2.into()));
    assert_eq!(of("never", "exit_code"), 3);
    fs::remove_file(site.dir().join("end")).unwrap();
    let runs = || service(&site.view(), "ever")["instances"][0]["state"] == "running";
    until("it runs when it can", || runs().then_some(()));
}

/// A web service whose instances are sick when a file with their port says so.
const SICKLY: &str = r#"
name: shop
services:
  web:
    command: ["${BIN}", demo-app, web]
    environment: { VERSION: "${VERSION}", SITE: "${SITE}" }
    restart: always
    healthcheck: { test: [CMD-SHELL, 'test ! -e "$$SITE/sick.$$PORT"'], interval: 100ms, timeout: 10s, retries: 2 }
    x-mainstay: { routes: [{ host: web.test, path: / }] }
x-mainstay: { edge: { listen: { http: "${LISTEN}" } } }
"#;

#[test]
fn an_unhealthy_instance_is_replaced_without_a_failed_request() {
    let site = up(Some(SICKLY));
    let load = Load::begin(site.port, &["web.test"]);
    let launch = site.state_dir().join("native/shop/web.1.1/launch.json");
    let launch: Value = serde_json::from_slice(&fs::read(launch).unwrap()).unwrap();
    fs::write(site.dir().join(format!("sick.{}", launch["port"])), "").unwrap();
    until("another one serves alone", || {
        let instances = site.instances();
        (instances.len() == 1 && instances.get("web.1.2")?["health"] == "ready").then_some(())
    });
    answered_more(&load, 20);
    assert_eq!(load.end().1, Vec::<String>::new());
    assert_eq!(site.kept(), ["web.1.2"]);
}
