//! The reference stack on each Engine: up, used as its users do, redeployed, rolled back, down.

use crate::harness::Site;
use std::path::PathBuf;
use std::process::Command;

const FILES: [&str; 6] = ["--env-file", ".env.test", "-f", "compose.yaml", "-f", "compose.test.yaml"];

/// One test for both, because the stack publishes ports of its own choice.
#[test]
fn posthub_comes_up_is_redeployed_and_rolled_back_on_both_engines() {
    for engine in ["DEBIAN", "NEWEST"] {
        life(crate::harness::docker_host(engine));
    }
}

fn life(docker_host: String) {
    let mut site = Site::new(docker_host, "posthub".into());
    site.start_agent();
    let edge = format!("http://127.0.0.1:{}", site.http);
    up(&site, "1.0.0", &["up"]);
    check(&edge);
    assert_eq!(version(&site), "1.0.0");
    up(&site, "2.0.0", &["up", "--no-deps", "api"]);
    assert_eq!(version(&site), "2.0.0");
    up(&site, "2.0.0", &["rollback"]);
    assert_eq!(version(&site), "1.0.0");
    up(&site, "1.0.0", &["down", "-v"]);
}

fn stack() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../stacks/posthub")
}

fn up(site: &Site, version: &str, words: &[&str]) {
    let mut command = site.command();
    command.args(FILES).args(words).current_dir(stack()).env("VERSION", version);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {text}\n{}", site.agent_log());
}

fn check(edge: &str) {
    let secret = ["--webhook-secret", "whsec_test_0123456789"];
    let output = Command::new(stack().join("check")).args(["--edge", edge]).args(secret).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Which release answers, by what it says itself.
fn version(site: &Site) -> String {
    let answer = crate::harness::page_of(site.http, "/api/v1/posts/").unwrap_or_else(|refused| refused);
    let line = answer.lines().find_map(|line| line.strip_prefix("X-PostHub-Version:"));
    line.map(|version| version.trim().to_owned()).unwrap_or(answer)
}
