//! The hostile requests in front of servers people use: nginx, hyper, Gunicorn, uvicorn, Go and Node. None may see a request
//! otherwise than the edge does, and nobody else may ever get an answer that was meant for one of these.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use support::cases::{Case, cases, statuses};
use support::server::Server;
use support::{Client, Edge, table};
use tokio::io::AsyncWriteExt;

/// One of the servers that are looked at.
struct Peer {
    name: &'static str,
    address: SocketAddr,
    /// hyper runs in this process.
    _server: Option<Server>,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/servers")
}

impl Peer {
    fn of(name: &'static str, server: Server) -> Self {
        Self { name, address: server.address, _server: Some(server) }
    }

    async fn nginx() -> Self {
        let locations = "location = /count { stub_status; } \
                         location / { return 200 \"0 $request_method $request_uri $http_host \\n\"; }";
        Self::of("nginx", Server::nginx("merge_slashes off;", locations).await)
    }

    async fn gunicorn() -> Self {
        let server = Server::start("gunicorn", |command, directory, address| {
            command.args([
                "--bind",
                &address.to_string(),
                "--workers",
                "1",
                "--threads",
                "8",
                "--keep-alive",
                "75",
            ]);
            command
                .arg("--worker-tmp-dir")
                .arg(directory.path())
                .arg("--chdir")
                .arg(sources())
                .arg("echo:app");
            command.env("PYTHONDONTWRITEBYTECODE", "1");
        });
        Self::of("Gunicorn", server.await)
    }

    async fn uvicorn() -> Self {
        let server = Server::start("uvicorn", |command, _, address| {
            command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
            command.args(["--timeout-keep-alive", "75", "--app-dir"]).arg(sources()).arg("echo:asgi");
            command.env("PYTHONDONTWRITEBYTECODE", "1");
        });
        Self::of("uvicorn", server.await)
    }

    async fn go() -> Self {
        let server = Server::start("echo-go", |command, _, address| {
            command.arg(address.to_string());
        });
        Self::of("Go", server.await)
    }

    async fn node() -> Self {
        let server = Server::start("node", |command, _, address| {
            command.arg(sources().join("echo.js")).arg(address.port().to_string());
        });
        Self::of("Node", server.await)
    }

    async fn hyper() -> Self {
        Self { name: "hyper", address: support::hyper::echo().await, _server: None }
    }

    /// Requests it has seen, this one included.
    async fn count(&self) -> usize {
        let mut client = Client::connect(self.address).await;
        client.send("GET /count HTTP/1.1\r\nHost: count\r\nConnection: close\r\n\r\n").await;
        let text = String::from_utf8(client.response().await.body).unwrap();
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
        // nginx says: active connections, accepted, handled, requests.
        let number = if self.name == "nginx" { numbers.nth(3) } else { numbers.next() };
        number.unwrap_or_else(|| panic!("{}: {text:?}", self.name))
    }
}

/// What one case came to: the statuses of all answers, and what the server told of the request.
async fn outcome(edge: &Edge, pieces: &[&[u8]]) -> (Vec<u16>, String) {
    let mut client = edge.client().await;
    for piece in pieces {
        client.send(piece).await;
        // Nothing depends on the pieces arriving one by one; it only makes that likely.
        tokio::task::yield_now().await;
    }
    let _ = client.stream.shutdown().await;
    let answer = client.rest().await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let told = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let told = told.split_once(' ').map_or("", |(_count, told)| told).trim_end().to_owned();
    (statuses(&answer), told)
}

/// Wherever one token ends and another begins.
fn delimiters(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let is_one = |byte: &u8| b"\r\n:;,= ".contains(byte);
    (1..bytes.len()).filter(move |at| is_one(&bytes[at - 1]))
}

/// Somebody else, on a connection of their own, who must always be answered about what they asked for.
struct Neighbour {
    client: Client,
    asked: usize,
}

impl Neighbour {
    async fn asks(&mut self, after: &str) {
        self.asked += 1;
        let path = format!("/neighbour/{}", self.asked);
        self.client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let response = self.client.response().await;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status(), 200, "{after}: {body}");
        assert_eq!(body.split(' ').nth(2), Some(path.as_str()), "{after}: a stranger's answer: {body}");
    }
}

/// Long cases are long lines; where they are cut does not matter.
const LONGEST: usize = 300;

async fn examine(server: Peer, told: &mut BTreeMap<String, (&'static str, String)>) {
    let routes = table(1)
        .route("a.test", "/", "u")
        .route("a.test", "/admin/", "u")
        .route("[::1]", "/", "u")
        .target("u", "s/u.1", server.address);
    let edge = Edge::with(routes).await;
    let mut neighbour = Neighbour { client: edge.client().await, asked: 0 };
    for Case { name, status, bytes } in cases() {
        let cuts: Vec<usize> = delimiters(&bytes).filter(|_| bytes.len() <= LONGEST).chain([0]).collect();
        let own = own_answer(server.name, &name);
        let (before, asked) = (server.count().await, neighbour.asked);
        for cut in &cuts {
            let what = format!("{} in front of {}, cut at {cut}", name, server.name);
            let pieces = [&bytes[..*cut], &bytes[*cut..]];
            let pieces: Vec<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
            let (statuses, seen) = outcome(&edge, &pieces).await;
            // nginx answers without a look at the body, perhaps before the rest of it turns out wrong.
            let early = server.name == "nginx" && name.starts_with("body:") && statuses == [200];
            assert!(early || statuses == [own.unwrap_or(status)], "{what}: {statuses:?} {seen}");
            neighbour.asks(&what).await;
            if status == 200 && own.is_none() {
                same_for_all(&name, server.name, seen, told);
            }
        }
        let seen = server.count().await - before - 1 - (neighbour.asked - asked);
        match status {
            _ if own.is_some() => {}
            200 => assert_eq!(seen, cuts.len(), "{name}: requests seen by {}", server.name),
            // A body that turns out wrong ends a request that has begun.
            _ if name.starts_with("body:") => {
                assert!(seen <= cuts.len(), "{name}: {} saw {seen}", server.name)
            }
            _ => assert_eq!(seen, 0, "{name}: {} saw something", server.name),
        }
    }
}

/// What a server answers before any program of its user is asked: to `OPTIONS *` Go answers for itself as a whole, and nginx
/// knows no such target.
fn own_answer(server: &str, case: &str) -> Option<u16> {
    match (server, case) {
        ("Go", "asterisk with options") => Some(200),
        ("nginx", "asterisk with options") => Some(400),
        _ => None,
    }
}

/// Every server tells the same of a request; nginx reads no bodies.
fn same_for_all(
    case: &str,
    server: &'static str,
    seen: String,
    told: &mut BTreeMap<String, (&'static str, String)>,
) {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (first, known) = told.entry(case.to_owned()).or_insert_with(|| (server, seen.clone()));
    let heads = if server == "nginx" { 3 } else { usize::MAX };
    let [a, b] = [&*known, &seen].map(|text| words(text).into_iter().take(heads).collect::<Vec<_>>());
    assert_eq!(a, b, "{case}: {first} and {server} do not see the same");
}

#[tokio::test]
async fn no_server_sees_a_request_otherwise_than_the_edge() {
    let mut told = BTreeMap::new();
    examine(Peer::hyper().await, &mut told).await;
    examine(Peer::go().await, &mut told).await;
    examine(Peer::node().await, &mut told).await;
    examine(Peer::uvicorn().await, &mut told).await;
    examine(Peer::gunicorn().await, &mut told).await;
    examine(Peer::nginx().await, &mut told).await;
}
