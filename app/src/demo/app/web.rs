//! The web application: a page, `/healthz`, a stream of ticks. Version 3 is broken on purpose and never gets well.

use crate::error::Error;
use crate::exit::Exit;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream as Stream};
use tokio::signal::unix::{SignalKind, signal};

/// The page; `{version}` and the like are filled in.
const PAGE: &str = include_str!("page.html");
/// Longest head of a request; the demo's own are a tenth of it, browsers' a quarter.
const LONGEST_HEAD: usize = 16 * 1024;
/// Time between two ticks of the stream.
const TICK: Duration = Duration::from_secs(1);
/// The version that never gets well.
const BROKEN: &str = "3";

/// What an instance knows of itself.
#[derive(Debug)]
struct Web {
    version: String,
    served: AtomicU64,
}

impl Web {
    fn is_broken(&self) -> bool {
        self.version == BROKEN
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// `PORT` is missing or taken.
pub fn run() -> Result<Exit, Error> {
    let port = port()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let failed = |source| Error::Process { what: format!("cannot serve on port {port}"), source };
    runtime.map_err(failed)?.block_on(serve(port)).map_err(failed)?;
    Ok(Exit::Done)
}

fn port() -> Result<u16, Error> {
    let port = std::env::var("PORT").unwrap_or_default();
    port.parse().map_err(|_| Error::Argument { value: port, expected: "a port; set PORT" })
}

async fn serve(port: u16) -> io::Result<()> {
    let version = std::env::var("VERSION").unwrap_or_else(|_| "1".into());
    let web = Rc::new(Web { version, served: AtomicU64::new(0) });
    say(&format!("version {} serves on port {port}", web.version));
    if web.is_broken() {
        complain();
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let mut end = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let web = web.clone();
                tokio::task::spawn_local(async move {
                    // The client has gone.
                    let _gone = answer_all(stream, &web).await;
                });
            }
            // Requests are drained before instances are stopped: nothing is left to wait for.
            _ = end.recv() => return Ok(()),
        }
    }
}

/// Answers the requests of one connection.
async fn answer_all(mut stream: Stream, web: &Web) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(1024);
    loop {
        let Some(end) = head_end(&read) else {
            if read.len() > LONGEST_HEAD || stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        read.drain(..end);
        let path = head.split_whitespace().nth(1).unwrap_or("/");
        match path.split('?').next().unwrap_or("/") {
            "/healthz" if web.is_broken() => {
                complain();
                stream.write_all(&response("503 Service Unavailable", "text/plain", "no database\n")).await?;
            }
            "/healthz" => stream.write_all(&response("200 OK", "text/plain", "ok\n")).await?,
            "/ticks" => return tick(stream, web).await,
            "/" => stream.write_all(&response("200 OK", "text/html; charset=utf-8", &page(web))).await?,
            "/version" => stream.write_all(&response("200 OK", "text/plain", &web.version)).await?,
            _ => stream.write_all(&response("404 Not Found", "text/plain", "not here\n")).await?,
        }
    }
}

fn head_end(read: &[u8]) -> Option<usize> {
    read.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

fn page(web: &Web) -> String {
    let served = web.served.fetch_add(1, Ordering::Relaxed) + 1;
    PAGE.replace("{version}", &web.version)
        .replace("{instance}", &std::process::id().to_string())
        .replace("{served}", &served.to_string())
}

fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Server-sent events until the client has had enough.
async fn tick(mut stream: Stream, web: &Web) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for tick in 1_u64.. {
        let served = web.served.load(Ordering::Relaxed);
        let event = format!("data: tick {tick} · version {} · {served} pages\n\n", web.version);
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        tokio::time::sleep(TICK).await;
    }
    Ok(())
}

fn complain() {
    say("cannot reach the database at db.example:5432: connection refused");
}

fn say(text: &str) {
    // Whoever read the log has gone.
    let _gone = writeln!(io::stdout().lock(), "{text}");
}

/// Asks `/healthz` of the instance with this `PORT`.
///
/// # Errors
/// `PORT` is missing.
pub fn healthcheck() -> Result<Exit, Error> {
    let port = port()?;
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = [0; 256];
        let read = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(Exit::Done),
        Ok(answer) => {
            say(&format!("/healthz answers {}", answer.lines().next().unwrap_or("nothing")));
            Ok(Exit::Failed)
        }
        Err(error) => {
            say(&format!("/healthz cannot be asked: {error}"));
            Ok(Exit::Failed)
        }
    }
}
