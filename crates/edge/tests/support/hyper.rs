//! A server by hyper that tells what it saw of each request.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// Starts one.
pub async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = count.clone();
            let answer = service_fn(move |request: Request<Incoming>| answer(request, count.clone()));
            // A client that breaks off is no failure of ours.
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    address
}

async fn answer(
    request: Request<Incoming>,
    count: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let host =
        request.headers().get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let (method, target) = (request.method().clone(), request.uri().clone());
    let body = request.into_body().collect().await?.to_bytes();
    let mut hex = String::new();
    body.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    let number = 1 + count.fetch_add(1, Ordering::SeqCst);
    let text = format!("{number} {method} {target} {} {hex}\n", host.unwrap_or_default());
    Ok(Response::new(Full::new(Bytes::from(text))))
}
