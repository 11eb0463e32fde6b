//! The way out: a stack becomes the Compose project that it was, and nothing of Mainstay is left.

use crate::harness::{Site, Visitor, page, until};

const STACK: &str = r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www'
    container_name: @project@-front
    stop_signal: SIGKILL
    restart: unless-stopped
    ports: ["127.0.0.1:@port@:8080"]
    labels: { version: "@version@" }
    depends_on: [store]
  store:
    image: mainstay-test/busybox:1
    command: sleep infinity
    stop_signal: SIGKILL
    restart: unless-stopped
    volumes: [data:/data]
volumes:
  data:
"#;

/// Ids of what runs, by `docker-compose ps`.
fn ids(site: &Site, service: &str) -> String {
    site.docker_compose(&["ps", "-q", "--no-trunc", service]).trim().to_owned()
}

fn a_stack_is_given_back_to_compose_and_nothing_is_left(site: &mut Site) {
    let stack = |version: &str| STACK.replace("@project@", &site.project).replace("@version@", version);
    // Twice, so that numbers and names are not what they were at first.
    for version in ["1", "2"] {
        site.compose(&stack(version));
        site.ok(&["up"]);
    }
    let store = ids(site, "store");
    let visitor = Visitor::of(site.port);
    let told = site.ok(&["eject"]);
    assert!(told.contains("nothing of Mainstay is left"), "{told}");
    until("the port is Docker's", || page(site.port).is_ok_and(|page| page == "hello"));
    let answers = visitor.all();
    let closed: Vec<_> =
        answers.iter().enumerate().filter(|(_, answer)| answer.is_err()).map(|(i, _)| i).collect();
    let at_once = closed.windows(2).all(|pair| pair[1] == pair[0] + 1);
    assert!(at_once, "the port was closed more than once: {closed:?} of {}", answers.len());
    assert_eq!(ids(site, "store"), store, "the store has no port and was left alone");
    let web = site.inspect(&ids(site, "web"));
    assert_eq!(web["Name"], format!("/{}-front", site.project));
    assert_eq!(web["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"], site.port.to_string());
    let labels = web["Config"]["Labels"].as_object().unwrap();
    assert!(
        !labels.keys().any(|key| key.starts_with("mainstay.") && !key.starts_with("mainstay.test")),
        "{labels:?}"
    );
    assert_eq!(labels["com.docker.compose.container-number"], "1");
    assert!(!site.state().exists(), "the state directory is still there");

    let before = [ids(site, "web"), ids(site, "store")];
    site.docker_compose(&["up", "-d"]);
    assert_eq!([ids(site, "web"), ids(site, "store")], before, "Compose made something anew");

    // And back again: nothing restarts.
    site.kill_agent();
    site.start_agent();
    site.ok(&["up"]);
    assert_eq!([ids(site, "web"), ids(site, "store")], before, "Mainstay made something anew");
}

fn what_compose_could_not_run_is_named_and_nothing_is_touched(site: &mut Site) {
    let two = STACK.replace("    container_name: @project@-front\n", "    deploy: { replicas: 2 }\n");
    site.compose(&two);
    site.ok(&["up"]);
    let before = ids(site, "web");
    let refused = site.fails(&["eject"]);
    assert!(refused.contains("A0312") && refused.contains("`web`"), "{refused}");
    assert_eq!(ids(site, "web"), before);
    assert_eq!(page(site.port).unwrap(), "hello");
    assert!(site.ok(&["ps"]).contains("2 services as wanted"));
}

crate::on_both_engines!(
    a_stack_is_given_back_to_compose_and_nothing_is_left,
    what_compose_could_not_run_is_named_and_nothing_is_touched,
);
