//! The agent dies in the middle of a redeploy.

use crate::harness::{Site, Visitor, until};
use std::process::Stdio;

fn stack(version: &str) -> String {
    format!(
        r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'sleep 1; mkdir -p /www; echo {version} > /www/index.html; exec httpd -f -p 8080 -h /www'
    stop_signal: SIGKILL
    ports: ["127.0.0.1:@port@:8080"]
    healthcheck: {{ test: [CMD, wget, -qO-, "http://127.0.0.1:8080/"], interval: 1s }}
"#
    )
}

fn a_redeploy_is_finished_by_the_agent_that_comes_after_one_that_was_killed(site: &mut Site) {
    site.compose(&stack("one"));
    site.ok(&["up"]);
    let visitor = Visitor::of(site.port);
    site.compose(&stack("two"));
    let mut up = site.command().arg("up").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The new one was made and is not ready yet.
    until("the new instance runs", || site.docker_compose(&["ps", "-q"]).lines().count() == 2);
    site.kill_agent();
    up.wait().unwrap();
    site.start_agent();
    until("one of the two is left", || site.containers() == Some(1));
    until("the deploy is over", || !site.ok(&["releases"]).contains("deploying"));
    let answers = visitor.answers();
    assert_eq!(answers.last().map(String::as_str), Some("two"));
    assert_eq!(site.page().unwrap(), "two");
}

fn an_agent_that_was_killed_and_started_again_restarts_nothing(site: &mut Site) {
    site.compose(&stack("one"));
    site.ok(&["up"]);
    let visitor = Visitor::of(site.port);
    let before = site.docker_compose(&["ps", "-q"]);
    site.kill_agent();
    assert_eq!(site.page().unwrap(), "one");
    site.start_agent();
    assert!(site.ok(&["up"]).contains("nothing to do"));
    assert_eq!(site.docker_compose(&["ps", "-q"]), before);
    visitor.answers();
}

crate::on_both_engines!(
    a_redeploy_is_finished_by_the_agent_that_comes_after_one_that_was_killed,
    an_agent_that_was_killed_and_started_again_restarts_nothing,
);
