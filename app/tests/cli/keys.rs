//! Keys that only root may read are served by an edge that is somebody else.

use crate::sandbox::{Sandbox, eventually, free_port};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

/// Somebody without rights, on every Debian.
const SOMEBODY: &str = "nobody";

/// A new certificate with its key, readable for root alone.
fn make(sandbox: &Sandbox) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "30",
    ]);
    openssl.args(["-subj", "/CN=one.test", "-addext", "subjectAltName=DNS:one.test"]);
    openssl.args(["-keyout", "new.key", "-out", "new.pem"]).current_dir(sandbox.path());
    assert!(openssl.output().unwrap().status.success());
    for (new, name) in [("new.key", "one.key"), ("new.pem", "one.pem")] {
        let path = sandbox.path().join(new);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(path, sandbox.path().join(name)).unwrap();
    }
}

/// What is served to whoever trusts the certificate that is in the file now.
fn served(sandbox: &Sandbox, port: u16) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--cacert", "one.pem", "--resolve", &format!("one.test:{port}:127.0.0.1")]);
    let ran = curl.arg(format!("https://one.test:{port}/")).current_dir(sandbox.path()).output().unwrap();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn keys_that_are_roots_alone_are_served_and_followed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can become somebody else: nothing was tried");
        return;
    }
    let (http, https) = (free_port(), free_port());
    let sandbox = Sandbox::new(&format!(
        "name: test\n\
         services:\n\
         \x20 web: {{ x-mainstay: {{ routes: [{{ host: one.test }}], static: {{ root: ./dist }} }} }}\n\
         x-mainstay:\n\
         \x20 edge:\n\
         \x20   listen: {{ http: '127.0.0.1:{http}', https: '127.0.0.1:{https}' }}\n\
         \x20   tls: {{ cert: ./one.pem, key: ./one.key }}\n"
    ));
    // The edge's user has to pass through, as it does through /var/lib.
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(sandbox.path().join("dist")).unwrap();
    sandbox.write("dist/index.html", "hello");
    fs::set_permissions(sandbox.path().join("dist"), fs::Permissions::from_mode(0o700)).unwrap();
    make(&sandbox);
    let mut agent = sandbox.command(&["agent", "--edge-user", SOMEBODY]).spawn().unwrap();
    eventually("an agent", || !sandbox.run(&["--json", "version"]).json()["agent"].is_null());
    sandbox.run(&["up"]).ok();
    assert_eq!(served(&sandbox, https), "hello");

    let edge = sandbox.run(&["--json", "version"]).ok().json()["agent"]["edge_pid"].as_u64().unwrap();
    let owner = fs::metadata(format!("/proc/{edge}")).unwrap().uid();
    let (root, copy) =
        (fs::metadata(sandbox.path().join("one.key")).unwrap(), sandbox.path().join("state/keys"));
    assert_ne!(owner, root.uid());
    assert_eq!((root.mode() & 0o777, fs::metadata(&copy).unwrap().uid()), (0o600, root.uid()));

    make(&sandbox);
    eventually("the new certificate", || served(&sandbox, https) == "hello");
    sandbox.run(&["down"]).ok();
    eventually("no copies", || fs::read_dir(&copy).unwrap().next().is_none());
    drop(sandbox);
    agent.wait().unwrap();
}
