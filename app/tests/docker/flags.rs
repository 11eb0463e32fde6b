//! Flags of Compose's commands: what they do to containers, images and exit statuses.

use crate::harness::{Site, until};

const STACK: &str = r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'echo serving; exec httpd -f -p 80 -h /etc'
    stop_signal: SIGKILL
    depends_on: [store]
    ports: ["127.0.0.1:@port@:80"]
    deploy: { replicas: 2 }
  store:
    image: mainstay-test/busybox:1
    command: sleep 1000
    stop_signal: SIGKILL
  tests:
    image: mainstay-test/busybox:1
    command: sh -c 'echo testing; exit 7'
    restart: "no"
    profiles: [test]
"#;

fn ids(site: &Site, service: &str) -> Vec<String> {
    let mut ids: Vec<_> = site.ok(&["ps", "-q", service]).split_whitespace().map(str::to_owned).collect();
    ids.sort();
    ids
}

fn what_is_made_anew_is_what_was_asked_for(site: &mut Site) {
    site.compose(STACK);
    site.ok(&["up", "--quiet-pull", "-y"]);
    let (web, store) = (ids(site, "web"), ids(site, "store"));
    assert!(site.ok(&["--dry-run", "up", "--force-recreate"]).contains("replace  web"));
    assert_eq!(ids(site, "web"), web);

    site.ok(&["up", "--always-recreate-deps", "web"]);
    assert_eq!(ids(site, "web"), web);
    let anew = ids(site, "store");
    assert_ne!(anew, store);

    site.compose(&STACK.replace("sleep 1000", "sleep 2000"));
    site.ok(&["up", "--no-recreate", "--scale", "web=1"]);
    assert_eq!(ids(site, "store"), anew);
    assert_eq!(ids(site, "web").len(), 1);
    site.ok(&["up"]);
    assert_ne!(ids(site, "store"), anew);
    for words in [["stop", "web"], ["restart", "web"], ["kill", "web"]] {
        let said = site.ok(&[&["--dry-run"], &words[..]].concat());
        assert_eq!(said.matches("would").count(), 2, "{said}");
    }
    assert_eq!(ids(site, "web").len(), 2);
}

fn whoever_stays_gets_the_status_of_what_ended(site: &mut Site) {
    site.compose(STACK);
    // The way of Compose's users to run tests: everything starts, and the tests' status is the status.
    let ran = site.command().args(["--profile", "test", "up", "--exit-code-from", "tests"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(7), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.lines().any(|line| line.ends_with("| testing")), "{said}");
    assert!(!site.ok(&["ps", "--format", "{{.State}}"]).contains("running"));

    // One that ends later, while the rest runs.
    site.compose(
        &STACK.replace("echo testing;", "echo testing; while ! wget -qO- http://web/hostname; do :; done; "),
    );
    let words =
        ["--profile", "test", "up", "--abort-on-container-exit", "--no-log-prefix", "--attach", "tests"];
    let ran = site.command().args(words).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(7), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.lines().any(|line| line == "testing") && !said.contains("serving"), "{said}");
    assert_eq!(site.ok(&["ps", "-q", "web"]), "");
    assert!(site.fails(&["up", "--attach", "nobody"]).contains("a service of the stack"));
    assert!(site.fails(&["up", "-d", "--exit-code-from", "tests"]).contains("cannot be used with"));
}

fn a_one_off_copy_has_what_it_was_given(site: &mut Site) {
    site.compose(STACK);
    // Nothing runs yet: what it depends on is started, and it is run by the file.
    std::fs::write(site.directory.path().join("vars"), "FROM_FILE=it's here\n").unwrap();
    let script = "echo $FROM_FILE $TYPED; cat /mnt/vars; hostname -i >/dev/null && cat /proc/self/status | grep CapEff";
    let said = site.ok(&[
        "run",
        "--rm",
        "-T",
        "--env-from-file",
        "vars",
        "-e",
        "TYPED=typed",
        "-v",
        "./vars:/mnt/vars:ro",
        "--cap-drop",
        "ALL",
        "-l",
        "a=b",
        "web",
        "sh",
        "-c",
        script,
    ]);
    assert!(said.contains("it's here typed\nFROM_FILE=it's here"), "{said}");
    assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    assert_eq!(ids(site, "store").len(), 1);
    assert_eq!(site.ok(&["ps", "--services"]), "store\n");

    let port = format!("127.0.0.1:{}:80", site.port);
    let id = site.ok(&["run", "-d", "--rm", "-p", &port, "--name", &format!("{}-lone", site.project), "web"]);
    let id = id.lines().next().unwrap().to_owned();
    assert_eq!(id.len(), 64, "{id}");
    until("its port is published", || crate::harness::page_of(site.port, "/hostname").is_ok());
    site.engine("POST", &format!("/containers/{id}/kill"));
    until("it is removed", || !site.engine("GET", "/containers/json?all=1").contains(&id));
}

fn images_are_named_pulled_built_and_removed_as_asked(site: &mut Site) {
    std::fs::write(
        site.directory.path().join("Dockerfile"),
        "FROM mainstay-test/busybox:1\nARG WORD=none\nRUN echo $WORD > /word\nCMD [\"sleep\", \"1000\"]\n",
    )
    .unwrap();
    site.compose("services:\n  made: { build: ., stop_signal: SIGKILL }\n");
    site.ok(&["build", "--build-arg", "WORD=first", "--no-cache"]);
    site.ok(&["up"]);
    assert_eq!(site.ok(&["exec", "-T", "made", "cat", "/word"]).trim(), "first");
    assert!(site.fails(&["build", "--check"]).contains("docker-compose build --check"));
    let image = format!("{}-made", site.project);
    assert!(site.ok(&["--dry-run", "build"]).contains(&format!("would build {image}")));
    let listed = site.ok(&["images", "--format", "json"]);
    assert!(listed.contains(&format!("\"Repository\":\"{image}\"")), "{listed}");
    let said = site.ok(&["pull", "--ignore-buildable"]);
    assert!(said.contains("0 images pulled"), "{said}");
    site.ok(&["down", "--rmi", "local"]);
    assert!(site.engine("GET", &format!("/images/{image}/json")).contains("No such image"));
    // What has a name of its own is not local.
    site.compose(
        "services:\n  named: { image: mainstay-test/busybox:1, command: sleep 1000, stop_signal: SIGKILL }\n",
    );
    site.ok(&["up"]);
    site.ok(&["down", "--rmi", "local"]);
    assert!(site.engine("GET", "/images/mainstay-test/busybox:1/json").contains("sha256:"));
}

fn lists_are_printed_by_templates_as_compose_prints_them(site: &mut Site) {
    site.compose(STACK);
    site.ok(&["up"]);
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for template in ["{{.Name}}", "{{.Service}} {{.State}} {{.ExitCode}}", "{{json .Service}}", "{{.ID}}"] {
        let ours = sorted(site.ok(&["ps", "--format", template]));
        assert_eq!(ours, sorted(site.docker_compose(&["ps", "--format", template])), "{template}");
    }
    let table = site.ok(&["ps", "--format", "table {{.Service}}\t{{.State}}"]);
    assert!(table.starts_with("SERVICE") && table.lines().count() == 4, "{table}");
    let first: serde_json::Value =
        serde_json::from_str(site.ok(&["ps", "--format", "json"]).lines().next().unwrap()).unwrap();
    assert!(first["Name"].is_string() && first["State"] == "running", "{first}");
    assert!(site.fails(&["ps", "--format", "{{range .}}x{{end}}"]).contains("is not understood"));
    assert!(site.fails(&["ps", "--format", "{{.Nome}}"]).contains("RunningFor"));
    assert_eq!(site.ok(&["ps", "-q", "--status", "exited"]), "");
    assert_eq!(sorted(site.ok(&["ps", "--services", "--filter", "status=running"])), ["store", "web"]);
    assert_eq!(
        site.ok(&["stats", "--no-stream", "--format", "{{.Name}}", "store"]),
        site.docker_compose(&["stats", "--no-stream", "--format", "{{.Name}}", "store"])
    );
    let ours = site.ok(&["ls", "--filter", &format!("name={}", site.project), "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&ours).unwrap();
    assert_eq!(listed[0]["Name"], site.project.as_str());
    assert!(site.fails(&["ls", "--format", "{{.Name}}"]).contains("expected `table` or `json`"));
    assert!(site.ok(&["version", "-f", "json"]).starts_with("{\"version\":"));
    let logs = site.ok(&["logs", "--index", "2", "web"]);
    assert_eq!(logs.matches("serving").count(), 1, "{logs}");
}

crate::on_both_engines!(
    what_is_made_anew_is_what_was_asked_for,
    whoever_stays_gets_the_status_of_what_ended,
    a_one_off_copy_has_what_it_was_given,
    images_are_named_pulled_built_and_removed_as_asked,
    lists_are_printed_by_templates_as_compose_prints_them,
);
