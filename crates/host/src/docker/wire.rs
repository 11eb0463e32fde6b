//! HTTP with an Engine: one connection a request, JSON in and out, streams and upgrades.
//!
//! Knows nothing about containers. The Engine's API is small, and its answers are read leniently, so that this
//! stands in place of a generated client (which took four times the build time of everything here).

use super::endpoint::{Endpoint, Stream};
use super::error::DockerError;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the Engine may take to begin its answer where it has nothing to wait for. Creating and starting
/// were seen to take over 30 s on a server whose disk was saturated; a daemon that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Most bytes of an answer that is read as a whole; a list of a thousand containers is about 2 MB.
const MAX_ANSWER: usize = 64 << 20;

/// A body being sent.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// The way to one Engine, in one version of its API.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) endpoint: Endpoint,
    /// `/v1.41`, sent before every path; empty until the version is agreed on.
    pub(super) prefix: String,
}

/// A request being put together. `what` names its subject in errors.
pub(super) struct Call {
    method: Method,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Outgoing,
    what: String,
    patience: Option<Duration>,
}

impl Call {
    /// `path` is sent as it is: build it from literals and [`escape`].
    pub(super) fn new(method: Method, path: impl Into<String>, what: impl Into<String>) -> Self {
        let body = Full::default().map_err(|never| match never {}).boxed_unsync();
        let (target, what) = (path.into(), what.into());
        Self { method, target, headers: Vec::new(), body, what, patience: Some(PATIENCE) }
    }

    pub(super) fn get(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Method::GET, path, what)
    }

    pub(super) fn post(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Method::POST, path, what)
    }

    pub(super) fn delete(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, what)
    }

    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        let sign = if self.target.contains('?') { '&' } else { '?' };
        let _ = write!(self.target, "{sign}{key}={}", escape(value));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sends `value` as JSON.
    ///
    /// # Errors
    /// [`DockerError::Broken`] when it cannot be written as JSON.
    pub(super) fn json(mut self, value: &impl Serialize) -> Result<Self, DockerError> {
        let text = serde_json::to_vec(value).map_err(|e| DockerError::broken(&self.what, e))?;
        self.body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
        Ok(self.header("content-type", "application/json".to_owned()))
    }

    /// Sends a tar archive that is made while it is sent.
    pub(super) fn tar(mut self, pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        let frames = stream::unfold(pieces, async |mut pieces| {
            let piece = pieces.recv().await?;
            Some((piece.map(Frame::data), pieces))
        });
        self.body = StreamBody::new(frames).boxed_unsync();
        self.header("content-type", "application/x-tar".to_owned())
    }

    /// Waits for as long as it takes: the answer begins when something happens.
    pub(super) fn patient(mut self) -> Self {
        self.patience = None;
        self
    }

    /// Gives the Engine `extra` time on top of the usual.
    pub(super) fn extra_patience(mut self, extra: Duration) -> Self {
        self.patience = Some(PATIENCE.saturating_add(extra));
        self
    }
}

impl Wire {
    /// Sends `call`; the answer is a success, with its body still to come.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, DockerError> {
        let what = call.what.clone();
        let response = self.begin(call).await?;
        let status = response.status();
        let answer = Answer { what, body: response.into_body(), pending: Vec::new(), lines: VecDeque::new() };
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            Ok(answer)
        } else {
            Err(answer.refusal(status).await)
        }
    }

    /// Sends `call` and reads the whole answer as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, DockerError> {
        let answer = self.send(call).await?;
        let what = answer.what.clone();
        let text = answer.whole().await?;
        serde_json::from_slice(&text).map_err(|e| DockerError::broken(&what, e))
    }

    /// Sends `call` and forgets what a success says.
    pub(super) async fn done(&self, call: Call) -> Result<(), DockerError> {
        self.send(call).await?.whole().await.map(drop)
    }

    /// Sends `call`, a `HEAD`, and gives the header `name` of a success.
    pub(super) async fn head(&self, call: Call, name: &'static str) -> Result<Option<String>, DockerError> {
        let what = call.what.clone();
        let response = self.begin(call).await?;
        match response.status() {
            status if status.is_success() => {
                Ok(response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned))
            }
            // No body says more.
            StatusCode::NOT_FOUND => Err(DockerError::NotFound { what }),
            status => Err(DockerError::from_answer(&what, status.as_u16(), status.to_string())),
        }
    }

    /// Sends `call`, which turns the connection into a stream of bytes both ways.
    pub(super) async fn upgrade(&self, call: Call) -> Result<impl Stream + 'static, DockerError> {
        let what = call.what.clone();
        let call = call.header("connection", "Upgrade".to_owned()).header("upgrade", "tcp".to_owned());
        let response = self.begin(call).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let answer =
                Answer { what, body: response.into_body(), pending: Vec::new(), lines: VecDeque::new() };
            return Err(answer.refusal(status).await);
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(|e| DockerError::broken(&what, e))
    }

    /// Waits for the beginning of the answer, for no longer than `call` allows.
    async fn begin(&self, call: Call) -> Result<Response<Incoming>, DockerError> {
        let Some(waited) = call.patience else { return self.exchange(call).await };
        let what = call.what.clone();
        match tokio::time::timeout(waited, self.exchange(call)).await {
            Ok(response) => response,
            Err(_) => Err(DockerError::Silent { what, waited }),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Response<Incoming>, DockerError> {
        let Call { method, target, headers, body, what, patience: _ } = call;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.prefix))
            .header(header::HOST, "docker")
            .header(header::USER_AGENT, concat!("mainstay/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|e| DockerError::broken(&what, e))?;
        let stream = TokioIo::new(self.endpoint.open().await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|e| DockerError::broken(&what, e))?;
        // It ends by itself once the answer is read or dropped.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(|e| DockerError::broken(&what, e))
    }
}

/// An answer whose body is still coming. Dropping it hangs up.
pub(super) struct Answer {
    pub(super) what: String,
    body: Incoming,
    /// The beginning of a line whose end has not come yet.
    pending: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
}

impl Answer {
    /// The next piece of the body, as it came. Safe to cancel.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, DockerError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(e)) => return Err(DockerError::broken(&self.what, e)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The next JSON value of a body that has one on each line. Safe to cancel.
    pub(super) async fn next_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DockerError> {
        loop {
            while let Some(line) = self.lines.pop_front() {
                if !line.trim_ascii().is_empty() {
                    return serde_json::from_slice(&line)
                        .map(Some)
                        .map_err(|e| DockerError::broken(&self.what, e));
                }
            }
            match self.piece().await? {
                Some(data) => self.split_lines(&data),
                None if self.pending.is_empty() => return Ok(None),
                None => self.lines.push_back(std::mem::take(&mut self.pending)),
            }
        }
    }

    fn split_lines(&mut self, data: &[u8]) {
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.lines.push_back(std::mem::take(&mut self.pending));
            }
        }
    }

    async fn whole(mut self) -> Result<Vec<u8>, DockerError> {
        let mut text = Vec::new();
        while let Some(data) = self.piece().await? {
            if text.len() + data.len() > MAX_ANSWER {
                return Err(DockerError::broken(&self.what, "the answer is too long"));
            }
            text.extend_from_slice(&data);
        }
        Ok(text)
    }

    async fn refusal(self, status: StatusCode) -> DockerError {
        #[derive(serde::Deserialize)]
        struct Message {
            message: String,
        }
        let what = self.what.clone();
        let text = match self.whole().await {
            Ok(text) => text,
            Err(error) => return error,
        };
        let message = match serde_json::from_slice::<Message>(&text) {
            Ok(Message { message }) => message.trim().to_owned(),
            Err(_) => String::from_utf8_lossy(&text).trim().to_owned(),
        };
        DockerError::from_answer(&what, status.as_u16(), message)
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters, and `/`, which is harmless in a query and
/// part of image names in a path.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                escaped.push(char::from(byte))
            }
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let call = Call::get("/x", "x").query("a", "1 &2").query("b", "ü:/");
        assert_eq!(call.target, "/x?a=1%20%262&b=%C3%BC%3A/");
    }
}
