//! Images: what containers were made of, and what is done to images without deploying them.

use super::answer::{Asked, begun};
use super::containers::instances;
use super::stacks::known;
use crate::images::{self, Work};
use crate::{Agent, Error, deploy, waiters};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use mainstay_api::{ImageView, ImagesRequest, Progress, RemoveImagesRequest, ServicesRequest};
use mainstay_host::docker::{DockerError, ImageInfo};
use mainstay_model::{Release, RuntimeKind, StackName};
use std::collections::BTreeMap;
use std::sync::Arc;

type Shared = State<Arc<Agent>>;
type OfStack = Path<StackName>;

pub(super) async fn list(
    State(agent): Shared,
    Path(name): OfStack,
    Asked(request): Asked<ServicesRequest>,
) -> Result<Json<Vec<ImageView>>, Error> {
    let stack = known(&agent, name)?;
    let current = deploy::current(&agent, &stack).await?;
    let mut views = Vec::new();
    // Copies of a service, and often services, share an image.
    let mut infos: BTreeMap<String, Option<ImageInfo>> = BTreeMap::new();
    let containers = instances(&agent, &stack, &request.services).await?;
    for instance in containers.iter().filter(|i| i.runtime == RuntimeKind::Docker) {
        let docker = agent.runtimes.docker().await?;
        let (asked, id) = docker.image_of(&instance.handle).await?;
        // One that was made by the id of its image is shown by the name that the release has for it.
        let named = |release: &Release| {
            let service = release.stack.services.get(&instance.id.service)?;
            Some(images::reference(&release.stack, service))
        };
        let by_id = asked.starts_with("sha256:");
        let reference = current.as_ref().filter(|_| by_id).and_then(named).unwrap_or(asked);
        if !infos.contains_key(&id) {
            // Its image may have been removed under a container that lives on.
            infos.insert(id.clone(), docker.image(&id).await.ok());
        }
        let info = infos.get(&id).and_then(Option::as_ref);
        views.push(ImageView {
            service: instance.id.service.clone(),
            container: instance.name.clone(),
            reference,
            size: info.map(|info| info.size),
            created: info.and_then(|info| info.created),
            platform: info.map(|info| info.platform.clone()).unwrap_or_default(),
            id,
        });
    }
    Ok(Json(views))
}

/// Removes names of images, and says which. One that somebody uses stays, and so does one that is not there.
pub(super) async fn remove(
    State(agent): Shared,
    Path(_): OfStack,
    Asked(request): Asked<RemoveImagesRequest>,
) -> Result<Json<Vec<String>>, Error> {
    let docker = agent.runtimes.docker().await?;
    let mut removed = Vec::new();
    for reference in request.references {
        if docker.image_id(&reference).await.is_err() {
            continue;
        }
        match docker.remove_image(&reference).await {
            Ok(()) => removed.push(reference),
            Err(DockerError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(removed))
}

pub(super) async fn pull(
    State(agent): Shared,
    Path(_): OfStack,
    Asked(request): Asked<ImagesRequest>,
) -> Result<Response, Error> {
    work(agent, request, Work::Pull).await
}

pub(super) async fn build(
    State(agent): Shared,
    Path(_): OfStack,
    Asked(request): Asked<ImagesRequest>,
) -> Result<Response, Error> {
    work(agent, request, Work::Build).await
}

/// Pushes the images of services that are built.
pub(super) async fn push(
    State(agent): Shared,
    Path(_): OfStack,
    Asked(request): Asked<ImagesRequest>,
) -> Result<Response, Error> {
    work(agent, request, Work::Push).await
}

async fn work(agent: Arc<Agent>, request: ImagesRequest, work: Work) -> Result<Response, Error> {
    let docker = agent.runtimes.docker().await?;
    Ok(begun(|progress| async move {
        let outcome = match images::all(&docker, &request, work, &progress).await {
            Ok(count) => waiters::done(None, format!("{count} images {}", work.done())),
            Err(error) => waiters::refused(None, &error),
        };
        let _ = progress.send(Progress::Done { outcome });
    }))
}
