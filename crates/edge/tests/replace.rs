//! One edge after another at the same addresses, while clients of every kind are at work: nothing is refused, nothing
//! fails, sessions are resumed, and WebSockets end by the grace of the edge that has them.
//!
//! `benches/replace/run` has it do more, with the processes of a built program; see there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]
#![allow(clippy::print_stdout, reason = "what was seen is asked for")]

mod support;

use mainstay_edge::control::Client as Control;
use mainstay_edge::{Config, run};
use mainstay_model::table::RouteTable;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::load::{Kind, Load};
use support::tls::Authority;
use support::{Client, Edge, WORKERS, backend, connect, table};

/// Answers between two replacements, of each kind.
const ANSWERS: u64 = 5;

/// One of the edges that follow each other.
enum Successor {
    Thread(JoinHandle<Result<(), mainstay_edge::Error>>),
    Process(Child),
}

impl Successor {
    /// Starts one in `dir` that has a control socket of its own and everything else in common with the others.
    fn start(dir: &Path, number: u64) -> Self {
        let (control, table) = (dir.join(format!("edge-{number}.sock")), dir.join("table.json"));
        match std::env::var_os("MAINSTAY_EDGE") {
            None => Self::Thread(std::thread::spawn(move || {
                run(Config { control, table, workers: WORKERS, user: None })
            })),
            Some(program) => {
                let mut command = Command::new(program);
                command.arg("edge").arg("--control").arg(control).arg("--table").arg(table);
                command.args(["--workers", &WORKERS.to_string()]);
                Self::Process(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
            }
        }
    }

    fn join(self) {
        match self {
            Self::Thread(thread) => thread.join().unwrap().unwrap(),
            Self::Process(mut child) => assert!(child.wait().unwrap().success()),
        }
    }
}

/// An instance that answers requests and echoes what comes after an upgrade.
async fn instance() -> SocketAddr {
    backend(|mut client: Client| async move {
        while let Some(request) = client.try_request().await {
            if !request.head.to_ascii_lowercase().contains("upgrade: websocket") {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                continue;
            }
            client
                .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
                .await;
            return client.give_back().await;
        }
    })
    .await
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_the_edge_under_load_loses_nothing() {
    let replacements = number("MAINSTAY_REPLACEMENTS", 5);
    let grace = Duration::from_secs(number("MAINSTAY_GRACE", 8));
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let https = edge.another_listener();
    let files = authority.issue(edge.dir.path(), "a", &["a.test"]);
    let routes = table(1).route("a.test", "/", "u").target("u", "s/u.1", instance().await);
    edge.apply(routes.https(https).certificate(&files)).await;
    let text = std::fs::read(edge.dir.path().join("table.json")).unwrap();
    let model: RouteTable = serde_json::from_slice(&text).unwrap();

    let load = Load::begin(&edge, https, &authority);
    let mut former: Vec<Successor> = Vec::new();
    let mut control: Option<Control> = None;
    let (mut gaps, begun) = (Vec::new(), Instant::now());
    for turn in 1..=replacements {
        load.answered_more(ANSWERS).await;
        let from = Instant::now();
        let old = control.as_mut().unwrap_or(&mut edge.control);
        let sockets = old.take_listeners().await.unwrap();
        former.push(Successor::start(edge.dir.path(), turn));
        let mut next = connect(&edge.dir.path().join(format!("edge-{turn}.sock"))).await;
        next.apply(&model, &sockets).await.unwrap();
        old.shutdown(grace).await.unwrap();
        gaps.push(from.elapsed());
        control = Some(next);
    }
    load.answered_more(ANSWERS).await;
    // The first edge of all, and then all but the last.
    edge.join();
    let last = former.pop();
    former.into_iter().for_each(Successor::join);
    load.answered_more(ANSWERS).await;
    let took = begun.elapsed();
    let seen = load.end().await;
    control.unwrap().shutdown(Duration::ZERO).await.unwrap();
    last.unwrap().join();

    gaps.sort();
    let mut lives = seen.told_to_go.lock().unwrap().clone();
    lives.sort();
    println!("{replacements} replacements in {took:.1?}, grace {grace:?}");
    println!("one took {:.1?} (median), {:.1?} at most", gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    for kind in Kind::ALL {
        println!("{:<16}{:>8} answered", format!("{kind:?}"), seen.count(kind));
    }
    let (full, resumed) = (seen.full.load(Ordering::Relaxed), seen.resumed.load(Ordering::Relaxed));
    println!("TLS: {full} full handshakes, {resumed} resumed");
    println!("WebSockets told to go: {}, lived {:.1?} to {:.1?}", lives.len(), lives.first(), lives.last());
    println!("failed: {}", seen.failures().len());

    assert_eq!(seen.failures(), Vec::<String>::new());
    // Of those who speak TLS, each has to introduce itself once.
    assert_eq!(full, 4);
    assert!(resumed > replacements);
    assert!(lives.len() >= 3, "a WebSocket of each kind has seen its edge end");
}
