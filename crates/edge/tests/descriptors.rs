//! What an edge with few file descriptors gives them to. In a process of its own, for the bound is the process's.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use rustix::process::{Resource, Rlimit, setrlimit};
use support::{Client, Edge, backend, table};

/// As many systems give a program.
const DESCRIPTORS: u64 = 1024;
/// Each has four descriptors here, where both ends of both connections are; with two more for each there would be none left
/// but for a few.
const BODIES: usize = 150;

fn pipes() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count()
}

/// It used to have a pipe for each body until there was no descriptor left for a new connection, and looked ten times a
/// second whether there was one.
#[tokio::test]
async fn bodies_that_do_not_end_leave_descriptors_to_others() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) }).unwrap();
    let instance = backend(|mut client: Client| async move {
        while let Some(head) = client.try_head().await {
            if head.contains("/slow") {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx").await;
                client.more().await;
                return;
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let edge = Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", instance)).await;
    let before = pipes();
    let mut slow = Vec::new();
    for _ in 0..BODIES {
        let mut client = edge.client().await;
        client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.until_contains("\r\n\r\nx").await;
        slow.push(client);
    }
    let taken = pipes() - before;
    assert!(taken > 0 && taken as u64 <= DESCRIPTORS / 8, "{taken}");
    assert_eq!(edge.get("x", "/").await.text(), "ok");
}
