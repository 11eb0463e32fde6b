//! A project that runs under Docker Compose is taken over as it is, and can be given back.

use crate::harness::{Site, Visitor, page, until};
use std::collections::BTreeMap;

const STACK: &str = r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'mkdir -p /www; echo @version@ > /www/index.html; exec httpd -f -p 8080 -h /www'
    stop_signal: SIGKILL
    restart: unless-stopped
    ports: ["127.0.0.1:@port@:8080"]
    healthcheck: { test: [CMD, wget, -qO-, "http://127.0.0.1:8080/"], interval: 1s }
    depends_on: { store: { condition: service_started } }
  store:
    image: mainstay-test/busybox:1
    command: sleep infinity
    stop_signal: SIGKILL
    restart: unless-stopped
    volumes: [data:/data]
    networks: { default: { aliases: [db] } }
  beside:
    image: mainstay-test/busybox:1
    command: sleep infinity
    stop_signal: SIGKILL
    network_mode: service:store
volumes:
  data:
"#;

/// When every container was started, by id.
fn running(site: &Site) -> BTreeMap<String, String> {
    let ids = site.docker_compose(&["ps", "-q"]);
    let started = |id: &str| site.inspect(id)["State"]["StartedAt"].as_str().unwrap().to_owned();
    ids.lines().map(|id| (id.to_owned(), started(id))).collect()
}

fn a_project_of_compose_is_taken_over_without_a_restart_and_given_back(site: &mut Site) {
    site.compose(&STACK.replace("@version@", "one"));
    site.docker_compose(&["up", "-d", "--wait"]);
    let before = running(site);
    assert_eq!(before.len(), 3);

    let plan = site.ok(&["plan"]);
    assert!(
        plan.contains("unchanged: beside, store, web") && plan.contains("taken over as they are"),
        "{plan}"
    );
    let visitor = Visitor::of(site.port);
    site.ok(&["up"]);
    assert_eq!(running(site), before, "something was restarted");
    assert!(site.ok(&["up"]).contains("nothing to do"));
    assert!(site.ok(&["ps"]).contains("3 services as wanted"));
    assert!(site.ok(&["exec", "-T", "web", "cat", "/www/index.html"]).contains("one"));
    assert!(visitor.answers().iter().all(|answer| answer == "one"));

    // Compose still sees it all as its own, and has nothing to do.
    assert!(site.docker_compose(&["logs", "--tail", "1"]).is_ascii());
    site.docker_compose(&["up", "-d"]);
    assert_eq!(running(site), before, "Compose made something anew");

    // The next release replaces what changed and nothing else; the port is the edge's from then on.
    site.compose(&STACK.replace("@version@", "two"));
    site.ok(&["up"]);
    assert_eq!(page(site.port).unwrap(), "two");
    let after = running(site);
    assert_eq!(before.iter().filter(|one| after.get(one.0) == Some(one.1)).count(), 2, "only `web` is new");
    site.docker_compose(&["up", "-d"]);
    assert_eq!(running(site), after, "Compose made something anew of what Mainstay made");
    site.docker_compose(&["down"]);
    until("Compose has removed it all", || site.containers() == Some(0));
}

crate::on_both_engines!(a_project_of_compose_is_taken_over_without_a_restart_and_given_back);
