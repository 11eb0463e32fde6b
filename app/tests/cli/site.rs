//! A site without a container, through its releases.

use crate::sandbox::{Sandbox, eventually, free_port};
use crate::served::ask;
use std::fs;

fn stack(port: u16) -> String {
    format!(
        "name: test\n\
         services:\n\
         \x20 web:\n\
         \x20   x-mainstay:\n\
         \x20     routes: [{{ host: '*', path: / }}]\n\
         \x20     static: {{ root: ./dist, spa: true, env: [GREETING] }}\n\
         x-mainstay: {{ edge: {{ listen: {{ http: '127.0.0.1:{port}' }} }} }}\n"
    )
}

/// Builds a version as bundlers do: what was there goes, then the new is written.
fn build(sandbox: &Sandbox, version: u32) {
    let _none_before = fs::remove_dir_all(sandbox.path().join("dist"));
    fs::create_dir_all(sandbox.path().join("dist/assets")).unwrap();
    sandbox.write("dist/index.html", &format!("page {version} ${{GREETING}}"));
    sandbox.write(&format!("dist/assets/app-{version}abc4567.js"), &format!("app {version}"));
    sandbox.write(&format!("dist/plain-{version}.txt"), "plain");
}

#[test]
fn a_page_loaded_before_a_deploy_finds_its_chunks_after_it_and_a_rollback_is_one() {
    let port = free_port();
    let sandbox = Sandbox::new(&stack(port));
    sandbox.write(".env", "GREETING=hello\n");
    let missing = sandbox.run(&["up"]);
    assert!(missing.status != 0 && missing.err.contains("there is no directory"), "{missing:?}");
    let text = |path: &str| ask(port, "x", path, "").text();
    let chunk = |version: u32| ask(port, "x", &format!("/assets/app-{version}abc4567.js"), "").status;

    build(&sandbox, 1);
    sandbox.run(&["up"]).ok();
    assert_eq!((text("/").as_str(), text("/assets/app-1abc4567.js").as_str()), ("page 1 hello", "app 1"));
    let seen = sandbox.run(&["ps", "--json"]).ok().json();
    let web = &seen["services"][0];
    assert_eq!((&web["name"], &web["note"], &web["runtime"]), (&"web".into(), &"files".into(), &().into()));
    let table = sandbox.run(&["ps"]).ok().out;
    assert!(table.contains("web") && table.contains(&format!("http://localhost:{port}/")), "{table}");
    assert!(sandbox.run(&["up"]).ok().err.contains("nothing to do"));

    // A build in place is nothing that anybody sees before it is deployed.
    build(&sandbox, 2);
    assert_eq!((text("/").as_str(), chunk(1), chunk(2)), ("page 1 hello", 200, 404));
    let planned = sandbox.run(&["--json", "plan"]).ok().json();
    assert_eq!(
        (&planned["steps"][0]["verb"], &planned["steps"][0]["subject"]),
        (&"serve".into(), &"web".into())
    );
    sandbox.run(&["up"]).ok();
    assert_eq!((text("/").as_str(), chunk(1), chunk(2)), ("page 2 hello", 200, 200));
    let plain = |version: u32| ask(port, "x", &format!("/plain-{version}.txt"), "").status;
    assert_eq!((plain(1), plain(2)), (404, 200), "only what a hash names answers for other releases");
    fs::remove_dir_all(sandbox.path().join("dist")).unwrap();
    assert_eq!((text("/").as_str(), chunk(2)), ("page 2 hello", 200));

    sandbox.run(&["rollback"]).ok();
    assert_eq!((text("/").as_str(), chunk(1), chunk(2), plain(1)), ("page 1 hello", 200, 200, 200));

    for version in 3..=5 {
        build(&sandbox, version);
        sandbox.run(&["up"]).ok();
    }
    assert_eq!(text("/"), "page 5 hello");
    // Others are taken away once the deploy is over.
    eventually("of three releases", || [1, 2, 3, 4, 5].map(chunk) == [404, 404, 200, 200, 200]);
    let gone = sandbox.run(&["rollback", "2"]);
    assert!(gone.status != 0 && gone.err.contains("no longer kept"), "{gone:?}");
    assert_eq!(text("/"), "page 5 hello");

    let kept = sandbox.path().join("state/sites/test");
    assert!(kept.is_dir());
    sandbox.run(&["down"]).ok();
    eventually("what was kept goes with the stack", || !kept.exists());
}

#[test]
fn a_directory_that_is_not_kept_is_served_as_it_is() {
    let port = free_port();
    let sandbox = Sandbox::new(&stack(port).replace("spa: true", "spa: true, keep: 0"));
    sandbox.write(".env", "GREETING=hello\n");
    build(&sandbox, 1);
    sandbox.run(&["up"]).ok();
    build(&sandbox, 2);
    assert_eq!(ask(port, "x", "/", "").text(), "page 2 hello");
    assert!(!sandbox.path().join("state/sites").exists());
}
