//! In front of servers people use: nginx and Python's http.server. A server that is not installed is skipped, and
//! that is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::{Edge, table};

/// A server process that ends with the test.
struct Server(Child, SocketAddr);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(program: &str, make: impl Fn(&mut Command, u16)) -> Option<Server> {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(program);
    make(&mut command, address.port());
    let child = match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: {program}: {error}");
            return None;
        }
    };
    let mut server = Server(child, address);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(server.0.try_wait().unwrap().is_none(), "{program} ended");
        tokio::task::yield_now().await;
    }
    Some(server)
}

fn content(dir: &Path) -> Vec<u8> {
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 249) as u8).collect();
    std::fs::write(dir.join("big"), &bytes).unwrap();
    std::fs::write(dir.join("small.txt"), "small").unwrap();
    bytes
}

async fn in_front_of(server: &Server) -> Edge {
    Edge::with(table(1).route("*", "/", "u").target("u", "s/u.1", server.1)).await
}

#[tokio::test]
async fn nginx() {
    let dir = tempfile::tempdir().unwrap();
    let big = content(dir.path());
    let root = dir.path().display().to_string();
    let server = start("nginx", |command, port| {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind};"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/log; events {{}} http {{ access_log off; \
             {temporary} server {{ listen 127.0.0.1:{port}; root {root}; location /r {{ return 301 /small.txt; }} }} }}"
        );
        std::fs::write(dir.path().join("conf"), config).unwrap();
        command.arg("-c").arg(dir.path().join("conf"));
    })
    .await;
    let Some(server) = server else { return };
    let edge = in_front_of(&server).await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(client.response().await.body == big);
        client.send("GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n").await;
        let part = client.response().await;
        assert_eq!((part.status(), &part.body[..]), (206, &big[5..10]));
        client.send("HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response_without_body().await.value("content-length"), Some("1000000"));
        client.send("GET /r HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let location = client.response().await;
        let location = location.value("location").unwrap_or_default();
        assert!(
            location.starts_with("http://x:"),
            "it sees the client's host, and adds its own port: {location}"
        );
        client.send("POST /small.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 405);
        client.send("GET /none HTTP/1.1\r\nHost: x\r\nIf-None-Match: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 404);
    }
}

#[tokio::test]
async fn pythons_http_server() {
    let dir = tempfile::tempdir().unwrap();
    let big = content(dir.path());
    let server = start("python3", |command, port| {
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(dir.path());
    })
    .await;
    let Some(server) = server else { return };
    let edge = in_front_of(&server).await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(client.response().await.body == big);
        client.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 404);
        client.send("POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(client.response().await.status(), 501);
    }
}
