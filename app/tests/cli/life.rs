//! A native stack from its first `up` to `down`, by commands alone.

use crate::sandbox::{Sandbox, free_port};
use std::io::Read;
use std::process::Stdio;

fn stack(version: &str, port: u16) -> String {
    let exe = env!("CARGO_BIN_EXE_mainstay");
    format!(
        "name: test\n\
         services:\n\
         \x20 web:\n\
         \x20   command: ['{exe}', demo-app, web]\n\
         \x20   environment: {{ VERSION: '{version}' }}\n\
         \x20   deploy: {{ replicas: 2 }}\n\
         \x20   restart: always\n\
         \x20   stop_grace_period: 1s\n\
         \x20   healthcheck:\n\
         \x20     {{ test: [CMD, '{exe}', demo-app, healthcheck], interval: 200ms, timeout: 5s, retries: 3 }}\n\
         \x20   x-mainstay: {{ routes: [{{ host: '*', path: / }}] }}\n\
         x-mainstay: {{ edge: {{ listen: {{ http: '127.0.0.1:{port}' }} }} }}\n"
    )
}

fn served(port: u16) -> String {
    get(port, "/version").rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
}

/// The whole answer.
fn get(port: u16, path: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn up_look_change_go_back_and_down() {
    let port = free_port();
    let sandbox = Sandbox::new(&stack("1", port));

    let planned = sandbox.run(&["--json", "plan"]).ok().json();
    assert_eq!(planned["steps"][0]["verb"], "create");
    let up = sandbox.run(&["up", "-d"]).ok();
    assert!(up.err.contains("+ create  web"), "{}", up.err);
    assert_eq!(served(port), "1");
    assert!(sandbox.run(&["up"]).ok().err.contains("nothing to do"));

    let seen = sandbox.run(&["ps", "--json"]).ok().json();
    assert_eq!(seen["release"], 1);
    let web = &seen["services"][0];
    assert_eq!((&web["name"], &web["replicas"]), (&"web".into(), &2.into()));
    assert_eq!(web["instances"][0]["health"], "ready");
    assert_eq!(sandbox.run(&["ps", "--services"]).ok().out, "web\n");
    assert_eq!(sandbox.run(&["ps", "-q"]).ok().out.lines().count(), 2);
    assert!(sandbox.run(&["ps"]).ok().out.contains("1 service as wanted"));

    sandbox.write("compose.yaml", &stack("2", port));
    let lines = sandbox.run(&["--json", "up"]).ok().json_lines();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "plan");
    assert!(kinds.contains(&"switched"), "{kinds:?}");
    let last = lines.last().unwrap();
    assert_eq!((&last["kind"], &last["outcome"]["ok"]), (&"done".into(), &true.into()));
    assert_eq!(served(port), "2");

    sandbox.run(&["rollback"]).ok();
    assert_eq!(served(port), "1");
    let releases = sandbox.run(&["releases", "--json"]).ok().json();
    assert_eq!(releases[0]["status"], "superseded");
    assert_eq!(releases[1]["status"], "serving");

    sandbox.run(&["stop", "web"]).ok();
    sandbox.run(&["start", "web"]).ok();
    sandbox.run(&["restart"]).ok();
    assert_eq!(served(port), "1");
    sandbox.run(&["down"]).ok();
    assert_eq!(sandbox.run(&["ps", "-q"]).out, "");
}

#[test]
fn a_release_that_never_gets_ready_is_undone() {
    let port = free_port();
    let sandbox = Sandbox::new(&stack("1", port));
    sandbox.run(&["up"]).ok();
    sandbox.write("compose.yaml", &stack("3", port));
    let ran = sandbox.run(&["up"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    assert!(ran.err.contains("error[A0310]"), "{}", ran.err);
    assert!(ran.err.contains("cannot reach the database"), "the last lines of its log: {}", ran.err);
    assert_eq!(served(port), "1");
}

#[test]
fn a_release_that_proves_itself_and_then_fails_its_requests_is_left_again() {
    let port = free_port();
    let blind = |version| stack(version, port).replace("demo-app, healthcheck]", "--version]");
    let sandbox = Sandbox::new(&blind("1"));
    sandbox.run(&["up"]).ok();
    // Version 3 says so itself when it is asked how it is, but nobody asks.
    sandbox.write("compose.yaml", &blind("3"));
    sandbox.run(&["up"]).ok();
    assert!(sandbox.run(&["ps"]).ok().out.contains("on trial, or back to release 1"));
    let refused = (0..20).filter(|_| get(port, "/healthz").starts_with("HTTP/1.1 503")).count();
    assert_eq!(refused, 20);
    let releases = sandbox.until(&["releases", "--json"], |releases| releases[1]["status"] == "serving");
    assert_eq!(releases[0]["status"], "failed", "{releases}");
    let why = releases[0]["failure"].as_str().unwrap();
    assert!(why.contains("20 of the first 20 answers of `web` failed"), "{why}");
    assert_eq!(served(port), "1");
}

#[test]
fn commands_inside_an_instance_keep_their_streams_and_status() {
    let sandbox = Sandbox::new(&stack("1", free_port()));
    sandbox.run(&["up"]).ok();
    let ran = sandbox.run(&["exec", "-e", "A=b c", "web", "sh", "-c", "echo $A; echo no >&2; exit 7"]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (7, "b c\n", "no\n"));
    let ran = sandbox.run(&["exec", "web", "no-such-program"]);
    assert_eq!(ran.status, 125, "{ran:?}");
    assert_eq!(sandbox.run(&["exec", "nobody", "true"]).status, 7);

    let mut child = sandbox
        .command(&["exec", "-T", "web", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let sent = vec![b'x'; 300_000];
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn({
        let sent = sent.clone();
        move || std::io::Write::write_all(&mut input, &sent)
    });
    let mut received = vec![];
    child.stdout.take().unwrap().read_to_end(&mut received).unwrap();
    writing.join().unwrap().unwrap();
    assert!(received == sent, "{} bytes came back", received.len());
    assert!(child.wait().unwrap().success());
}

#[test]
fn logs_are_prefixed_and_for_programs_json() {
    let sandbox = Sandbox::new(&stack("1", free_port()));
    sandbox.run(&["up"]).ok();
    let logs = sandbox.run(&["logs"]).ok();
    assert!(logs.out.contains("web.1.1 | version 1 serves on port "), "{}", logs.out);
    assert!(sandbox.run(&["logs", "--no-log-prefix"]).ok().out.starts_with("version 1"));
    let lines = sandbox.run(&["logs", "--json", "-n", "1", "web"]).ok().json_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["service"], "web");
    let events = sandbox.run(&["events", "--json"]).ok().json_lines();
    assert!(events.iter().any(|event| event["kind"] == "deploy-finished"), "{events:?}");
}

#[test]
fn two_agents_do_not_share_a_state_directory() {
    let sandbox = Sandbox::new(&stack("1", free_port()));
    sandbox.run(&["up"]).ok();
    let ran = sandbox.run(&["agent"]);
    assert_eq!(ran.status, 8, "{ran:?}");
    assert!(ran.err.contains("A0101"), "{}", ran.err);
}
