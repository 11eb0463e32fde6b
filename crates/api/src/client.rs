//! Asking the agent.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// A client of the agent at one socket. Cheap to clone; every call is a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Why the agent could not be asked, or what it answered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens on the socket.
    #[error("no agent listens on {}", socket.display())]
    NotRunning {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The socket is there and may not be used.
    #[error("may not use the agent's socket {}", socket.display())]
    Forbidden {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("lost the connection to the agent")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The agent refused; its sentence, code and status.
    #[error("{message}")]
    Refused { status: u16, code: Option<String>, message: String },
    /// The agent answered with something else than expected: it is of another version.
    #[error("cannot read the agent's answer")]
    Unreadable(#[source] serde_json::Error),
}

/// Body of every answer that is not a success.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Refusal {
    message: String,
    code: Option<String>,
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken(error.into())
}

impl Client {
    /// A client of the agent that listens at `socket`.
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self { socket: socket.as_ref().to_path_buf() }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, path, whole(Bytes::new()), None).await?;
        read(answer).await
    }

    /// `POST path` with `body` as JSON.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let answer = self.send(Method::POST, path, whole(json(body)?), None).await?;
        read(answer).await
    }

    /// `GET path`, answered by a stream of JSON lines.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_lines(&self, path: &str) -> Result<Lines, ClientError> {
        let answer = self.send(Method::GET, path, whole(Bytes::new()), None).await?;
        Ok(Lines { pieces: Pieces { body: answer.into_body() }, buffer: Vec::new(), read: 0 })
    }

    /// `POST path`, answered by a stream of JSON lines.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn post_lines(&self, path: &str, body: &impl Serialize) -> Result<Lines, ClientError> {
        let answer = self.send(Method::POST, path, whole(json(body)?), None).await?;
        Ok(Lines { pieces: Pieces { body: answer.into_body() }, buffer: Vec::new(), read: 0 })
    }

    /// `GET path`, answered by bytes.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_bytes(&self, path: &str) -> Result<Pieces, ClientError> {
        let answer = self.send(Method::GET, path, whole(Bytes::new()), None).await?;
        Ok(Pieces { body: answer.into_body() })
    }

    /// `PUT path` with bytes that come while they are sent.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn put_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        pieces: mpsc::Receiver<io::Result<Bytes>>,
    ) -> Result<T, ClientError> {
        let frames = stream::unfold(pieces, async |mut pieces| {
            let piece = pieces.recv().await?;
            Some((piece.map(Frame::data), pieces))
        });
        let answer = self.send(Method::PUT, path, StreamBody::new(frames).boxed_unsync(), None).await?;
        read(answer).await
    }

    /// `POST path`, upgraded to frames.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn post_frames(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static, ClientError> {
        let answer = self.send(Method::POST, path, whole(json(body)?), Some(crate::frame::PROTOCOL)).await?;
        let upgraded = hyper::upgrade::on(answer).await.map_err(broken)?;
        Ok(TokioIo::new(upgraded))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Outgoing,
        upgrade: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| self.unreachable(source))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection.with_upgrades());
        let mut request =
            Request::builder().method(method.clone()).uri(path).header(header::HOST, "mainstay");
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(protocol) = upgrade {
            request = request.header(header::CONNECTION, "upgrade").header(header::UPGRADE, protocol);
        }
        let request = request.body(body).map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS => Ok(answer),
            status if status.is_success() => Ok(answer),
            status => Err(refusal(status, answer).await),
        }
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { socket, source },
            _ => ClientError::NotRunning { socket, source },
        }
    }
}

/// A body being sent.
type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

fn whole(bytes: Bytes) -> Outgoing {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

async fn refusal(status: StatusCode, answer: Response<Incoming>) -> ClientError {
    let body = match answer.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return broken(error),
    };
    let (message, code) = match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => (refusal.message, refusal.code),
        Err(_) => (String::from_utf8_lossy(&body).into_owned(), None),
    };
    ClientError::Refused { status: status.as_u16(), code, message }
}

fn json(body: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(ClientError::Unreadable)
}

async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ClientError> {
    let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
    serde_json::from_slice(&body).map_err(ClientError::Unreadable)
}

/// A stream of bytes. Dropping it ends the request.
#[derive(Debug)]
pub struct Pieces {
    body: Incoming,
}

impl Pieces {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke: what came is not the whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// A stream of JSON lines. Dropping it ends the request; what was asked for goes on.
#[derive(Debug)]
pub struct Lines {
    pieces: Pieces,
    buffer: Vec<u8>,
    read: usize,
}

impl Lines {
    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or the line cannot be read.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer[self.read..].iter().position(|b| *b == b'\n') {
                let line = &self.buffer[self.read..self.read + end];
                let value = serde_json::from_slice(line).map_err(ClientError::Unreadable);
                self.read += end + 1;
                return value.map(Some);
            }
            self.buffer.drain(..self.read);
            self.read = 0;
            match self.pieces.next().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}
