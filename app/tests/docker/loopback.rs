//! An Engine whose bridges this host cannot reach, as with rootless Docker and Docker Desktop: what it runs is reached by
//! ports published on loopback.
//!
//! Any Engine behind TCP is taken for one: nothing says that its bridges are this host's.

use crate::harness::{Site, Visitor, docker_host, page};
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

const STACK: &str = r#"services:
  web:
    image: mainstay-test/busybox:1
    command: sh -c 'mkdir -p /www; echo @version@ > /www/index.html; exec httpd -f -p 8080 -h /www'
    stop_signal: SIGKILL
    ports: ["127.0.0.1:@port@:8080"]
    x-mainstay: { ready: http /, routes: [{ host: '*', path: / }] }
"#;

/// The address of a door that leads to the Engine's socket for as long as the test runs.
fn door(socket: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = socket.trim_start_matches("unix://").to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect(&socket).unwrap();
            let (from_client, to_engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || up(from_client, to_engine));
            std::thread::spawn(move || down(engine, client));
        }
    });
    format!("tcp://{address}")
}

fn up(mut from: TcpStream, mut to: UnixStream) {
    let _ended = io::copy(&mut from, &mut to);
    let _ended = to.shutdown(Shutdown::Write);
}

fn down(mut from: UnixStream, mut to: TcpStream) {
    let _ended = io::copy(&mut from, &mut to);
    let _ended = to.shutdown(Shutdown::Write);
}

fn redeployed_without_a_gap(engine: &str) {
    let project = format!("mst-app-{}-loopback", engine.to_lowercase());
    let mut site = Site::new(door(&docker_host(engine)), project);
    site.start_agent();
    site.compose(&STACK.replace("@version@", "one"));
    site.ok(&["up"]);
    let published = site.docker_compose(&["ps", "--format", "{{.Ports}}"]);
    assert!(published.contains("127.0.0.1:") && published.contains("->8080/tcp"), "{published}");
    let (visitor, guest) = (Visitor::of(site.port), Visitor::of(site.http));
    site.compose(&STACK.replace("@version@", "two"));
    site.ok(&["up"]);
    assert_eq!(page(site.http).unwrap(), "two");
    for answers in [visitor.answers(), guest.answers()] {
        assert!(answers.iter().any(|a| a == "one"));
    }
}

#[test]
fn on_debian() {
    redeployed_without_a_gap("DEBIAN");
}

#[test]
fn on_the_newest() {
    redeployed_without_a_gap("NEWEST");
}
