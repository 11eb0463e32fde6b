//! Compose's commands on single containers, beside Compose's own where both must say the same.

use crate::harness::{Site, until};
use std::io::{Read, Write};
use std::process::Stdio;

const STACK: &str = r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'mkdir -p /www/deep; echo hello > /www/index.html; ln -s index.html /www/link; exec httpd -f -p 80 -h /www'
    stop_signal: SIGKILL
    ports: ["127.0.0.1:@port@:80"]
    volumes: ["data:/data"]
    deploy: { replicas: 2 }
  echo:
    image: mainstay-test/busybox:1
    command: cat
    stdin_open: true
    stop_signal: SIGKILL
  once:
    image: mainstay-test/busybox:1
    command: sh -c 'read line < /tmp/gate; exit 7'
    entrypoint: [sh, -c, 'mkfifo /tmp/gate; exec "$$@"', sh]
    restart: "no"
volumes:
  data:
"#;

fn up(site: &Site) {
    site.compose(STACK);
    site.ok(&["up"]);
}

fn files_go_in_and_out_as_with_docker_cp(site: &mut Site) {
    up(site);
    let here = site.directory.path();
    std::fs::create_dir_all(here.join("tree/sub")).unwrap();
    std::fs::write(here.join("tree/sub/file"), "one").unwrap();
    // A directory into one that exists, a file under another name, the contents of a directory.
    site.ok(&["cp", "tree", "web:/www/deep"]);
    assert_eq!(inside(site, "cat /www/deep/tree/sub/file"), "one");
    site.ok(&["cp", "tree/sub/file", "web:/www/other"]);
    assert_eq!(inside(site, "cat /www/other"), "one");
    site.ok(&["cp", "tree/.", "web:/www"]);
    assert_eq!(inside(site, "cat /www/sub/file"), "one");
    assert!(site.fails(&["cp", "tree/sub/file", "web:/nowhere/"]).contains("a directory that exists"));

    site.ok(&["cp", "web:/www/index.html", "page"]);
    assert_eq!(std::fs::read_to_string(here.join("page")).unwrap(), "hello\n");
    site.ok(&["cp", "web:/www", "tree"]);
    assert_eq!(std::fs::read_to_string(here.join("tree/www/index.html")).unwrap(), "hello\n");
    assert!(here.join("tree/www/link").is_symlink());
    site.ok(&["cp", "-L", "web:/www/link", "followed"]);
    assert_eq!(std::fs::read_to_string(here.join("followed")).unwrap(), "hello\n");
    site.ok(&["cp", "web:/www/.", "contents"]);
    assert!(here.join("contents/index.html").is_file());
    assert!(site.fails(&["cp", "web:/no/such", "x"]).contains("/no/such"));
    assert!(site.fails(&["cp", "web:/www", "echo:/tmp"]).contains("one is SERVICE:PATH"));

    // Through standard streams, and what Compose makes of the same.
    let ours = site.command().args(["cp", "web:/www/index.html", "-"]).output().unwrap().stdout;
    assert_eq!(files_of(&ours), files_of(&compose_output(site, &["cp", "web:/www/index.html", "-"])));
    let mut child = site.command().args(["cp", "-", "web:/tmp"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&ours).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(inside(site, "cat /tmp/index.html"), "hello");
    let all = site.command().args(["export", "web"]).output().unwrap().stdout;
    assert!(files_of(&all).iter().any(|(name, text)| name == "www/index.html" && text == b"hello\n"));
}

fn what_is_there_is_listed_as_compose_lists_it(site: &mut Site) {
    up(site);
    let port = site.port.to_string();
    assert_eq!(site.ok(&["port", "web", "80"]).trim(), format!("127.0.0.1:{port}"));
    assert!(site.fails(&["port", "web", "81"]).contains("a published port of the service"));
    let ids = |text: &str| {
        let mut ids: Vec<_> =
            text.split_whitespace().map(|id| id.trim_start_matches("sha256:").to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&site.ok(&["images", "-q"])), ids(&site.docker_compose(&["images", "-q"])));
    assert_eq!(site.ok(&["volumes", "-q"]), site.docker_compose(&["volumes", "-q"]));
    let top = site.ok(&["top", "web"]);
    assert!(top.starts_with("SERVICE") && top.matches("httpd -f -p 80").count() == 2, "{top}");
    let stats = site.ok(&["stats", "--no-stream", "web"]);
    assert!(stats.starts_with("NAME") && stats.lines().count() == 3, "{stats}");
    let id = site.ok(&["commit", "-m", "as it is", "web", &format!("mst/{}:1", site.project)]);
    assert!(id.trim().starts_with("sha256:"), "{id}");
}

fn instances_are_frozen_signalled_awaited_and_removed(site: &mut Site) {
    up(site);
    site.ok(&["pause", "web"]);
    assert!(site.docker_compose(&["ps", "web"]).contains("(Paused)"));
    site.ok(&["unpause", "web"]);
    until("the page is back", || site.page().is_ok_and(|page| page == "hello"));

    // Whoever waits is told how it ended, and ends so.
    let waiting = site.command().args(["wait", "once"]).stdout(Stdio::piped()).spawn().unwrap();
    // The container may be gone before this command is.
    site.command().args(["exec", "-T", "once", "sh", "-c", "echo > /tmp/gate"]).output().unwrap();
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!((waited.status.code(), String::from_utf8_lossy(&waited.stdout).trim()), (Some(7), "7"));

    site.ok(&["kill", "-s", "KILL", "echo"]);
    until("it is down", || site.docker_compose(&["ps", "-a", "echo"]).contains("Exited (137)"));
    assert!(site.fails(&["rm", "once"]).contains("--force"));
    site.ok(&["rm", "-f", "once", "echo"]);
    assert_eq!(site.docker_compose(&["ps", "-aq", "once"]).trim(), "");
    site.ok(&["rm", "-fs", "web"]);
    assert_eq!(site.docker_compose(&["ps", "-aq"]).trim(), "");
    site.ok(&["up"]);
    assert_eq!(site.page().unwrap(), "hello");
    site.ok(&["scale", "web=1"]);
    assert_eq!(site.docker_compose(&["ps", "-q", "web"]).lines().count(), 1);
}

fn what_is_created_is_there_and_started_by_command(site: &mut Site) {
    site.compose(STACK);
    site.ok(&["create"]);
    let states = site.docker_compose(&["ps", "-a", "--format", "{{.Service}} {{.State}}"]);
    let mut lines: Vec<_> = states.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["echo created", "once created", "web created", "web created"]);
    assert_eq!(site.docker_compose(&["ps", "-q"]).trim(), "");
    let made = site.docker_compose(&["ps", "-aq"]);
    site.ok(&["create"]);
    site.ok(&["up", "--no-start"]);
    assert_eq!(site.docker_compose(&["ps", "-aq"]), made, "made twice");
    site.docker_compose(&["create"]);
    assert_eq!(site.docker_compose(&["ps", "-aq"]), made, "Compose made it once more");

    site.ok(&["start", "web"]);
    until("the page is there", || site.page().is_ok_and(|page| page == "hello"));
    assert_eq!(site.docker_compose(&["ps", "-q", "echo"]).trim(), "");
    site.ok(&["create", "--force-recreate"]);
    let again = site.docker_compose(&["ps", "-aq"]);
    assert_eq!(again.lines().filter(|id| made.contains(id)).count(), 2, "what runs is left alone");
    site.ok(&["up"]);
    assert_eq!(site.docker_compose(&["ps", "-q"]).lines().count(), 4);
}

fn whoever_attaches_types_into_the_container(site: &mut Site) {
    up(site);
    let mut child = site.command();
    let mut child =
        child.args(["attach", "echo"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello in there\n").unwrap();
    let mut answer = [0; 15];
    child.stdout.take().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello in there\n");
    // Lets go, and leaves it running.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(site.docker_compose(&["ps", "echo"]).contains("Up"));
}

fn inside(site: &Site, script: &str) -> String {
    site.ok(&["exec", "-T", "web", "sh", "-c", script]).trim().to_owned()
}

fn compose_output(site: &Site, words: &[&str]) -> Vec<u8> {
    site.docker_compose_command(words).output().unwrap().stdout
}

/// Names and contents of an archive's files.
fn files_of(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        (entry.path().unwrap().display().to_string(), text)
    });
    entries.collect()
}

crate::on_both_engines!(
    files_go_in_and_out_as_with_docker_cp,
    what_is_there_is_listed_as_compose_lists_it,
    instances_are_frozen_signalled_awaited_and_removed,
    what_is_created_is_there_and_started_by_command,
    whoever_attaches_types_into_the_container,
);
