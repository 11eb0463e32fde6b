//! Lifecycle hooks around the starts and stops of a deploy, a restart, a crash of the agent and `down`.

use crate::harness::{Site, Visitor, until};
use std::process::Stdio;

/// Every hook adds a line to a file of the directory, so that what ran, and in which order, outlives containers.
fn stack(version: &str, post_start: &str, pre_stop: &str) -> String {
    format!(
        r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'mkdir -p /www; echo {version} > /www/index.html; exec httpd -f -p 8080 -h /www'
    stop_signal: SIGKILL
    environment: {{ VERSION: {version} }}
    ports: ["127.0.0.1:@port@:8080"]
    volumes: [".:/here"]
    healthcheck: {{ test: [CMD, wget, -qO-, "http://127.0.0.1:8080/"], interval: 1s }}
    pre_start:
      - command: [sh, -c, "echo before $$VERSION >> /here/told"]
      - command: [sh, -c, "echo $$WHAT $$VERSION >> /here/told"]
        environment: {{ WHAT: prepared }}
    post_start:
      - command: [sh, -c, "echo started $$VERSION $$(id -u) $$(pwd) $$MORE >> /here/told; {post_start}"]
        user: "1"
        working_dir: /here
        environment: {{ MORE: more }}
    pre_stop:
      - command: [sh, -c, "echo stops $$VERSION >> /here/told; {pre_stop}"]
"#
    )
}

fn told(site: &Site) -> Vec<String> {
    let text = std::fs::read_to_string(site.directory.path().join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The user of the hooks writes into the directory.
fn open(site: &Site) {
    let told = site.directory.path().join("told");
    std::fs::write(&told, "").unwrap();
    for path in [site.directory.path(), &told] {
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(path, all).unwrap();
    }
}

fn run_around_every_start_and_stop_of_ours(site: &mut Site) {
    open(site);
    site.compose(&stack("one", "true", "true"));
    assert!(!site.ok(&["check"]).contains("C0407"));
    site.ok(&["up"]);
    let first = ["before one", "prepared one", "started one 1 /here more"];
    assert_eq!(told(site), first);
    site.compose(&stack("two", "true", "exit 5"));
    site.ok(&["up"]);
    // Two copies must not write to one directory: the old is stopped first.
    let second = ["stops one", "before two", "prepared two", "started two 1 /here more"];
    assert_eq!(told(site), [&first[..], &second].concat());
    // Containers of hooks that ended well are gone.
    assert_eq!(site.docker_compose(&["ps", "-aq"]).lines().count(), 1);
    // A command that fails before the stop keeps nothing running.
    site.ok(&["stop"]);
    assert_eq!(told(site).last().map(String::as_str), Some("stops two"));
    site.ok(&["start"]);
    assert_eq!(told(site)[8..], ["before two", "prepared two", "started two 1 /here more"]);
    site.ok(&["down"]);
    assert_eq!(told(site).len(), 12);
    assert_eq!(site.containers(), Some(0));
}

fn one_that_fails_undoes_the_deploy_and_no_request_is_lost(site: &mut Site) {
    let stack = |version: &str, post_start: &str, pre_stop: &str| {
        stack(version, post_start, pre_stop)
            .replace("    volumes: [\".:/here\"]\n", "")
            .replace(">> /here/told", "")
            .replace("/here", "/")
    };
    site.compose(&stack("one", "true", "true"));
    let text = site.ok(&["up"]);
    assert!(text.contains("web | before one") && text.contains("web | started one 1 / more"), "{text}");
    let visitor = Visitor::of(site.port);
    site.compose(&stack("two", "echo not like this >&2; exit 3", "true"));
    let text = site.fails(&["up"]);
    assert!(text.contains("`post_start[0]` of `web` ended with status 3"), "{text}");
    assert!(text.contains("not like this"), "{text}");
    assert_eq!(site.page().unwrap(), "one");
    site.compose(&stack("two", "true", "true").replace("echo before", "exit 4; echo before"));
    let text = site.fails(&["up"]);
    assert!(text.contains("`pre_start[0]` of `web` ended with status 4"), "{text}");
    assert!(visitor.answers().iter().all(|page| page == "one"));
    assert_eq!(site.docker_compose(&["ps", "-aq"]).lines().count(), 1);
}

fn an_agent_killed_while_one_runs_runs_it_again_and_finishes(site: &mut Site) {
    open(site);
    // It waits for a file that the test makes once the agent has died.
    site.compose(&stack(
        "one",
        "while [ ! -e /here/go ]; do sleep 0.1; done; echo over >> /here/told",
        "true",
    ));
    let mut up = site.command().arg("up").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the hook runs", || told(site).len() == 3);
    site.kill_agent();
    up.wait().unwrap();
    site.start_agent();
    until("the hook runs again", || told(site).len() == 4);
    assert!(!site.ok(&["ps"]).contains("ready"));
    std::fs::write(site.directory.path().join("go"), "").unwrap();
    until("the deploy is over", || !site.ok(&["releases"]).contains("deploying"));
    assert_eq!(site.page().unwrap(), "one");
    // Those before the start ended well, and do not run again.
    let before = told(site).iter().filter(|line| line.starts_with("before")).count();
    assert_eq!(before, 1);
    assert!(told(site).iter().any(|line| line == "over"));
}

fn one_that_hangs_is_left_when_the_stack_is_taken_down(site: &mut Site) {
    open(site);
    site.compose(&stack("one", "sleep 1000", "true"));
    let mut up = site.command().arg("up").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the hook runs", || told(site).len() == 3);
    site.ok(&["down"]);
    assert!(!up.wait().unwrap().success());
    assert_eq!(site.containers(), Some(0));
}

fn compose_and_we_make_the_same_of_a_container_that_runs_before(site: &mut Site) {
    site.compose(
        r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sleep infinity
    stop_signal: SIGKILL
    environment: { A: "1", B: "2" }
    labels: { of: service }
    hostname: inside
    cap_add: [NET_ADMIN]
    volumes: ["data:/data"]
    pre_start:
      - command: ["echo failing; exit 3"]
        entrypoint: [sh, -c]
        environment: { B: "3" }
        user: "1"
        volumes: ["/tmp:/other:ro"]
volumes: { data: {} }
"#,
    );
    let name = format!("{}-web-pre_start-0", site.project);
    let look = |site: &Site| {
        let seen = site.inspect(&name);
        let mut wanted = serde_json::json!({ "config": seen["Config"], "host": seen["HostConfig"] });
        let labels = wanted["config"]["Labels"].as_object_mut().unwrap();
        labels.retain(|label, _| !label.starts_with("mainstay.") && !label.ends_with(".version"));
        wanted["host"]["VolumesFrom"] =
            serde_json::json!(seen["HostConfig"]["VolumesFrom"].as_array().unwrap().len());
        wanted["config"]["Env"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        wanted
    };
    assert!(!site.docker_compose_command(&["up", "-d"]).output().unwrap().status.success());
    let theirs = look(site);
    site.docker_compose(&["down", "-v"]);
    // The container of a failed hook goes with the deploy that is undone: looked at while the deploy still runs.
    let mut up = site.command().arg("up").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut ours = serde_json::Value::Null;
    until("our hook is there", || {
        let there = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(site)));
        ours = there.unwrap_or_default();
        !ours.is_null()
    });
    assert!(!up.wait().unwrap().success());
    let mut found = Vec::new();
    crate::inspect::differences("hook", &theirs, &ours, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

crate::on_both_engines!(
    run_around_every_start_and_stop_of_ours,
    one_that_fails_undoes_the_deploy_and_no_request_is_lost,
    one_that_hangs_is_left_when_the_stack_is_taken_down,
    an_agent_killed_while_one_runs_runs_it_again_and_finishes,
    compose_and_we_make_the_same_of_a_container_that_runs_before,
);
