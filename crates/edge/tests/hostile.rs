//! Requests that try to be two things at once (`support/cases.rs`): each must be refused, whole or in pieces, and the instance
//! must see nothing of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::cases::{cases, statuses};
use support::{Client, Edge, backend, table};

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
    assert!(cases.len() >= 200, "{} cases", cases.len());
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
