//! `push` and `pull` with a real registry, with and without a login, which `config.json` or a credential helper keeps.

use crate::harness::{Site, until};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

/// A registry of this test's own.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    /// With `login` only who is `me` with the password `s3cret` may use it.
    fn start(site: &Site, login: bool) -> Self {
        let here = site.directory.path();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: {address} }}\n",
            here.join("registry").display()
        );
        if login {
            let users = Command::new("htpasswd").args(["-Bbn", "me", "s3cret"]).output().unwrap().stdout;
            std::fs::write(here.join("users"), users).unwrap();
            config +=
                &format!("auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n", here.join("users").display());
        }
        std::fs::write(here.join("registry.yaml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(here.join("registry.yaml")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        until("the registry answers", || std::net::TcpStream::connect(&address).is_ok());
        Self { process, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn compose(site: &Site, registry: &Registry) {
    let here = site.directory.path();
    std::fs::create_dir_all(here.join("web")).unwrap();
    // A layer of its own, or it would be known from another test.
    let made = format!("FROM mainstay-test/busybox:1\nRUN echo {} > /made\n", registry.address);
    std::fs::write(here.join("web/Dockerfile"), made).unwrap();
    site.compose(&format!(
        "services:\n  web: {{ build: ./web, image: {}/web:1, command: sleep infinity, stop_signal: SIGKILL }}\n",
        registry.address
    ));
}

/// A stack that only pulls what the other one pushed.
fn compose_without_build(site: &Site, registry: &Registry) {
    site.compose(&format!(
        "services:\n  web: {{ image: {}/web:1, command: sleep infinity, stop_signal: SIGKILL }}\n",
        registry.address
    ));
}

fn forget_image(site: &Site, registry: &Registry) {
    site.engine("DELETE", &format!("/images/{}/web:1?force=true", registry.address));
    assert!(site.engine("GET", &format!("/images/{}/web:1/json", registry.address)).contains("message"));
}

/// Writes `config.json` where the agent looks for it.
fn log_in(site: &mut Site, config: &str) {
    let directory = site.directory.path().join("docker");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::File::create(directory.join("config.json")).unwrap().write_all(config.as_bytes()).unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    site.kill_agent();
    site.environment = vec![("DOCKER_CONFIG".into(), directory.display().to_string()), ("PATH".into(), path)];
    site.start_agent();
}

fn goes_there_and_back(site: &Site, registry: &Registry) {
    compose(site, registry);
    site.ok(&["build"]);
    site.ok(&["push"]);
    compose_without_build(site, registry);
    forget_image(site, registry);
    site.ok(&["pull"]);
    forget_image(site, registry);
    site.ok(&["up"]);
    let made = site.ok(&["exec", "-T", "web", "cat", "/made"]);
    assert_eq!(made.trim(), registry.address);
    site.ok(&["down"]);
    forget_image(site, registry);
}

fn without_a_login(site: &mut Site) {
    let registry = Registry::start(site, false);
    goes_there_and_back(site, &registry);
    site.compose(&format!("services:\n  web: {{ image: {}/none:1 }}\n", registry.address));
    let text = site.fails(&["pull"]);
    assert!(text.contains("none:1"), "{text}");
}

fn with_a_login_of_the_configuration(site: &mut Site) {
    let registry = Registry::start(site, true);
    compose(site, &registry);
    site.ok(&["build"]);
    let text = site.fails(&["push"]);
    assert!(text.contains("A0203"), "{text}");
    // `me:s3cret`
    log_in(site, &format!(r#"{{"auths":{{"{}":{{"auth":"bWU6czNjcmV0"}}}}}}"#, registry.address));
    goes_there_and_back(site, &registry);
    assert!(!site.agent_log().contains("s3cret") && !site.agent_log().contains("bWU6czNjcmV0"));
}

fn with_a_login_of_a_helper(site: &mut Site) {
    let registry = Registry::start(site, true);
    log_in(site, &format!(r#"{{"credHelpers":{{"{}":"drawer"}}}}"#, registry.address));
    let helper = site.directory.path().join("docker/docker-credential-drawer");
    let script = "#!/bin/sh\nread -r registry\n[ \"$1\" = get ] || exit 1\n\
                  echo \"{\\\"ServerURL\\\":\\\"$registry\\\",\\\"Username\\\":\\\"me\\\",\\\"Secret\\\":\\\"s3cret\\\"}\"\n";
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    goes_there_and_back(site, &registry);
}

crate::on_both_engines!(without_a_login, with_a_login_of_the_configuration, with_a_login_of_a_helper);
