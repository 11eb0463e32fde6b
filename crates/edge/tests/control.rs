//! Being told: tables, sockets, status, the end.

mod support;

use mainstay_edge::control::{Client as Control, ControlError};
use std::time::Duration;
use support::{Client, Edge, connect, control_path, echo, listener, start_in, table};

#[tokio::test]
async fn an_older_table_is_refused() {
    let mut edge = Edge::with(table(5).route("*", "/", "u").target("u", "s/u.1", echo("five").await)).await;
    let error = edge.try_apply(table(4)).await.unwrap_err();
    assert!(
        matches!(&error, ControlError::Refused(why) if why.contains("version 4 is older than version 5")),
        "{error}"
    );
    assert!(edge.get("x", "/").await.text().starts_with("five"));
    edge.apply(table(5).route("*", "/", "u").target("u", "s/u.1", echo("again").await)).await;
    assert!(edge.get("x", "/").await.text().starts_with("again"));
}

#[tokio::test]
async fn a_faulty_table_changes_nothing() {
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", echo("one").await)).await;
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    for (faulty, why) in [
        (table(2).route("*", "/", "nobody"), "names upstream `nobody`"),
        (table(2).tcp("127.0.0.1:9".parse().unwrap(), "nobody"), "names upstream `nobody`"),
        (table(2).route("*", "x", "u").empty_upstream("u"), "must start with `/`"),
        (table(2).target("u", "s/u.1", "nonsense"), "not an address"),
        (table(2).http(edge.address), "two listeners"),
        (table(2).http(taken), &format!("(pid {})", std::process::id())),
    ] {
        let error = edge.try_apply(faulty).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(edge.status().await.version, 1);
    assert!(edge.get("x", "/").await.text().starts_with("one"));
}

#[tokio::test]
async fn an_unwritable_disk_refuses_the_table() {
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", echo("one").await)).await;
    // A directory in the place of the temporary file: writing fails, also for root.
    std::fs::create_dir(edge.dir.path().join("table.tmp")).unwrap();
    let error = edge.try_apply(table(2)).await.unwrap_err().to_string();
    assert!(error.contains("cannot write") && error.contains("table.tmp"), "{error}");
    assert!(edge.get("x", "/").await.text().starts_with("one"));
}

#[tokio::test]
async fn listeners_survive_the_agent_and_move_to_another_edge() {
    let backend = echo("one").await;
    let routes = |version| table(version).route("*", "/", "u").target("u", "s/u.1", backend);
    let mut old = Edge::with(routes(1)).await;
    let address = old.address;
    let taken = old.control.take_listeners().await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].0, taken[0].1.len()), (address, support::WORKERS));

    // Connections made before, while and after the new edge takes over.
    let mut before = old.client().await;
    let dir = tempfile::tempdir().unwrap();
    let thread = start_in(dir.path());
    let mut control = connect(&control_path(dir.path())).await;
    control.apply(&routes(1).http(address).0, &taken).await.unwrap();
    drop(taken);
    let mut between = Client::connect(address).await;
    before.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(before.response().await.status(), 200);
    old.control.shutdown(Duration::from_secs(60)).await.unwrap();
    let mut after = Client::connect(address).await;
    for (which, client) in [("before", &mut before), ("between", &mut between), ("after", &mut after)] {
        client.send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let head = client.try_head().await;
        assert!(head.is_some_and(|head| head.contains(" 200 ")), "{which}");
        client.until_contains("GET /2").await;
        client.buffer.clear();
    }
    assert!(before.at_end().await, "the old edge says goodbye with its last answer");
    drop((before, between));
    old.join();
    assert!(!control_path(old.dir.path()).exists());
    after.send("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(after.response().await.status(), 200);
    control.shutdown(Duration::ZERO).await.unwrap();
    thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn it_starts_alone_from_the_table_on_disk() {
    let backend = echo("kept").await;
    let edge = Edge::with(table(9).route("*", "/", "u").target("u", "s/u.1", backend)).await;
    let address = edge.address;
    let dir = edge.end(Duration::ZERO).await;
    let thread = start_in(dir.path());
    let mut control = connect(&control_path(dir.path())).await;
    let status = control.status().await.unwrap();
    assert_eq!((status.version, status.pid), (9, std::process::id()));
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(client.response().await.text().starts_with("kept"));
    control.shutdown(Duration::ZERO).await.unwrap();
    thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_table_on_disk_whose_port_is_held_waits_for_the_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let (address, sockets) = listener();
    let routes = table(3).http(address).route("*", "/", "u").target("u", "s/u.1", echo("one").await);
    std::fs::write(dir.path().join("table.json"), serde_json::to_vec(&routes.0).unwrap()).unwrap();
    let thread = start_in(dir.path());
    let mut control = connect(&control_path(dir.path())).await;
    assert!(control.take_listeners().await.unwrap().is_empty());
    // Connections wait in the kernel meanwhile.
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    control.apply(&routes.0, &[(address, sockets)]).await.unwrap();
    assert!(client.response().await.text().starts_with("one"));
    control.shutdown(Duration::ZERO).await.unwrap();
    thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_damaged_table_on_disk_does_not_keep_it_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("table.json"), "{ half a").unwrap();
    let thread = start_in(dir.path());
    let mut control = connect(&control_path(dir.path())).await;
    assert_eq!(control.status().await.unwrap().version, 0);
    control.shutdown(Duration::ZERO).await.unwrap();
    thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn two_edges_do_not_share_a_control_socket() {
    let edge = Edge::start().await;
    let second = start_in(edge.dir.path()).join().unwrap();
    assert!(matches!(second, Err(mainstay_edge::Error::AlreadyRunning(_))));
    assert!(Control::connect(&control_path(edge.dir.path())).await.is_ok());
    let dir = edge.end(Duration::ZERO).await;
    assert!(matches!(Control::connect(&control_path(dir.path())).await, Err(ControlError::NoEdge { .. })));
}

#[tokio::test]
async fn a_listener_taken_out_of_the_table_is_closed() {
    let backend = echo("one").await;
    let mut edge = Edge::start().await;
    let second = edge.another_listener();
    let routes = |version| table(version).route("*", "/", "u").target("u", "s/u.1", backend);
    edge.apply(routes(1).http(second)).await;
    let mut client = Client::connect(second).await;
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 200);
    edge.apply(routes(2)).await;
    // Settled means closed.
    assert!(tokio::net::TcpStream::connect(second).await.is_err());
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 200, "connections that exist go on");
}

#[tokio::test]
async fn the_end_waits_for_what_is_under_way() {
    let mut edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", echo("one").await)).await;
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na").await;
    edge.until(|status| !status.in_flight.is_empty()).await;
    edge.control.shutdown(Duration::from_secs(60)).await.unwrap();
    client.send("b").await;
    let response = client.response().await;
    assert_eq!((response.status(), response.value("connection")), (200, Some("close")));
    assert!(client.at_end().await);
    drop(client);
    edge.join();
}
