//! `exec` and `attach`: a command's streams as frames over an upgraded connection.

use super::containers::{chosen, container};
use crate::runtimes::Runtimes;
use crate::{Agent, Error};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use mainstay_api::frame::{self, Frame};
use mainstay_api::{AttachRequest, CommandRequest, ExecRequest};
use mainstay_host::docker::{self, Docker, Output};
use mainstay_host::native::{self, Stream};
use mainstay_model::{Instance, RuntimeKind, Secret, ServiceName, StackName};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// Frames between the connection and the command, each way.
const AHEAD: usize = 16;

pub(super) async fn exec(
    State(agent): State<Arc<Agent>>,
    Path(name): Path<StackName>,
    request: Request,
) -> Result<Response, Error> {
    let stack = agent.known(&name).ok_or(Error::NoStack(name))?;
    let (upgrade, body) = split::<ExecRequest>(request).await?;
    let instance = chosen(&stack, &body.service, body.index, true)?;
    let wires = Wires::start(upgrade);
    if body.command.detach {
        // Nobody waits for its end; that it could be begun is told.
        let begun = wires.output.clone();
        tokio::spawn(async move { finish(&begun, Ok(0)).await });
    }
    tokio::spawn(async move {
        let ended =
            in_instance(&agent.runtimes, &stack.name, &instance, &body.command, wires.input, &wires.output)
                .await;
        finish(&wires.output, ended).await;
    });
    Ok(switching())
}

pub(super) async fn split<T: serde::de::DeserializeOwned>(
    mut request: Request,
) -> Result<(hyper::upgrade::OnUpgrade, T), Error> {
    let upgrade = hyper::upgrade::on(&mut request);
    let body = request.into_body().collect().await.map_err(|e| Error::Request(e.to_string()))?.to_bytes();
    let parsed = serde_json::from_slice(&body).map_err(|e| Error::Request(e.to_string()))?;
    Ok((upgrade, parsed))
}

pub(super) fn switching() -> Response {
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, frame::PROTOCOL)];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The connection as two channels of frames.
pub(super) struct Wires {
    pub input: mpsc::Receiver<Frame>,
    pub output: mpsc::Sender<Frame>,
}

impl Wires {
    pub fn start(upgrade: hyper::upgrade::OnUpgrade) -> Self {
        let (typed, input) = mpsc::channel(AHEAD);
        let (output, printed) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            match upgrade.await {
                Ok(connection) => {
                    let (reader, writer) = tokio::io::split(TokioIo::new(connection));
                    tokio::spawn(read_frames(reader, typed));
                    write_frames(writer, printed).await;
                }
                Err(error) => tracing::debug!(%error, "an exec connection was not upgraded"),
            }
        });
        Self { input, output }
    }
}

async fn read_frames(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<Frame>) {
    while let Ok(Some(frame)) = frame::read(&mut from).await {
        if to.send(frame).await.is_err() {
            return;
        }
    }
}

async fn write_frames(mut to: impl AsyncWrite + Unpin, mut from: mpsc::Receiver<Frame>) {
    while let Some(frame) = from.recv().await {
        let last = matches!(frame, Frame::Exit(_) | Frame::Error(_));
        if frame::write(&mut to, &frame).await.is_err() || last {
            break;
        }
    }
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut to).await;
}

pub(super) async fn finish(output: &mpsc::Sender<Frame>, ended: Result<i32, Error>) {
    let last = ended.map_or_else(|error| Frame::Error(error.whole()), Frame::Exit);
    // Whoever listened may have gone.
    let _ = output.send(last).await;
}

async fn in_instance(
    runtimes: &Runtimes,
    stack: &StackName,
    instance: &Instance,
    command: &CommandRequest,
    input: mpsc::Receiver<Frame>,
    output: &mpsc::Sender<Frame>,
) -> Result<i32, Error> {
    match instance.runtime {
        RuntimeKind::Docker => {
            in_container(&runtimes.docker().await?, &instance.handle, command, input, output).await
        }
        RuntimeKind::Native => {
            let request = native::ExecRequest {
                argv: command.argv.clone(),
                environment: variables(command),
                user: command.user.clone(),
                working_dir: command.workdir.clone(),
                tty: command.tty.is_some(),
            };
            let exec = runtimes.native.exec(stack, &instance.id, request).await?;
            in_process(exec, command, input, output).await
        }
    }
}

async fn in_container(
    docker: &Docker,
    container: &str,
    command: &CommandRequest,
    mut input: mpsc::Receiver<Frame>,
    output: &mpsc::Sender<Frame>,
) -> Result<i32, Error> {
    let request = docker::ExecRequest {
        argv: command.argv.clone(),
        tty: command.tty.is_some(),
        env: variables(command),
        user: command.user.clone(),
        workdir: command.workdir.clone(),
        stdin: command.stdin,
        privileged: command.privileged,
    };
    let docker::ExecSession { id, input: stdin, output: printed } = docker.exec(container, &request).await?;
    if let Some((rows, columns)) = command.tty {
        docker.exec_resize(&id, rows, columns).await?;
    }
    relay(docker, Window::Command(&id), (stdin, printed), &mut input, output).await?;
    Ok(docker.settled(&id).await?)
}

/// Whose terminal is resized with ours.
#[derive(Clone, Copy)]
pub(super) enum Window<'a> {
    Command(&'a str),
    Container(&'a str),
}

impl Window<'_> {
    async fn resize(self, docker: &Docker, rows: u16, columns: u16) -> Result<(), Error> {
        match self {
            Self::Command(id) => docker.exec_resize(id, rows, columns).await?,
            Self::Container(id) => docker.resize(id, rows, columns).await?,
        }
        Ok(())
    }
}

/// Passes what is typed in and what is printed out, until the output ends or nobody listens to it any more.
pub(super) async fn relay(
    docker: &Docker,
    window: Window<'_>,
    (stdin, mut printed): (docker::ExecInput, docker::ExecOutput),
    input: &mut mpsc::Receiver<Frame>,
    output: &mpsc::Sender<Frame>,
) -> Result<(), Error> {
    let (mut stdin, mut open) = (Some(stdin), true);
    loop {
        tokio::select! {
            piece = printed.next() => match piece? {
                Some((stream, bytes)) => {
                    if output.send(printed_frame(stream == Output::Stderr, bytes)).await.is_err() {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            },
            () = output.closed() => return Ok(()),
            typed = input.recv(), if open => match typed {
                Some(Frame::Stdin(bytes)) => if let Some(stdin) = stdin.as_mut() { stdin.write(&bytes).await? },
                Some(Frame::StdinEnd) => if let Some(stdin) = stdin.take() { stdin.close().await? },
                Some(Frame::Resize { rows, columns }) => window.resize(docker, rows, columns).await?,
                Some(_) => {}
                None => open = false,
            },
        }
    }
}

async fn in_process(
    exec: native::Exec,
    command: &CommandRequest,
    mut input: mpsc::Receiver<Frame>,
    output: &mpsc::Sender<Frame>,
) -> Result<i32, Error> {
    let native::Exec { input: stdin, output: mut printed } = exec;
    if let Some((rows, columns)) = command.tty {
        let _ = stdin.send(native::ExecInput::Resize { rows, columns }).await;
    }
    if !command.stdin {
        let _ = stdin.send(native::ExecInput::End).await;
    }
    let mut open = true;
    loop {
        tokio::select! {
            message = printed.recv() => match message {
                Some(native::ExecOutput::Data(stream, bytes)) => {
                    if output.send(printed_frame(stream == Stream::Stderr, bytes)).await.is_err() {
                        return Ok(0);
                    }
                }
                Some(native::ExecOutput::Exited(code)) => return Ok(code),
                None => return Ok(0),
            },
            typed = input.recv(), if open => {
                let message = match typed {
                    Some(Frame::Stdin(bytes)) => native::ExecInput::Data(bytes),
                    Some(Frame::StdinEnd) => native::ExecInput::End,
                    Some(Frame::Resize { rows, columns }) => native::ExecInput::Resize { rows, columns },
                    Some(_) => continue,
                    None => { open = false; continue }
                };
                // A command that has ended reads no more.
                let _ = stdin.send(message).await;
            },
        }
    }
}

/// The streams of an instance that runs. Whoever lets go leaves it running.
pub(super) async fn attach(
    State(agent): State<Arc<Agent>>,
    Path((name, service)): Path<(StackName, ServiceName)>,
    request: Request,
) -> Result<Response, Error> {
    let stack = agent.known(&name).ok_or(Error::NoStack(name))?;
    let (upgrade, AttachRequest { index, stdin, tty }) = split(request).await?;
    let instance = chosen(&stack, &service, index, true)?;
    let docker = agent.runtimes.docker().await?;
    let attached = docker.attach(container(&instance, "attach")?, stdin).await?;
    let mut wires = Wires::start(upgrade);
    tokio::spawn(async move {
        let docker::Attached { container, input, output } = attached;
        let window = Window::Container(&container);
        let relayed = async {
            if let Some((rows, columns)) = tty {
                window.resize(&docker, rows, columns).await?;
            }
            relay(&docker, window, (input, output), &mut wires.input, &wires.output).await?;
            if wires.output.is_closed() { Ok(0) } else { Ok(docker.wait(&container).await?) }
        };
        let ended = relayed.await;
        finish(&wires.output, ended).await;
    });
    Ok(switching())
}

fn printed_frame(stderr: bool, bytes: Bytes) -> Frame {
    if stderr { Frame::Stderr(bytes) } else { Frame::Stdout(bytes) }
}

/// `NAME=value` pairs of the request.
pub(super) fn variables(command: &CommandRequest) -> BTreeMap<String, Secret> {
    let pairs = command.env.iter().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).collect()
}
