//! Files in and out of an instance, as tar archives.

use super::containers::{chosen, container, every};
use super::stacks::known;
use crate::{Agent, Error};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use http_body_util::BodyExt;
use mainstay_api::{CopyQuery, PathView};
use mainstay_host::docker::Archive;
use mainstay_model::{ServiceName, StackName};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces of an archive read ahead of the Engine.
const AHEAD: usize = 4;

type Shared = State<Arc<Agent>>;
type OfService = Path<(StackName, ServiceName)>;

/// What a path is; `null` when it does not exist.
pub(super) async fn stat(
    State(agent): Shared,
    Path((name, service)): OfService,
    Query(query): Query<CopyQuery>,
) -> Result<Json<Option<PathView>>, Error> {
    let instance = chosen(&known(&agent, name)?, &service, query.index, false)?;
    let stat = agent.runtimes.docker().await?.stat(container(&instance, "cp")?, &query.path).await?;
    Ok(Json(stat.map(|stat| PathView { is_directory: stat.is_directory() })))
}

pub(super) async fn out(
    State(agent): Shared,
    Path((name, service)): OfService,
    Query(query): Query<CopyQuery>,
) -> Result<Response, Error> {
    let instance = chosen(&known(&agent, name)?, &service, query.index, false)?;
    let docker = agent.runtimes.docker().await?;
    Ok(tar(docker.copy_out(container(&instance, "cp")?, &query.path, query.follow_link).await?))
}

pub(super) async fn into(
    State(agent): Shared,
    Path((name, service)): OfService,
    Query(query): Query<CopyQuery>,
    mut body: Body,
) -> Result<Json<bool>, Error> {
    let stack = known(&agent, name)?;
    let instances = match query.index {
        Some(_) => vec![chosen(&stack, &service, query.index, false)?],
        None => every(&stack, &service)?,
    };
    let docker = agent.runtimes.docker().await?;
    let mut writers = Vec::new();
    let mut copies = Vec::new();
    for instance in &instances {
        let (pieces, archive) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
        writers.push(pieces);
        copies.push(docker.copy_in(container(instance, "cp")?, &query.path, query.archive, archive));
    }
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let piece = frame.map(|frame| frame.into_data().unwrap_or_default()).map_err(|e| e.to_string());
            for writer in &writers {
                // One that failed reads no more, and says why below.
                let _ = writer.send(piece.clone().map_err(io::Error::other)).await;
            }
        }
    });
    join_all(copies).await.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(Json(true))
}

/// An archive as an answer. One that breaks off ends the answer before its time, which the reader sees.
pub(super) fn tar(archive: Archive) -> Response {
    let pieces = stream::unfold(Some(archive), async |archive| {
        let mut archive = archive?;
        match archive.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(archive))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    ([(header::CONTENT_TYPE, "application/x-tar")], Body::from_stream(pieces)).into_response()
}
