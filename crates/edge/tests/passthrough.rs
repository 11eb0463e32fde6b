//! TLS that is not the edge's: passed on by the name it asks for, on listeners of its own and beside TLS that is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use support::tls::{Authority, Instance, connect, instance};
use support::{Client, Edge, Table, in_ms, table};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Says its name, and then what it hears.
async fn named(authority: &Authority, name: &'static str) -> SocketAddr {
    instance(authority, name, move |mut client: Instance| async move {
        client.send(name).await;
        while client.more().await > 0 {
            let heard = std::mem::take(&mut client.buffer);
            client.send(heard).await;
        }
    })
    .await
}

async fn three(authority: &Authority) -> Table {
    table(1)
        .target("a", "s/a.1", named(authority, "a.test").await)
        .target("b", "s/b.1", named(authority, "x.b.test").await)
        .target("c", "s/c.1", named(authority, "any.test").await)
}

#[tokio::test]
async fn a_listener_passes_on_by_name_and_nobody_looks_inside() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let sni = edge.another_listener();
    let next = three(&authority).await.sni(sni);
    let next = next.passthrough(Some(sni), "a.test", "a").passthrough(Some(sni), "*.b.test", "b");
    edge.apply(next).await;
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let config = authority.client(&["some", "protocol"], versions);
        for name in ["a.test", "x.b.test"] {
            let mut client = connect(&config, sni, name).await.unwrap();
            assert_eq!(client.shown(), [name], "the handshake is with the instance");
            client.until_contains(name).await;
            client.send("hello").await;
            client.until_contains("hello").await;
        }
        // Nobody takes these.
        for name in ["b.test", "c.test", "127.0.0.1"] {
            assert!(connect(&config, sni, name).await.is_err(), "{name}");
        }
    }
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn what_no_name_fits_goes_where_all_else_goes() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let sni = edge.another_listener();
    let next = three(&authority).await.sni(sni);
    edge.apply(next.passthrough(Some(sni), "a.test", "a").passthrough(Some(sni), "*", "c")).await;
    let config = authority.client(&[], &[&rustls::version::TLS13]);
    assert_eq!(connect(&config, sni, "A.Test").await.unwrap().shown(), ["a.test"]);
    assert_eq!(connect(&config, sni, "any.test").await.unwrap().shown(), ["any.test"]);
}

/// A socket that sends a byte at a time.
struct Dripping(TcpStream);

impl AsyncRead for Dripping {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Dripping {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_hello_in_pieces_is_one() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let (sni, https) = (edge.another_listener(), edge.another_listener());
    let files = authority.issue(edge.dir.path(), "own", &["own.test"]);
    let next = three(&authority).await.sni(sni).https(https).certificate(&files);
    let next = next.passthrough(Some(sni), "a.test", "a").passthrough(None, "a.test", "a");
    edge.apply(next.route("own.test", "/", "c")).await;
    let config = authority.client(&[], &[&rustls::version::TLS13]);
    for (listener, name) in [(sni, "a.test"), (https, "a.test"), (https, "own.test")] {
        let stream = TcpStream::connect(listener).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let asked = ServerName::try_from(name).unwrap();
        let mut client = TlsConnector::from(config.clone()).connect(asked, Dripping(stream)).await.unwrap();
        if name == "a.test" {
            let mut text = [0; 6];
            client.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"a.test");
        }
    }
}

#[tokio::test]
async fn what_is_no_hello_or_too_large_is_passed_to_nobody() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let sni = edge.another_listener();
    edge.apply(three(&authority).await.sni(sni).passthrough(Some(sni), "*", "c")).await;
    // A handshake message of 60,000 bytes, in records.
    let mut large = vec![1, 0, 0xea, 0x60];
    large.resize(40_000, 7);
    let records: Vec<u8> = large
        .chunks(8_000)
        .flat_map(|piece| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[0x16, 3, 1], &length[..], piece].concat()
        })
        .collect();
    for bytes in [b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec(), records] {
        let mut client = Client::connect(sni).await;
        client.send(&bytes).await;
        // At most an alert.
        let said = client.rest().await;
        assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
    }
    edge.until(|status| status.in_flight.is_empty()).await;
}

#[tokio::test]
async fn beside_tls_that_is_ours_a_host_is_passed_on() {
    let authority = Authority::new();
    let mut edge = Edge::start().await;
    let https = edge.another_listener();
    let files = authority.issue(edge.dir.path(), "own", &["own.test", "own.b.test"]);
    let next = three(&authority).await.https(https).certificate(&files);
    let next = next.passthrough(None, "a.test", "a").passthrough(None, "*.b.test", "b");
    let next = next.route("own.test", "/", "own").route("own.b.test", "/", "own");
    edge.apply(next.target("own", "s/own.1", support::echo("own").await)).await;
    let config = authority.client(&["http/1.1"], &[&rustls::version::TLS13]);
    for name in ["a.test", "x.b.test"] {
        let mut client = connect(&config, https, name).await.unwrap();
        assert_eq!(client.shown(), [name]);
        client.until_contains(name).await;
    }
    // Routes of one's own go before a wildcard.
    for name in ["own.test", "own.b.test"] {
        let mut client = connect(&config, https, name).await.unwrap();
        assert_eq!(client.shown(), ["own.test", "own.b.test"]);
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).await;
        assert!(client.response().await.text().contains("X-Forwarded-Proto: https\r\n"));
    }
    let config = authority.client(&["h2"], &[&rustls::version::TLS13]);
    let client = connect(&config, https, "own.test").await.unwrap();
    assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn it_is_counted_and_ends_with_its_instances_grace() {
    let authority = Authority::new();
    let address = named(&authority, "a.test").await;
    let mut edge = Edge::start().await;
    let sni = edge.another_listener();
    let with = |version| table(version).sni(sni).passthrough(Some(sni), "*", "a");
    edge.apply(with(1).target("a", "s/a.1", address)).await;
    let config = authority.client(&[], &[&rustls::version::TLS13]);
    let mut client = connect(&config, sni, "a.test").await.unwrap();
    client.until_contains("a.test").await;
    assert_eq!(edge.status().await.in_flight.get("s/a.1"), Some(&1));
    edge.apply(with(2).draining("a", "s/a.1", address, in_ms(300))).await;
    // It goes on until then.
    client.send("still").await;
    client.until_contains("still").await;
    assert_eq!(client.more().await, 0);
    edge.until(|status| status.in_flight.is_empty()).await;
    let _ = client.stream.shutdown().await;
}
