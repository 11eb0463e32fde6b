//! The demo, whole: it loses no request and leaves nothing behind. One at a time: see `.config/nextest.toml`.

use crate::sandbox::Sandbox;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_show_loses_no_request_and_leaves_nothing() {
    let sandbox = Sandbox::new("");
    let temporary = sandbox.path().display().to_string();
    let ran: crate::sandbox::Ran =
        sandbox.command(&["demo", "--no-wait", "--json"]).env("TMPDIR", &temporary).output().unwrap().into();
    let numbers = ran.ok().json();
    assert_eq!(numbers["ok"], true);
    assert_eq!(numbers["failed"], 0, "{numbers}");
    assert!(numbers["requests"].as_u64() > Some(1_000), "{numbers}");
    assert_eq!(numbers["left_behind"], serde_json::json!([]));
    let names: Vec<_> = numbers["phases"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["up", "redeploy", "kill", "broken"]);
    assert_nothing_is_left(&temporary);
}

#[test]
fn a_signal_ends_it_at_any_time_and_nothing_is_left() {
    for (signal, status) in [("TERM", 130), ("INT", 130)] {
        let sandbox = Sandbox::new("");
        let temporary = sandbox.path().display().to_string();
        let mut command = sandbox.command(&["demo"]);
        let mut child = command.env("TMPDIR", &temporary).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("Redeploy under load")));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let rest: Vec<_> = lines.map(Result::unwrap).collect();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{rest:?}");
        assert_nothing_is_left(&temporary);
    }
}

#[track_caller]
fn assert_nothing_is_left(temporary: &str) {
    let left = std::fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("mainstay-demo")).collect();
    assert!(left.is_empty(), "{left:?}");
    let running = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(temporary).then_some(line)
    });
    assert_eq!(running.collect::<Vec<_>>(), Vec::<String>::new());
}
