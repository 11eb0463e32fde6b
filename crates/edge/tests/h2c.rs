//! Upstreams that speak HTTP/2: servers of the `h2` crate that do what servers may do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use mainstay_model::{RouteTimeouts, Scheme, UpstreamHealth};
use std::collections::HashSet;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::server::Server;
use support::{Edge, Table, WORKERS, table};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

type Asked = (Request<RecvStream>, SendResponse<Bytes>);

fn to(address: SocketAddr) -> Table {
    let mut table = table(1).route("*", "/", "u").target("u", "s/u.1", address);
    table.upstream("u").transport.scheme = Scheme::H2c;
    table
}

/// A server; `serve` gets each of its connections.
async fn server<F>(
    builder: Builder,
    serve: impl Fn(Connection<TcpStream, Bytes>) -> F + Clone + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let (builder, serve) = (builder.clone(), serve.clone());
            tokio::spawn(async move {
                if let Ok(connection) = builder.handshake(stream).await {
                    serve(connection).await;
                }
            });
        }
    });
    (address, accepted)
}

/// A server that answers every request by `answer`.
async fn answering<F>(
    builder: Builder,
    answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    server(builder, move |mut connection| {
        let answer = answer.clone();
        async move {
            while let Some(Ok(asked)) = connection.accept().await {
                tokio::spawn(answer(asked));
            }
        }
    })
    .await
}

async fn whole(body: &mut RecvStream) -> Result<Bytes, h2::Error> {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        all.extend_from_slice(&piece);
    }
    Ok(all.into())
}

/// Says what it was asked, with a length or without.
async fn echo((request, mut respond): Asked) {
    let (parts, mut body) = request.into_parts();
    let Ok(body) = whole(&mut body).await else { return };
    let mut text = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    text += &String::from_utf8_lossy(&body);
    let response = Response::builder();
    let response = match parts.uri.path() {
        "/with-length" => response.header("content-length", text.len()),
        _ => response,
    };
    let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
    stream.send_data(text.into(), true).unwrap();
}

async fn speak(edge: &Edge) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://a.test{path}")).header("te", "trailers").body(()).unwrap()
}

#[tokio::test]
async fn clients_of_http_1_are_answered_as_ever() {
    let (address, accepted) = answering(Builder::new(), echo).await;
    let edge = Edge::with(to(address)).await;
    let mut client = edge.client().await;
    for path in ["/", "/with-length"] {
        for (head, body) in [
            (format!("GET {path}?q HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nKeep-Alive: 1\r\n\r\n"), ""),
            (format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\n"), "body"),
            (
                format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"),
                "4\r\nbody\r\n0\r\n\r\n",
            ),
        ] {
            client.send(&head).await;
            client.send(body).await;
            let response = client.response().await;
            assert_eq!(response.status(), 200, "{head}");
            assert_eq!(response.value("content-length").is_some(), path == "/with-length");
            let seen = response.text();
            assert!(seen.starts_with(&head[..head.find(' ').unwrap()]), "{seen}");
            assert!(
                seen.contains(" http://a.test/") && seen.contains("x-forwarded-for: 127.0.0.1\n"),
                "{seen}"
            );
            // Trailers would be lost here, so none are asked for.
            assert!(
                !seen.contains("te:") && !seen.contains("keep-alive:") && !seen.contains("transfer-enc"),
                "{seen}"
            );
            assert_eq!(seen.ends_with("body"), !body.is_empty(), "{seen}");
        }
    }
    client.send("HEAD /with-length HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(client.response_without_body().await.status(), 200);
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    let old = String::from_utf8(client.rest().await).unwrap();
    assert!(old.starts_with("HTTP/1.1 200 ") && old.contains("\r\n\r\nGET http://a.test/\n"), "{old}");
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_requests_share_few_connections() {
    let (address, accepted) = answering(Builder::new(), echo).await;
    let edge = Edge::with(to(address)).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = edge.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        clients.push(client);
    }
    for mut client in clients {
        assert_eq!(client.response().await.status(), 200);
    }
    assert!(accepted.load(Ordering::SeqCst) <= WORKERS);
    // A server that takes one at a time gets more connections, and nobody is turned away.
    let mut one = Builder::new();
    one.max_concurrent_streams(1);
    let (address, _) = answering(one, echo).await;
    let edge = Edge::with(to(address)).await;
    let mut sender = speak(&edge).await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        sender = sender.ready().await.unwrap();
        answers.push(sender.send_request(post("/"), true).unwrap().0);
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn both_bodies_and_trailers_flow_at_once() {
    let (address, _) = answering(Builder::new(), |(request, mut respond): Asked| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let mut body = request.into_body();
        let mut answer = respond.send_response(Response::new(()), false).unwrap();
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            answer.send_data(piece, false).unwrap();
        }
        let mut trailers = body.trailers().await.unwrap().unwrap();
        trailers.insert("x-more", "m".parse().unwrap());
        answer.send_trailers(trailers).unwrap();
    })
    .await;
    let edge = Edge::with(to(address)).await;
    let mut sender = speak(&edge).await.ready().await.unwrap();
    let (answer, mut body) = sender.send_request(post("/"), false).unwrap();
    let mut answer = answer.await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        body.send_data(Bytes::from(word), false).unwrap();
        let mut back = Vec::new();
        while back.len() < word.len() {
            back.extend_from_slice(&answer.data().await.unwrap().unwrap());
        }
        assert_eq!(back, word.as_bytes());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-mine", "t".parse().unwrap());
    body.send_trailers(trailers).unwrap();
    assert!(answer.data().await.is_none());
    let trailers = answer.trailers().await.unwrap().unwrap();
    assert_eq!((trailers["x-mine"].to_str().unwrap(), trailers["x-more"].to_str().unwrap()), ("t", "m"));
}

#[tokio::test]
async fn a_response_that_is_only_trailers_stays_one() {
    let (address, _) = answering(Builder::new(), |(_, mut respond): Asked| async move {
        let response = Response::builder().header("grpc-status", "5").body(()).unwrap();
        respond.send_response(response, true).unwrap();
    })
    .await;
    let edge = Edge::with(to(address)).await;
    let mut sender = speak(&edge).await.ready().await.unwrap();
    let (answer, _) = sender.send_request(post("/"), true).unwrap();
    let answer = answer.await.unwrap();
    assert!(answer.headers()["grpc-status"] == "5" && !answer.headers().contains_key("content-length"));
    assert!(answer.body().is_end_stream());
}

#[tokio::test]
async fn resets_reach_the_other_side() {
    let (told, mut reset) = mpsc::unbounded_channel();
    let half_read = Arc::new(Notify::new());
    let read = half_read.clone();
    let (address, _) = answering(Builder::new(), move |(request, mut respond): Asked| {
        let (told, read) = (told.clone(), read.clone());
        async move {
            let mut answer = respond.send_response(Response::new(()), false).unwrap();
            answer.send_data("half".into(), false).unwrap();
            if request.uri().path() == "/reset" {
                let _body = request.into_body();
                read.notified().await;
                answer.send_reset(Reason::ENHANCE_YOUR_CALM);
            } else {
                told.send(poll_fn(|cx| answer.poll_reset(cx)).await.unwrap()).unwrap();
            }
        }
    })
    .await;
    let mut edge = Edge::with(to(address)).await;
    let sender = speak(&edge).await;
    let (answer, _) = sender.clone().ready().await.unwrap().send_request(post("/reset"), true).unwrap();
    let mut answer = answer.await.unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), "half");
    half_read.notify_one();
    let error = answer.data().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    let mut client = edge.client().await;
    client.send("GET /reset HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.until_contains("half").await;
    half_read.notify_one();
    let all = String::from_utf8(client.rest().await).unwrap();
    assert!(!all.ends_with("0\r\n\r\n"), "{all}");

    let (answer, mut body) = sender.clone().ready().await.unwrap().send_request(post("/"), false).unwrap();
    let answer = answer.await.unwrap();
    edge.until(|status| status.in_flight.get("s/u.1") == Some(&1)).await;
    body.send_reset(Reason::CANCEL);
    assert_eq!(reset.recv().await, Some(Reason::CANCEL));
    drop(answer);
    edge.until(|status| status.in_flight.is_empty()).await;
}

/// Sends requests with bodies, several at once, and has each answered once.
async fn nothing_is_lost(address: SocketAddr, seen: &AtomicUsize) {
    // Ten answers at once fit the window of a connection, whichever of them is read first.
    const COUNT: usize = 120;
    let edge = Edge::with(to(address)).await;
    let mut sender = speak(&edge).await;
    let mut answers = Vec::new();
    for number in 0..COUNT {
        sender = sender.ready().await.unwrap();
        let (answer, mut body) = sender.send_request(post(&format!("/{number}")), false).unwrap();
        body.send_data(vec![b'x'; 5_000].into(), true).unwrap();
        answers.push(answer);
        if number % 10 == 9 {
            for answer in answers.drain(..) {
                let mut answer = answer.await.unwrap();
                assert_eq!(answer.status(), 200);
                assert_eq!(whole(answer.body_mut()).await.unwrap().len(), 5_000);
            }
        }
    }
    assert_eq!(seen.load(Ordering::SeqCst), COUNT);
}

async fn give_back((request, mut respond): Asked, seen: Arc<AtomicUsize>) {
    let Ok(body) = whole(&mut request.into_body()).await else { return };
    seen.fetch_add(1, Ordering::SeqCst);
    let mut answer = respond.send_response(Response::new(()), false).unwrap();
    answer.send_data(body, true).unwrap();
}

#[tokio::test]
async fn a_connection_that_goes_away_loses_no_request() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    let (address, accepted) = server(Builder::new(), move |mut connection| {
        let seen = counter.clone();
        async move {
            let mut count = 0;
            while let Some(Ok(asked)) = connection.accept().await {
                count += 1;
                tokio::spawn(give_back(asked, seen.clone()));
                if count == 7 {
                    connection.graceful_shutdown();
                }
            }
        }
    })
    .await;
    nothing_is_lost(address, &seen).await;
    assert!(accepted.load(Ordering::SeqCst) > 5);
}

#[tokio::test]
async fn a_refused_request_is_put_again_whatever_it_is() {
    let seen = Arc::new(AtomicUsize::new(0));
    let (counter, known) = (seen.clone(), Arc::new(Mutex::new(HashSet::new())));
    let (address, _) = answering(Builder::new(), move |mut asked: Asked| {
        // Each, the first time it comes.
        let is_refused = known.lock().unwrap().insert(asked.0.uri().path().to_owned());
        let seen = counter.clone();
        async move {
            if is_refused {
                asked.1.send_reset(Reason::REFUSED_STREAM);
            } else {
                give_back(asked, seen).await;
            }
        }
    })
    .await;
    nothing_is_lost(address, &seen).await;
}

#[tokio::test]
async fn who_always_refuses_is_502() {
    let (address, _) = answering(Builder::new(), |mut asked: Asked| async move {
        asked.1.send_reset(Reason::REFUSED_STREAM);
    })
    .await;
    let edge = Edge::with(to(address)).await;
    let mut client = edge.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na").await;
    assert_eq!(client.response().await.status(), 502);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 502);
}

#[tokio::test]
async fn a_connection_that_is_silent_is_left_for_another() {
    let turn = Arc::new(AtomicUsize::new(0));
    let (address, accepted) = server(Builder::new(), move |mut connection| {
        let is_silent = turn.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let mut kept = Vec::new();
            while let Some(Ok(asked)) = connection.accept().await {
                if is_silent {
                    kept.push(asked);
                } else {
                    tokio::spawn(echo(asked));
                }
            }
        }
    })
    .await;
    let mut table = to(address);
    let timeouts = RouteTimeouts { read: Duration::from_millis(300), ..RouteTimeouts::default() };
    table.0.routes[0].policy.timeouts = timeouts;
    let edge = Edge::with(table).await;
    let mut client = edge.client().await;
    for status in [504, 200, 200] {
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.response().await.status(), status);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn clients_that_go_away_in_numbers_harm_nobody_else() {
    const COUNT: usize = 500;
    let (address, accepted) = answering(Builder::new(), |(_, mut respond): Asked| async move {
        let mut answer = respond.send_response(Response::new(()), false).unwrap();
        loop {
            answer.reserve_capacity(1_000);
            match poll_fn(|cx| answer.poll_capacity(cx)).await {
                Some(Ok(room)) => drop(answer.send_data(vec![b'x'; room].into(), false)),
                _ => return,
            }
        }
    })
    .await;
    let mut edge = Edge::with(to(address)).await;
    let sender = speak(&edge).await;
    let (answer, _) = sender.clone().ready().await.unwrap().send_request(post("/"), true).unwrap();
    let mut lasting = answer.await.unwrap().into_body();
    for _ in 0..COUNT {
        let mut client = edge.client().await;
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.until_contains("xxx").await;
    }
    edge.until(|status| status.in_flight.get("s/u.1") == Some(&1)).await;
    for _ in 0..100 {
        let piece = lasting.data().await.unwrap().unwrap();
        lasting.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert!(accepted.load(Ordering::SeqCst) <= WORKERS);
}

#[tokio::test]
async fn nginx_is_asked_and_says_goodbye_when_it_likes() {
    let server = Server::nginx_listening(
        "http2",
        "keepalive_requests 5;",
        "location / { return 200 $server_protocol; }",
    )
    .await;
    let mut table = to(server.address);
    table.upstream("u").health = Some(UpstreamHealth {
        path: "/".into(),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
    });
    let edge = Edge::with(table).await;
    let mut clients = [edge.client().await, edge.client().await, edge.client().await];
    for _ in 0..20 {
        for client in &mut clients {
            client
                .send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                .await;
        }
        for client in &mut clients {
            assert_eq!(client.response().await.text(), "HTTP/2.0");
        }
    }
}

#[tokio::test]
async fn its_health_is_asked_for_in_its_own_protocol() {
    let (well, _) = answering(Builder::new(), echo).await;
    let (ill, _) = answering(Builder::new(), |(request, mut respond): Asked| async move {
        let status = if request.uri().path() == "/health" { 503 } else { 418 };
        respond.send_response(Response::builder().status(status).body(()).unwrap(), true).unwrap();
    })
    .await;
    let mut table = to(ill).target("u", "s/u.2", well);
    table.upstream("u").health = Some(UpstreamHealth {
        path: "/health".into(),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
    });
    let edge = Edge::with(table).await;
    // Requests go to both until the first answer is there, then to one.
    let mut in_a_row = 0;
    while in_a_row < 20 {
        let is_well = edge.get("x", "/").await.status() == 200;
        in_a_row = if is_well { in_a_row + 1 } else { 0 };
    }
}

#[tokio::test]
async fn one_that_does_not_speak_it_is_502() {
    let edge = Edge::with(to(support::echo("b").await)).await;
    assert_eq!(edge.get("x", "/").await.status(), 502);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edge = Edge::with(to(nobody)).await;
    assert_eq!(edge.get("x", "/").await.status(), 502);
}
