//! Bad input and a hostile host: one clear error with its code and exit status, and nothing changes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and shows what it saw"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};
use support::{BIN, Site, errors, until};

/// What runs, and which releases there are.
#[derive(Debug, PartialEq, Eq)]
struct State {
    pids: BTreeMap<String, i32>,
    release: Option<u64>,
    releases: usize,
}

impl State {
    fn of(site: &Site) -> Self {
        let releases = site.get("/v1/stacks/shop/releases").unwrap();
        let (release, releases) = (site.view()["release"].as_u64(), releases.as_array().unwrap().len());
        Self { pids: site.pids(), release, releases }
    }
}

/// A site that is up.
fn running() -> Site {
    let mut site = Site::new();
    assert!(site.start_agent(None));
    let up = site.up(1, 1);
    assert!(up.status.success(), "{}", errors(&up));
    site
}

/// One error with this status and code, and these words in it.
fn is_one_error(output: &Output, exit: i32, code: &str, words: &[&str]) {
    let text = errors(output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    let with_code = text.lines().filter(|line| line.starts_with("error[")).collect::<Vec<_>>();
    assert_eq!(with_code.len(), 1, "{text}");
    assert!(with_code[0].starts_with(&format!("error[{code}]")), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// `up` of the usual stack with something in it replaced is refused, and nothing changes.
fn up_is_refused(from: &str, to: &str, exit: i32, code: &str, words: &[&str]) {
    let site = running();
    let before = State::of(&site);
    let path = site.dir().join("compose.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    is_one_error(&site.up(2, 2), exit, code, words);
    assert_eq!(State::of(&site), before);
}

/// The deploy fails and is undone: what served is as it was, the failed release is in the list.
fn up_fails(from: &str, to: &str, words: &[&str]) {
    let site = running();
    let before = State::of(&site);
    let path = site.dir().join("compose.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    is_one_error(&site.up(2, 2), 5, "A0310", words);
    let after = State::of(&site);
    assert_eq!((after.pids, after.release), (before.pids, before.release));
    let releases = site.get("/v1/stacks/shop/releases").unwrap();
    assert!(releases.as_array().unwrap().iter().any(|r| r["status"] == "failed"), "{releases}");
    assert_eq!(site.kept().len(), 5, "something of the failed release is left: {:?}", site.kept());
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    up_is_refused(
        "  worker:\n",
        "  worker:\n    comand: x\n",
        3,
        "C0401",
        &["comand", "command", "compose.yaml:"],
    );
}

#[test]
fn a_missing_variable_is_named_with_its_message() {
    up_is_refused(
        "[sleep, infinity]",
        "[sleep, \"${KEY:?set a key}\"]",
        3,
        "C0202",
        &["KEY", "set a key", "compose.yaml:"],
    );
}

#[test]
fn a_dependency_cycle_is_shown_as_one() {
    let cycle =
        "    command: [sleep, infinity]\n    depends_on: [worker]\n    environment: { SITE: \"${SITE}\" }\n";
    let from = "    command: [sleep, infinity]\n    environment: { SITE: \"${SITE}\" }\n";
    let site = running();
    let before = State::of(&site);
    let path = site.dir().join("compose.yaml");
    let text = fs::read_to_string(&path).unwrap().replace(from, cycle);
    fs::write(
        &path,
        text.replace("depends_on: { web:", "depends_on: { clock: {}, web:")
            .replace("clock: {}", "clock: { condition: service_started }"),
    )
    .unwrap();
    is_one_error(&site.up(2, 2), 3, "C0602", &["clock", "worker"]);
    assert_eq!(State::of(&site), before);
}

#[test]
fn a_taken_port_names_who_has_it() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let own = format!("(pid {})", std::process::id());
    let address = format!("127.0.0.1:{port}");
    up_is_refused("http: \"${LISTEN}\"", &format!("http: \"{address}\""), 8, "A0502", &[&address, &own]);
}

#[test]
fn a_release_job_that_fails_leaves_the_old_release_serving() {
    up_fails(
        "release: sh -c '",
        "release: sh -c 'echo no such table; exit 7; ",
        &["`web`", "status 7", "no such table"],
    );
}

#[test]
fn a_command_that_is_not_found_is_named() {
    up_fails("command: [sleep, infinity]", "command: [slep, infinity]", &["slep", "worker"]);
}

#[test]
fn a_second_up_may_refuse_to_wait() {
    let site = running();
    let path = site.dir().join("compose.yaml");
    let text = fs::read_to_string(&path).unwrap();
    // A release job that ends when it is told to.
    let waits = "release: sh -c 'until test -e \"$$SITE/go\"; do sleep 0.05; done; ";
    fs::write(&path, text.replacen("release: sh -c '", waits, 1)).unwrap();
    site.write_env(2, 2);
    let first = site.command(&["up"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("the first is under way", || site.view()["deploy"].as_str().map(drop));
    let before = State::of(&site);
    is_one_error(&site.run(&["up", "--no-wait-for-lock"]), 6, "A0306", &["release 2"]);
    assert_eq!(State::of(&site), before);
    fs::write(site.dir().join("go"), "").unwrap();
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success());
    assert_eq!(site.settled(), Some(2));
}

#[test]
fn a_second_agent_is_told_of_the_first() {
    let site = running();
    let before = State::of(&site);
    let first = site.get("/v1/info").unwrap()["pid"].to_string();
    is_one_error(&site.run(&["agent"]), 8, "A0101", &[&first]);
    assert_eq!(State::of(&site), before);
}

#[test]
fn an_edge_that_dies_at_its_start_is_told_at_once_with_its_last_words() {
    let mut site = Site::new();
    assert!(site.start_agent(None));
    // No edge can make its socket where a directory is.
    fs::create_dir_all(site.state_dir().join("edge/control.sock/full")).unwrap();
    is_one_error(&site.up(1, 1), 8, "A0501", &["control.sock", "ended at its start"]);
    assert_eq!(site.kept(), Vec::<String>::new());
    assert_eq!(site.get("/v1/stacks/shop/releases").unwrap().as_array().unwrap().len(), 0);
    fs::remove_dir_all(site.state_dir().join("edge/control.sock")).unwrap();
    assert!(site.up(1, 1).status.success());
}

/// These need other users and file systems.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not root: nothing was tested");
    }
    root
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    site.write_env(1, 1);
    fs::create_dir(site.state_dir()).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(site.dir(), open).unwrap();
    let state = site.state_dir().display().to_string();
    // The program may lie where another user may not go.
    let exe = site.dir().join("mainstay");
    fs::copy(BIN, &exe).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(&exe);
    command
        .args(["-f", "compose.yaml", "--state-dir", &state, "up"])
        .current_dir(site.dir())
        .env("NO_COLOR", "1");
    is_one_error(&command.output().unwrap(), 8, "X0001", &[&state, "denied"]);
    assert_eq!(fs::read_dir(site.state_dir()).unwrap().count(), 0);
}

/// A small file system, gone with this.
struct Disk(std::path::PathBuf);

impl Disk {
    fn at(path: std::path::PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(&path)
            .status();
        assert!(mounted.unwrap().success());
        Self(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _busy = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_is_said() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    let _disk = Disk::at(site.state_dir(), "16k");
    let state = site.state_dir().display().to_string();
    is_one_error(&site.up(1, 1), 8, "X0001", &[&state, "No space left"]);
}

#[test]
fn a_disk_that_fills_up_stops_the_next_deploy_before_it_begins() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    let _disk = Disk::at(site.state_dir(), "8m");
    assert!(site.start_agent(None));
    let up = site.up(1, 1);
    assert!(up.status.success(), "{}", errors(&up));
    let before = State::of(&site);
    let _until_full = fs::write(site.state_dir().join("big"), vec![0; 16 << 20]);
    is_one_error(&site.up(2, 2), 8, "A0103", &["no space left"]);
    assert_eq!(State::of(&site), before);
    fs::remove_file(site.state_dir().join("big")).unwrap();
    let up = site.up(2, 2);
    assert!(up.status.success(), "room again: {}", errors(&up));
}
