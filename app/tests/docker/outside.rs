//! Services that a plug-in makes, and models, beside Compose where both must do the same.

use crate::harness::Site;
use std::os::unix::fs::PermissionsExt as _;

const STACK: &str = r#"services:
  shelf:
    provider: { type: shelf, options: { rows: 9, unknown: x } }
  desk:
    image: mainstay-test/busybox:1
    command: sleep infinity
    stop_signal: SIGKILL
    depends_on: [shelf]
  other: { image: mainstay-test/busybox:1, command: sleep infinity, stop_signal: SIGKILL }
"#;

/// Speaks the protocol of providers, and notes how it was called beside itself.
const SHELF: &str = r#"#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion":"0.1.0","Vendor":"tests","Version":"v1.0.0"}'
  exit 0
fi
if [ "$2" = metadata ]; then
  echo '{"description":"shelves","up":{"parameters":[{"name":"rows","required":true}]},"down":{"parameters":[]}}'
  exit 0
fi
echo "$@" >> "$(dirname "$0")/called"
[ -e "$(dirname "$0")/broken" ] && { echo '{"type":"error","message":"no room for a shelf"}'; exit 1; }
echo '{"type":"info","message":"a shelf is made"}'
echo '{"type":"setenv","message":"URL=http://shelf.test/?a=b"}'
echo '{"type":"rawsetenv","message":"OF_SHELVES=all"}{"type":"debug","message":"done"}'
"#;

/// Speaks as Docker Model Runner's plug-in does.
const MODEL: &str = r#"#!/bin/sh
echo "$@" >> "$(dirname "$0")/called"
case $1 in
ls) echo '[{"id":"1","tags":["ai/known"],"created":1}]' ;;
status) echo '{"running":true,"endpoint":"http://runner.test/v1"}' ;;
esac
"#;

fn with_plugin(site: &mut Site, name: &str, script: &str) {
    let directory = site.directory.path().join("docker");
    let plugins = directory.join("cli-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let plugin = plugins.join(format!("docker-{name}"));
    std::fs::write(&plugin, script).unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    site.kill_agent();
    site.environment = vec![("DOCKER_CONFIG".into(), directory.display().to_string())];
    site.start_agent();
}

fn called(site: &Site) -> Vec<String> {
    let path = site.directory.path().join("docker/cli-plugins/called");
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Variables of a service that came from outside the file.
fn variables(site: &Site, service: &str) -> Vec<String> {
    let text = site.docker_compose(&["exec", "-T", service, "env"]);
    let from_outside =
        |line: &&str| ["SHELF", "OF_SHELVES", "LLM", "MY_"].iter().any(|start| line.starts_with(start));
    let mut found: Vec<_> = text.lines().filter(from_outside).map(str::to_owned).collect();
    found.sort();
    found
}

fn a_provider_gives_its_variables_to_those_who_need_it(site: &mut Site) {
    with_plugin(site, "shelf", SHELF);
    site.compose(STACK);
    let checked = site.ok(&["check"]);
    assert!(!checked.contains("C0407") && !checked.contains("ignored"), "{checked}");
    let text = site.ok(&["up"]);
    assert!(text.contains("a shelf is made"), "{text}");
    let ours = variables(site, "desk");
    assert_eq!(ours, ["OF_SHELVES=all", "SHELF_URL=http://shelf.test/?a=b"]);
    assert!(variables(site, "other").is_empty());
    assert!(site.ok(&["up"]).contains("nothing to do"));
    site.ok(&["down"]);
    let up = format!("compose --project-name={} up --rows=9 shelf", site.project);
    assert_eq!(
        called(site),
        [up.clone(), up.clone(), format!("compose --project-name={} down shelf", site.project)]
    );

    site.docker_compose(&["up", "-d"]);
    assert_eq!(variables(site, "desk"), ours);
    site.docker_compose(&["down", "-t", "0"]);
    assert_eq!(called(site)[3], up);

    std::fs::write(site.directory.path().join("docker/cli-plugins/broken"), "").unwrap();
    let text = site.fails(&["up"]);
    assert!(text.contains("no room for a shelf"), "{text}");
    assert_eq!(site.containers(), Some(0));
}

fn models_are_the_business_of_their_plugin(site: &mut Site) {
    site.compose(
        r#"services:
  chat:
    image: mainstay-test/busybox:1
    command: sleep infinity
    stop_signal: SIGKILL
    models:
      llm-small: {}
      named: { endpoint_var: MY_ADDRESS, model_var: MY_NAME }
models:
  llm-small: { model: ai/known, context_size: 512 }
  named: { model: ai/unknown, runtime_flags: ["--fast"] }
"#,
    );
    let text = site.fails(&["up"]);
    assert!(text.contains("docker-model"), "{text}");
    with_plugin(site, "model", MODEL);
    site.ok(&["up"]);
    let ours = variables(site, "chat");
    let expected = [
        "LLM_SMALL_MODEL=ai/known",
        "LLM_SMALL_URL=http://runner.test/v1",
        "MY_ADDRESS=http://runner.test/v1",
        "MY_NAME=ai/unknown",
    ];
    assert_eq!(ours, expected);
    let calls = called(site);
    assert!(
        calls.contains(&"pull ai/unknown".to_owned()) && !calls.contains(&"pull ai/known".to_owned()),
        "{calls:?}"
    );
    assert!(calls.contains(&"configure --context-size 512 ai/known".to_owned()), "{calls:?}");
    site.ok(&["down"]);
}

fn a_job_is_run_by_hand_as_with_compose(site: &mut Site) {
    site.compose(
        r#"services:
  web: { image: mainstay-test/busybox:1, command: sleep infinity, stop_signal: SIGKILL }
jobs:
  report:
    image: mainstay-test/busybox:1
    command: [sh, -c, "echo job $$WORD; exit 3"]
    environment: { WORD: works }
    triggers: { manual: true }
    depends_on: [web]
"#,
    );
    assert!(!site.ok(&["check"]).contains("C0407"));
    site.ok(&["up"]);
    for _ in 0..2 {
        let output = site.command().args(["run", "--rm", "-T", "report"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), text.trim()), (Some(3), "job works"), "{output:?}");
    }
    assert_eq!(site.containers(), Some(1));
}

crate::on_both_engines!(
    a_job_is_run_by_hand_as_with_compose,
    a_provider_gives_its_variables_to_those_who_need_it,
    models_are_the_business_of_their_plugin
);
