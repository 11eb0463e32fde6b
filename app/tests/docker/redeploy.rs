//! Moving to a new release while somebody asks for the page all the time.

use crate::harness::{Site, Visitor, page, until};

/// A page that says which version it is, after `seconds`; `more` is added to its service.
fn stack(version: &str, seconds: &str, more: &str) -> String {
    format!(
        r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'sleep {seconds}; mkdir -p /www; echo {version} > /www/index.html; exec httpd -f -p 8080 -h /www'
    stop_signal: SIGKILL
    ports: ["127.0.0.1:@port@:8080"]
    healthcheck: {{ test: [CMD, wget, -qO-, "http://127.0.0.1:8080/"], interval: 1s, retries: 3, timeout: 2s }}
{more}
"#
    )
}

fn a_published_port_has_no_gap_and_the_container_keeps_its_name(site: &mut Site) {
    let name = format!("    container_name: {}-web", site.project);
    site.compose(&stack("one", "0", &name));
    site.ok(&["up"]);
    let visitor = Visitor::of(site.port);
    for version in ["two", "three"] {
        site.compose(&stack(version, "1", &name));
        site.ok(&["up"]);
        assert_eq!(site.page().unwrap(), version);
        let seen = site.docker_compose(&["ps", "--format", "{{.Name}}"]);
        assert_eq!(seen.trim(), format!("{}-web", site.project));
    }
    let answers = visitor.answers();
    assert!(["one", "two", "three"].iter().all(|v| answers.iter().any(|a| a == v)));
    let first = |version: &str| answers.iter().position(|a| a == version).unwrap();
    assert!(answers[first("three")..].iter().all(|a| a == "three"), "went back and forth");
}

/// A service that owns a volume cannot run twice; its route waits.
const SWAPPED: &str = "    volumes: [data:/data]\n    x-mainstay: { routes: [{ host: '*', path: /, port: 8080 }] }\nvolumes:\n  data:";

fn swapped(version: &str, seconds: &str) -> String {
    stack(version, seconds, SWAPPED).replace("    ports: [\"127.0.0.1:@port@:8080\"]\n", "")
}

fn a_service_with_a_volume_is_swapped_and_its_requests_are_held(site: &mut Site) {
    site.compose(&swapped("one", "0"));
    site.ok(&["up"]);
    let visitor = Visitor::of(site.http);
    site.compose(&swapped("two", "1"));
    let plan = site.ok(&["plan"]);
    assert!(plan.contains("data"), "the plan says why: {plan}");
    site.ok(&["up"]);
    let answers = visitor.answers();
    assert!(answers.iter().any(|a| a == "one") && answers.last().is_some_and(|a| a == "two"));
}

fn the_old_one_comes_back_when_the_new_one_of_a_swap_fails(site: &mut Site) {
    site.compose(&swapped("one", "0"));
    site.ok(&["up"]);
    let visitor = Visitor::of(site.http);
    site.compose(
        &swapped("two", "0").replace("exec httpd", "echo the disk is not there; exit 7; exec httpd"),
    );
    let text = site.fails(&["up"]);
    assert!(text.contains("the disk is not there"), "the log of who failed: {text}");
    assert!(visitor.answers().iter().all(|a| a == "one"));
    assert_eq!(page(site.http).unwrap(), "one");
}

fn a_release_job_that_fails_leaves_the_old_release_serving(site: &mut Site) {
    site.compose(&stack("one", "0", "    x-mainstay: { release: echo migrated }"));
    let text = site.ok(&["up"]);
    assert!(text.contains("migrated"), "{text}");
    let visitor = Visitor::of(site.port);
    site.compose(&stack("two", "0", "    x-mainstay: { release: 'sh -c \"echo no such column; exit 3\"' }"));
    let text = site.fails(&["up"]);
    assert!(text.contains("no such column") && text.contains("status 3"), "{text}");
    assert!(visitor.answers().iter().all(|a| a == "one"));
    let releases = site.ok(&["releases"]);
    assert!(releases.contains("serving") && releases.contains("failed"), "{releases}");
}

fn a_rollback_brings_back_the_release_before(site: &mut Site) {
    site.compose(&stack("one", "0", ""));
    site.ok(&["up"]);
    site.compose(&stack("two", "0", ""));
    site.ok(&["up"]);
    let visitor = Visitor::of(site.port);
    site.ok(&["rollback"]);
    until("the first release answers", || site.page().as_deref() == Ok("one"));
    visitor.answers();
}

crate::on_both_engines!(
    a_published_port_has_no_gap_and_the_container_keeps_its_name,
    a_service_with_a_volume_is_swapped_and_its_requests_are_held,
    the_old_one_comes_back_when_the_new_one_of_a_swap_fails,
    a_release_job_that_fails_leaves_the_old_release_serving,
    a_rollback_brings_back_the_release_before,
);
