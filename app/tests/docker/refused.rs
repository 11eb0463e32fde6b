//! What cannot be done gives one clear error and changes nothing.

use crate::harness::Site;

fn nothing_was_made(site: &Site) {
    assert_eq!(site.docker_compose(&["ps", "-aq"]).trim(), "");
}

fn an_image_that_does_not_exist_is_named(site: &mut Site) {
    site.compose("services:\n  web:\n    image: 127.0.0.1:1/no/such:image\n");
    let text = site.fails(&["up"]);
    assert!(text.contains("127.0.0.1:1/no/such:image") && text.contains("A0203"), "{text}");
    nothing_was_made(site);
}

fn a_build_that_fails_shows_its_last_lines(site: &mut Site) {
    let file = "FROM mainstay-test/busybox:1\nRUN echo the compiler is missing && exit 5\n";
    std::fs::write(site.directory.path().join("Dockerfile"), file).unwrap();
    site.compose("services:\n  web:\n    build: .\n");
    let text = site.fails(&["up"]);
    assert!(text.contains("the compiler is missing") && text.contains("A0204"), "{text}");
    nothing_was_made(site);
}

fn a_port_of_another_program_is_named_with_its_holder(site: &mut Site) {
    let _holder = std::net::TcpListener::bind(("127.0.0.1", site.port)).unwrap();
    let ports = "ports: [\"127.0.0.1:@port@:80\"]";
    site.compose(&format!(
        "services:\n  web:\n    image: mainstay-test/busybox:1\n    command: sleep 60\n    {ports}\n"
    ));
    let text = site.fails(&["up"]);
    assert!(
        text.contains(&site.port.to_string()) && text.contains(&std::process::id().to_string()),
        "{text}"
    );
    nothing_was_made(site);
}

crate::on_both_engines!(
    an_image_that_does_not_exist_is_named,
    a_build_that_fails_shows_its_last_lines,
    a_port_of_another_program_is_named_with_its_holder,
);

#[test]
fn an_engine_that_is_not_there_is_named() {
    let mut site = Site::new("unix:///nonexistent/docker.sock".into(), "mst-app-unreachable".into());
    site.start_agent();
    site.compose("services:\n  web:\n    image: mainstay-test/busybox:1\n");
    let text = site.fails(&["up"]);
    assert!(text.contains("/nonexistent/docker.sock") && text.contains("A0201"), "{text}");
}
