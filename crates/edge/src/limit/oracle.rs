//! nginx as the judge: requests that arrive in a real nginx at recorded times are decided there and here alike.
//!
//! nginx says in its log when each request began, to the millisecond, and what it decided. Its own clock for limits has
//! steps of a few milliseconds, so a run counts only when no decision of ours depends on so little.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use super::*;
use mainstay_model::Rate;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How far nginx's clock for limits may be from the one of its log: its step (4 ms) and what is cut off of both.
const DOUBT: i64 = 6;

struct Nginx(Child, SocketAddr);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One `limit_req` of nginx and what it is here.
#[derive(Clone, Copy)]
struct Case {
    zone: &'static str,
    options: &'static str,
    rate: Rate,
}

const CASES: [Case; 8] = [
    case("10r/s", "burst=20 nodelay", 10_000, 20, 20),
    case("10r/s", "burst=20", 10_000, 20, 0),
    case("10r/s", "burst=12 delay=8", 10_000, 12, 8),
    case("5r/m", "burst=5", 83, 5, 0),
    case("5r/m", "burst=5 nodelay", 83, 5, 5),
    case("1r/s", "", 1000, 0, 0),
    case("50r/s", "burst=3 nodelay", 50_000, 3, 3),
    case("5r/s", "burst=5 nodelay", 5_000, 5, 5),
];

const fn case(zone: &'static str, options: &'static str, millis: u32, burst: u32, undelayed: u32) -> Case {
    Case { zone, options, rate: Rate { millis, burst, undelayed } }
}

/// Arrivals: how many at once, then how many milliseconds of silence.
const ARRIVALS: [&[(usize, u64)]; 3] = [
    &[(26, 370), (8, 930), (12, 0)],
    &[(1, 250), (1, 30), (2, 555), (7, 150), (9, 0)],
    &[(4, 150), (4, 650), (24, 0)],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Passed,
    Delayed,
    Rejected,
}

fn start(dir: &Path) -> Nginx {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let root = dir.display();
    let mut config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}} http {{\n\
         log_format decisions '$uri/$arg_k $msec $request_time $limit_req_status $arg_n';\n\
         limit_req_status 429; keepalive_requests 100000;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        config += &format!("{kind}_temp_path {root}/{kind};\n");
    }
    for (index, case) in CASES.iter().enumerate() {
        config += &format!("limit_req_zone $arg_k zone=z{index}:1m rate={};\n", case.zone);
    }
    config += &format!("server {{ listen {address}; access_log {root}/access.log decisions;\n");
    for (index, case) in CASES.iter().enumerate() {
        config +=
            &format!("location = /{index} {{ limit_req zone=z{index} {}; empty_gif; }}\n", case.options);
    }
    config += "location = /ready { access_log off; empty_gif; } } }";
    std::fs::write(dir.join("conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(dir.join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap_or_else(|error| panic!("nginx: {error}; run ./test"));
    let mut nginx = Nginx(child, address);
    while TcpStream::connect(address).is_err() {
        assert!(nginx.0.try_wait().unwrap().is_none(), "nginx ended");
        std::thread::yield_now();
    }
    nginx
}

/// Sends the arrivals of one case, each request on a connection of its own so that none waits for another.
fn send(nginx: &Nginx, index: usize, key: &str, arrivals: &[(usize, u64)]) -> usize {
    let mut sent = 0;
    let mut waiting = Vec::new();
    let mut next = Instant::now();
    for (count, silence) in arrivals {
        // The trace itself is made of time.
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        for _ in 0..*count {
            let mut stream = TcpStream::connect(nginx.1).unwrap();
            let line =
                format!("GET /{index}?k={key}&n={sent} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(line.as_bytes()).unwrap();
            waiting.push(stream);
            sent += 1;
        }
        next = Instant::now() + Duration::from_millis(*silence);
    }
    // One that is delayed for long is given up: nginx has decided by then, and logs it all the same.
    for mut stream in waiting {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    sent
}

/// When each request of a run began, and what nginx decided, in the order it decided.
fn recorded(dir: &Path, index: usize, key: &str, count: usize) -> Vec<(u64, Decision)> {
    loop {
        let log = std::fs::read_to_string(dir.join("access.log")).unwrap();
        let uri = format!("/{index}/{key}");
        let lines: Vec<Vec<&str>> = log
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|words| words.len() == 5 && words[0] == uri)
            .collect();
        if lines.len() < count {
            std::thread::yield_now();
            continue;
        }
        let millis = |text: &str| (text.parse::<f64>().unwrap() * 1000.0).round() as u64;
        let mut found: Vec<(usize, u64, Decision)> = lines
            .iter()
            .map(|words| {
                let decision = match words[3] {
                    "PASSED" => Decision::Passed,
                    "DELAYED" => Decision::Delayed,
                    "REJECTED" => Decision::Rejected,
                    other => panic!("{other}"),
                };
                (words[4].parse().unwrap(), millis(words[1]) - millis(words[2]), decision)
            })
            .collect();
        found.sort_unstable_by_key(|(number, ..)| *number);
        return found.into_iter().map(|(_, at, decision)| (at, decision)).collect();
    }
}

/// What we decide about requests at these times.
fn ours(rate: Rate, times: impl Iterator<Item = u64>) -> Vec<Decision> {
    let settings = Limit { kind: LimitKind::Rate(rate), key: LimitKey::Client, keys: 10 };
    let limit = [Arc::new(InForce::new("s/x", &settings, Arc::new(Zone::new(10))))];
    let decide = |at| match count(&limit, &[Some(1), None, None, None], at) {
        Ok(passed) if passed.delay > 0 => Decision::Delayed,
        Ok(_) => Decision::Passed,
        Err(_) => Decision::Rejected,
    };
    times.map(decide).collect()
}

/// Whether shifting every time by a little changes nothing.
fn is_beyond_doubt(rate: Rate, times: &[u64], decided: &[Decision]) -> bool {
    (0..40_u64).all(|round| {
        let shift = |place: usize| {
            let mixed = (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_mul(place as u64 + 7) >> 40;
            (mixed % (2 * DOUBT as u64 + 1)) as i64 - DOUBT
        };
        let mut last = 0;
        let shifted = times.iter().enumerate().map(|(place, at)| {
            last = at.saturating_add_signed(shift(place)).max(last);
            last
        });
        ours(rate, shifted) == decided
    })
}

#[test]
fn nginx_decides_alike() {
    let dir = tempfile::tempdir().unwrap();
    let nginx = start(dir.path());
    let (mut certain, mut doubtful) = (0, 0);
    let mut seen = [0_usize; 3];
    for (run, arrivals) in ARRIVALS.iter().enumerate() {
        let sent: Vec<usize> = std::thread::scope(|scope| {
            let nginx = &nginx;
            let threads: Vec<_> = (0..CASES.len())
                .map(|index| scope.spawn(move || send(nginx, index, &format!("k{run}"), arrivals)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (index, case) in CASES.iter().enumerate() {
            let found = recorded(dir.path(), index, &format!("k{run}"), sent[index]);
            let times: Vec<u64> = found.iter().map(|(at, _)| *at).collect();
            let theirs: Vec<Decision> = found.iter().map(|(_, decision)| *decision).collect();
            let decided = ours(case.rate, times.iter().copied());
            if !is_beyond_doubt(case.rate, &times, &decided) {
                doubtful += 1;
                continue;
            }
            assert_eq!(decided, theirs, "{} {} {times:?}", case.zone, case.options);
            certain += 1;
            for decision in theirs {
                seen[decision as usize] += 1;
            }
        }
    }
    println!(
        "{certain} traces decided alike, {doubtful} too close to call; {seen:?} passed, delayed, rejected"
    );
    assert!(certain > doubtful && seen.iter().all(|count| *count > 20), "{certain} {doubtful} {seen:?}");
}
