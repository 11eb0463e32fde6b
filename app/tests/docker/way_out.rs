//! A stack comes up in the order that its file wants, and Compose can take it over.

use crate::harness::Site;

const STACK: &str = r#"services:
  store:
    image: mainstay-test/busybox:1
    command: sh -c 'sleep 1; touch /tmp/ready; sleep 600'
    stop_signal: SIGKILL
    healthcheck: { test: [CMD, test, -f, /tmp/ready], interval: 30s }
  migrate:
    image: mainstay-test/busybox:1
    command: echo migrated
    depends_on: { store: { condition: service_healthy } }
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www'
    stop_signal: SIGKILL
    ports: ["127.0.0.1:@port@:80"]
    depends_on:
      migrate: { condition: service_completed_successfully }
      store: { condition: service_started }
"#;

fn dependencies_start_in_order_and_compose_sees_and_ends_them(site: &mut Site) {
    site.compose(STACK);
    let text = site.ok(&["up"]);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no `{what}` in {text}"));
    assert!(
        at("store.1.1 ready") < at("create migrate.1.1:")
            && at("migrate.1.1 exited (0)") < at("create web.1.1:")
    );
    assert_eq!(site.page().unwrap(), "hello");
    let seen = site.docker_compose(&["ps", "-a", "--format", "{{.Service}} {{.State}}"]);
    for line in ["migrate exited", "store running", "web running"] {
        assert!(seen.contains(line), "{seen}");
    }
    assert!(site.docker_compose(&["logs", "migrate"]).contains("migrated"));
    assert!(site.ok(&["logs", "migrate"]).contains("migrated"));
    assert!(site.ok(&["exec", "-T", "web", "cat", "/www/index.html"]).contains("hello"));
    assert!(site.ok(&["run", "--rm", "--no-deps", "-T", "web", "echo", "forty-two"]).contains("forty-two"));
    assert!(site.ok(&["up"]).contains("nothing to do"));
    site.docker_compose(&["down", "-v"]);
    assert_eq!(site.docker_compose(&["ps", "-aq"]).trim(), "");
    site.ok(&["down", "-v"]);
    assert!(site.page().is_err(), "the port is given back");
}

crate::on_both_engines!(dependencies_start_in_order_and_compose_sees_and_ends_them);
