//! Bad input gives one clear error and changes nothing: not even a state directory is made.

use crate::sandbox::{Ran, Sandbox};

fn refused(stack: &str) -> Ran {
    let sandbox = Sandbox::new(stack);
    let ran = sandbox.run(&["up"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.err.contains("nothing was changed"), "{}", ran.err);
    assert!(!sandbox.path().join("state").exists());
    ran
}

#[test]
fn an_unknown_key_is_shown_at_its_place_with_the_right_one() {
    let ran = refused("services:\n  api:\n    image: x\n    enviroment: {}\n");
    assert!(ran.err.contains("error[C0401]"), "{}", ran.err);
    assert!(ran.err.contains("compose.yaml:4:5"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `environment`?"), "{}", ran.err);
}

#[test]
fn a_missing_variable_says_what_the_file_says() {
    let ran = refused("services:\n  api:\n    image: x:${TAG:?choose a tag}\n");
    assert!(ran.err.contains("C0202") && ran.err.contains("choose a tag"), "{}", ran.err);
}

#[test]
fn a_cycle_is_an_error() {
    let ran = refused("services:\n  a: { image: x, depends_on: [b] }\n  b: { image: x, depends_on: [a] }\n");
    assert!(ran.err.contains("C0602"), "{}", ran.err);
}

#[test]
fn no_file_is_an_error_that_says_what_to_do() {
    let sandbox = Sandbox::new("");
    std::fs::remove_file(sandbox.path().join("compose.yaml")).unwrap();
    let ran = sandbox.run(&["up"]);
    assert_eq!(ran.status, 3);
    assert!(ran.err.contains("C0001") && ran.err.contains("-f"), "{}", ran.err);
}

#[test]
fn findings_are_there_for_programs() {
    let sandbox = Sandbox::new("services:\n  api:\n    imag: x\n");
    let ran = sandbox.run(&["--json", "up"]);
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["exit"], 3);
    let finding = &error["error"]["findings"][0];
    assert_eq!(finding["code"], "C0401");
    assert_eq!(finding["at"]["line"], 3);
    assert_eq!(finding["at"]["column"], 5);
    assert_eq!(finding["path"], "services.api.imag");
}

#[test]
fn a_state_directory_that_cannot_be_is_an_error() {
    let sandbox = Sandbox::new("services:\n  a: { command: [sleep, '9'] }\n");
    sandbox.write("file", "");
    let ran = sandbox.run(&["--state-dir", "file/below", "up"]);
    assert_eq!(ran.status, 8, "{ran:?}");
    assert!(ran.err.contains("X0001") && ran.err.contains("--state-dir"), "{}", ran.err);
}

#[test]
fn without_an_agent_there_is_nothing_to_look_at() {
    let sandbox = Sandbox::new("services:\n  a: { command: [sleep, '9'] }\n");
    let ran = sandbox.run(&["ps"]);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(ran.err.contains("X0004") && ran.err.contains("mainstay up"), "{}", ran.err);
}

#[test]
fn times_that_are_none_are_refused() {
    let ran = Sandbox::new("").run(&["-p", "test", "logs", "--since", "soon"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.err.contains("X0009"), "{}", ran.err);
}
