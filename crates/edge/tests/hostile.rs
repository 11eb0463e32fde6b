//! Requests that try to be two things at once, from `data/hostile.txt`: each must be refused, whole or in
//! pieces, and the instance must see nothing of it.
//!
//! A case is a line `STATUS name` followed by lines of the request, up to a line `.`; in them `\r`, `\n`, `\0`, `\t`, `\\`
//! and `\xHH` are bytes, `{N*c}` is `c` N times, and line ends of the file do not count. Status 200 marks
//! requests that look odd but are valid: they must be answered by the instance.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Client, Edge, backend, table};

struct Case {
    name: String,
    status: u16,
    bytes: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("data/hostile.txt");
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases = Vec::new();
    while let Some(title) = lines.next() {
        let (status, name) = title.split_once(' ').expect("STATUS name");
        let body: String = lines.by_ref().take_while(|line| *line != ".").collect();
        let status = status.parse().expect(title);
        cases.push(Case { name: name.into(), status, bytes: unescape(&body) });
    }
    cases
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("\\x") {
            bytes.push(u8::from_str_radix(&rest[2..4], 16).unwrap());
            4
        } else if first == '\\' {
            bytes.push(match rest.as_bytes()[1] {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                b'\\' => b'\\',
                other => panic!("unknown escape {}", other as char),
            });
            2
        } else if let Some((count, unit)) = repetition(rest) {
            bytes.extend(unit.repeat(count).as_bytes());
            rest.find('}').unwrap() + 1
        } else {
            bytes.extend_from_slice(first.to_string().as_bytes());
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    bytes
}

/// `{N*text}` at the start.
fn repetition(text: &str) -> Option<(usize, String)> {
    let (count, unit) = text.strip_prefix('{')?.split_once('}')?.0.split_once('*')?;
    Some((count.parse().ok()?, String::from_utf8(unescape(unit)).ok()?))
}

/// An edge before an instance that counts the requests it sees; two routes, so that a path can mean either.
async fn counted() -> (Edge, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    let instance = backend(move |mut client: Client| {
        let counter = counter.clone();
        async move {
            if client.try_head().await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
                client.buffer.clear();
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            }
        }
    })
    .await;
    let routes = table(1)
        .route("a.test", "/", "u")
        .route("a.test", "/admin/", "admin")
        .route("[::1]", "/", "u")
        .target("u", "s/u.1", instance)
        .target("admin", "s/admin.1", instance);
    (Edge::with(routes).await, seen)
}

/// Status of the first answer, and how many final answers came.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let after = text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap_or(0));
    after.filter(|status| *status != 100).collect()
}

async fn outcome(edge: &Edge, pieces: &[&[u8]]) -> Vec<u16> {
    let mut client = edge.client().await;
    for piece in pieces {
        client.send(piece).await;
        // Nothing depends on the pieces arriving one by one; it only makes that likely.
        tokio::task::yield_now().await;
    }
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await;
    statuses(&client.rest().await)
}

#[tokio::test]
async fn every_case_is_answered_as_it_must_be() {
    let (edge, seen) = counted().await;
    let cases = cases();
    assert!(cases.len() >= 80, "{} cases", cases.len());
    for case in &cases {
        let before = seen.load(Ordering::SeqCst);
        let statuses = outcome(&edge, &[&case.bytes]).await;
        assert_eq!(statuses, [case.status], "{}", case.name);
        if case.status != 200 && !case.name.starts_with("body:") {
            assert_eq!(seen.load(Ordering::SeqCst), before, "{}: nothing reaches the instance", case.name);
        }
    }
}

#[tokio::test]
async fn cutting_a_case_anywhere_changes_nothing() {
    /// Long cases are long lines; where they are cut does not matter.
    const LONGEST: usize = 300;
    let (edge, seen) = counted().await;
    for case in cases().iter().filter(|case| case.bytes.len() <= LONGEST) {
        for cut in 1..case.bytes.len() {
            let before = seen.load(Ordering::SeqCst);
            let statuses = outcome(&edge, &[&case.bytes[..cut], &case.bytes[cut..]]).await;
            assert_eq!(statuses, [case.status], "{} cut at {cut}", case.name);
            if case.status != 200 && !case.name.starts_with("body:") {
                assert_eq!(seen.load(Ordering::SeqCst), before, "{} cut at {cut}", case.name);
            }
        }
    }
}

#[tokio::test]
async fn what_follows_a_refused_request_is_not_read_as_another() {
    let (edge, seen) = counted().await;
    let smuggled = "GET /admin/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for first in [
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "GET / HTTP/1.1\nHost: a.test\n\n",
        "POST /admin/../ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 40\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: unknown.test\r\nContent-Length: 40\r\n\r\n",
    ] {
        let statuses = outcome(&edge, &[format!("{first}{smuggled}").as_bytes()]).await;
        assert_eq!(statuses.len(), 1, "{first:?}: {statuses:?}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}
