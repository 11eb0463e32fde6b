//! HTTP/2 towards clients: the same path as HTTP/1.1, seen through a client of the `h2` crate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::{Request, Response, StatusCode};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;
use support::tls::{Authority, connect};
use support::{Client, Edge, backend, echo, replying, table};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

type Sender = SendRequest<Bytes>;

async fn to(backend: SocketAddr) -> Edge {
    Edge::with(table(1).route("a.test", "/", "u").target("u", "s/u.1", backend)).await
}

/// A client over a stream that speaks HTTP/2 from the first byte.
async fn speak<S>(stream: S) -> (Sender, JoinHandle<Result<(), h2::Error>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new().handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn client(edge: &Edge) -> Sender {
    speak(TcpStream::connect(edge.address).await.unwrap()).await.0
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a.test{path}")).body(()).unwrap()
}

async fn ask(sender: &mut Sender, request: Request<()>) -> (Response<RecvStream>, Bytes) {
    let mut sender_ready = sender.clone().ready().await.unwrap();
    let (answer, _) = sender_ready.send_request(request, true).unwrap();
    let mut answer = answer.await.unwrap();
    let body = whole(answer.body_mut()).await.unwrap();
    (answer, body)
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

#[tokio::test]
async fn the_service_sees_a_request_like_any_other() {
    let edge = to(echo("b").await).await;
    let mut sender = client(&edge).await;
    let request = Request::get("http://a.test/x?y=1")
        .header("cookie", "a=1")
        .header("x-forwarded-for", "6.6.6.6")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, body) = ask(&mut sender, request).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("date"));
    let seen = String::from_utf8(body.to_vec()).unwrap();
    assert!(seen.starts_with("b\nGET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n"), "{seen}");
    assert!(seen.contains("cookie: a=1; b=2\r\n"), "{seen}");
    assert!(seen.contains("X-Forwarded-For: 127.0.0.1\r\n") && !seen.contains("6.6.6.6"), "{seen}");
    assert!(!seen.to_lowercase().contains("te:"), "{seen}");
}

#[tokio::test]
async fn it_is_chosen_by_alpn_and_the_scheme_is_told() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let address = edge.another_listener();
    let files = authority.issue(edge.dir.path(), "a", &["a.test"]);
    let next = table(1).route("a.test", "/", "u").target("u", "s/u.1", echo("b").await);
    edge.apply(next.https(address).certificate(&files)).await;
    let config = authority.client(&["h2", "http/1.1"], &[&rustls::version::TLS13]);
    let secure = connect(&config, address, "a.test").await.unwrap();
    assert_eq!(secure.stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, _) = speak(secure.stream).await;
    let (_, body) = ask(&mut sender, Request::get("https://a.test/").body(()).unwrap()).await;
    let seen = String::from_utf8(body.to_vec()).unwrap();
    assert!(seen.contains("X-Forwarded-Proto: https"), "{seen}");
}

#[tokio::test]
async fn the_edges_own_answers_come_in_its_form() {
    let edge = to(echo("b").await).await;
    let mut sender = client(&edge).await;
    let (answer, body) = ask(&mut sender, Request::get("http://stranger.test/").body(()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(!answer.headers().contains_key("connection") && body.starts_with(b"<!doctype html>"));
    let (answer, body) = ask(&mut sender, Request::head("http://stranger.test/").body(()).unwrap()).await;
    assert_eq!((answer.status(), body.len()), (StatusCode::MISDIRECTED_REQUEST, 0));
    // The connection is none the worse for it.
    assert_eq!(ask(&mut sender, get("/")).await.0.status(), 200);
}

#[tokio::test]
async fn what_the_two_forms_say_must_agree() {
    let edge = to(echo("b").await).await;
    let mut sender = client(&edge).await;
    for (name, value, status) in [("host", "b.test", 400), ("host", "A.test", 200), ("expect", "x", 417)] {
        let request = Request::get("http://a.test/").header(name, value).body(()).unwrap();
        assert_eq!(ask(&mut sender, request).await.0.status(), status, "{name}: {value}");
    }
    let request = Request::builder().method("TRACE").uri("http://a.test/").body(()).unwrap();
    assert_eq!(ask(&mut sender, request).await.0.status(), 405);
    assert_eq!(ask(&mut sender, get("/a/../b")).await.0.status(), 400);
    let long = Request::get("http://a.test/").header("x", "y".repeat(9000)).body(()).unwrap();
    assert_eq!(ask(&mut sender, long).await.0.status(), 431);
}

#[tokio::test]
async fn bodies_pass_both_ways_with_and_without_a_length() {
    let address = backend(|mut client| async move {
        while let Some(request) = client.try_request().await {
            let how = request.value("content-length").map_or("chunked", |_| "length");
            let head = format!("HTTP/1.1 200 OK\r\nX-How: {how}\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(head).await;
            for piece in request.body.chunks(50_000) {
                client.send(format!("{:x}\r\n", piece.len())).await;
                client.send(piece).await;
                client.send("\r\n").await;
            }
            client.send("0\r\n\r\n").await;
        }
    })
    .await;
    let edge = to(address).await;
    let mut sender = client(&edge).await;
    let body: Bytes = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (length, how) in [(None, "chunked"), (Some(body.len()), "length")] {
        let mut request = Request::put("http://a.test/");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let mut ready = sender.clone().ready().await.unwrap();
        let (answer, mut upload) = ready.send_request(request.body(()).unwrap(), false).unwrap();
        let uploading = async {
            let mut left = body.clone();
            while !left.is_empty() {
                upload.reserve_capacity(left.len());
                let Some(room) = poll_fn(|cx| upload.poll_capacity(cx)).await else { return };
                let room = room.unwrap();
                upload.send_data(left.split_to(room.min(left.len())), left.is_empty()).unwrap();
            }
        };
        let downloading = async {
            let mut answer = answer.await.unwrap();
            let how = answer.headers()["x-how"].to_str().unwrap().to_owned();
            (how, whole(answer.body_mut()).await.unwrap())
        };
        let ((), (seen, echoed)) = tokio::join!(uploading, downloading);
        assert_eq!(seen, how);
        assert!(echoed == body);
    }
    assert_eq!(ask(&mut sender, get("/")).await.0.status(), 200);
}

#[tokio::test]
async fn requests_of_a_connection_do_not_wait_for_each_other() {
    let address = backend(|mut client: Client| async move {
        while let Some(request) = client.try_request().await {
            if request.head.starts_with("GET /slow") {
                client.rest().await;
                return;
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast").await;
        }
    })
    .await;
    let mut edge = to(address).await;
    let mut sender = client(&edge).await;
    let mut ready = sender.clone().ready().await.unwrap();
    let (slow, mut stream) = ready.send_request(get("/slow"), true).unwrap();
    edge.until(|status| status.in_flight.get("s/u.1") == Some(&1)).await;
    assert_eq!(ask(&mut sender, get("/fast")).await.1, "fast");
    // A cancelled request ends at the service too.
    stream.send_reset(Reason::CANCEL);
    drop(slow);
    edge.until(|status| status.in_flight.is_empty()).await;
}

/// How the connection of the next request ends for a backend that answers `GET /whole` and nothing else.
async fn how_it_ends(path: &'static str) -> std::io::Result<usize> {
    let (saw, mut seen) = tokio::sync::mpsc::channel(1);
    let address = backend(move |mut client: Client| {
        let saw = saw.clone();
        async move {
            let request = client.try_request().await.unwrap();
            if request.head.starts_with("GET /whole") {
                client.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
            }
            saw.send(client.stream.read(&mut [0; 1]).await).await.unwrap();
        }
    })
    .await;
    let mut edge = to(address).await;
    let mut ready = client(&edge).await.ready().await.unwrap();
    let (answer, mut stream) = ready.send_request(get(path), true).unwrap();
    if path == "/whole" {
        assert_eq!(answer.await.unwrap().status(), 200);
    } else {
        edge.until(|status| status.in_flight.get("s/u.1") == Some(&1)).await;
        stream.send_reset(Reason::CANCEL);
    }
    seen.recv().await.unwrap()
}

#[tokio::test]
async fn what_was_cancelled_leaves_no_port_behind() {
    assert_eq!(how_it_ends("/whole").await.unwrap(), 0, "closed in order");
    let reset = how_it_ends("/never").await.unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let edge =
        to(replying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true).await).await;
    let sender = client(&edge).await;
    let (answer, _) = sender.ready().await.unwrap().send_request(get("/"), true).unwrap();
    let outcome = async { whole(answer.await?.body_mut()).await };
    assert_eq!(outcome.await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn websockets_pass_through_streams() {
    let address = backend(|mut client: Client| async move {
        let head = client.try_head().await.unwrap().to_lowercase();
        assert!(head.starts_with("get /ws http/1.1") && head.contains("upgrade: websocket"), "{head}");
        assert!(head.contains("sec-websocket-key: "), "{head}");
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
            .await;
        client.give_back().await;
    })
    .await;
    let mut edge = to(address).await;
    let mut sender = client(&edge).await;
    // The first answer comes behind the settings that allow this.
    ask(&mut sender, Request::get("http://stranger.test/").body(()).unwrap()).await;
    let mut ready = sender.ready().await.unwrap();
    assert!(ready.is_extended_connect_protocol_enabled());
    let mut request = Request::builder().method("CONNECT").uri("http://a.test/ws").body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (answer, mut up) = ready.send_request(request, false).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("sec-websocket-accept"));
    let mut down = answer.into_body();
    for frame in ["one", "two"] {
        up.send_data(Bytes::from_static(frame.as_bytes()), false).unwrap();
        let seen = down.data().await.unwrap().unwrap();
        assert_eq!(seen, frame);
    }
    up.send_data(Bytes::new(), true).unwrap();
    assert!(whole(&mut down).await.unwrap().is_empty());
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn the_last_words_of_an_instance_arrive_though_it_listens_no_more() {
    let address = backend(|mut client: Client| async move {
        client.try_head().await.unwrap();
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        client.more().await;
        client.send("bye").await;
    })
    .await;
    let edge = to(address).await;
    let mut sender = client(&edge).await;
    ask(&mut sender, Request::get("http://stranger.test/").body(()).unwrap()).await;
    let mut request = Request::builder().method("CONNECT").uri("http://a.test/ws").body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (answer, mut up) = sender.ready().await.unwrap().send_request(request, false).unwrap();
    let mut down = answer.await.unwrap().into_body();
    // It is talked to until it is seen to have gone.
    let talking = tokio::spawn(async move {
        while up.send_data(Bytes::from_static(b"x"), false).is_ok() {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(whole(&mut down).await.unwrap(), "bye");
    talking.abort();
}

#[tokio::test]
async fn an_ending_edge_finishes_what_it_has_and_says_goodbye() {
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let address = backend(move |mut client: Client| {
        let begun = begun.clone();
        async move {
            while client.try_request().await.is_some() {
                let (go, went) = tokio::sync::oneshot::channel();
                begun.send(go).unwrap();
                went.await.unwrap();
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
            }
        }
    })
    .await;
    let mut edge = to(address).await;
    let (sender, connection) = speak(TcpStream::connect(edge.address).await.unwrap()).await;
    let (answer, _) = sender.ready().await.unwrap().send_request(get("/"), true).unwrap();
    let go = has_begun.recv().await.unwrap();
    edge.control.shutdown(Duration::from_secs(60)).await.unwrap();
    go.send(()).unwrap();
    assert_eq!(whole(answer.await.unwrap().body_mut()).await.unwrap(), "done");
    connection.await.unwrap().unwrap();
    // All connections have ended, so the edge does not wait for its grace to pass.
    edge.join();
}

#[tokio::test]
async fn opening_and_cancelling_is_not_put_up_with() {
    let address = backend(|mut client: Client| async move {
        client.rest().await;
    })
    .await;
    let mut edge = to(address).await;
    let mut client = Client::connect(edge.address).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    for stream in (1_u32..).step_by(2) {
        // HEADERS with END_STREAM and END_HEADERS: GET http / of a.test; then RST_STREAM with CANCEL.
        let mut frames = b"\0\0\x0b\x01\x05".to_vec();
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(b"\x82\x86\x84\x41\x06a.test");
        frames.extend_from_slice(b"\0\0\x04\x03\0");
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(b"\0\0\0\x08");
        if client.stream.write_all(&frames).await.is_err() {
            break;
        }
        assert!(stream < 200_000, "nobody objects");
    }
    edge.until(|status| status.in_flight.is_empty()).await;
}

/// Sends a thousand times a thousand of a frame, which must not be taken.
async fn flood(frame: &[u8]) {
    let edge = to(echo("b").await).await;
    let mut client = Client::connect(edge.address).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let many = frame.repeat(1000);
    for _ in 0..1000 {
        if client.stream.write_all(&many).await.is_err() {
            return;
        }
    }
    panic!("a million frames were taken");
}

#[tokio::test]
async fn a_flood_of_settings_ends_the_connection() {
    flood(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_flood_of_room_for_answers_that_nobody_sends_ends_the_connection() {
    flood(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1]).await;
}

#[tokio::test]
async fn the_preface_is_taken_only_where_a_connection_begins() {
    let edge = to(echo("b").await).await;
    let mut client = edge.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 200);
    assert!(client.response().await.status() >= 400);
}
