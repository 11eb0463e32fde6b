//! What becomes of every key of a stack file, before anything is done.

use crate::sandbox::Sandbox;

const STACK: &str = "services:
  web:
    command: [sleep, '60']
    pull_refresh_after: 24h
    deploy: { endpoint_mode: vip, replicas: 1 }
";

#[test]
fn check_names_every_key_and_what_is_done_with_it() {
    let ran = Sandbox::new(STACK).run(&["check"]).ok();
    let line = |key: &str| ran.out.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    assert!(line("services.web.deploy.endpoint_mode").contains("compose.yaml:5:15"), "{}", ran.out);
    assert!(line("services.web.deploy.endpoint_mode").contains("ignored: "), "{}", ran.out);
    assert!(line("services.*.command").ends_with("honoured"), "{}", ran.out);
    assert!(line("services.*.deploy.replicas").ends_with("honoured"), "{}", ran.out);

    let json = Sandbox::new(STACK).run(&["--json", "check"]).ok().json();
    let keys = json["keys"].as_array().unwrap();
    assert_eq!(keys[0]["is"], "ignored");
    assert_eq!(keys[0]["at"]["line"], 4);
    assert_eq!(keys.last().unwrap()["is"], "honoured");
    assert_eq!(Sandbox::new(STACK).run(&["check", "--strict"]).status, 3);
}

#[test]
fn check_shows_the_keys_of_a_file_that_is_refused() {
    let stack =
        "services: { web: { image: a, configs: [c] } }\nconfigs: { c: { file: ./c, template_driver: x } }\n";
    let ran = Sandbox::new(stack).run(&["check"]);
    assert_eq!(ran.status, 3);
    assert!(ran.out.contains("configs.c.template_driver  compose.yaml:2:28  refused: "), "{}", ran.out);
    assert!(ran.err.contains("C0406"), "{}", ran.err);
}

#[test]
fn up_names_what_is_not_honoured_once_before_anything_is_done() {
    let sandbox = Sandbox::new(STACK);
    let ran = sandbox.run(&["up"]).ok();
    assert_eq!(ran.err.matches("services.web.deploy.endpoint_mode").count(), 1, "{}", ran.err);
    assert!(!ran.err.contains("honoured"), "{}", ran.err);
    let named = ran.err.find("pull_refresh_after").unwrap();
    let begun = ran.err.find("agent").or_else(|| ran.err.find("create")).unwrap_or(usize::MAX);
    assert!(named < begun, "{}", ran.err);
}
