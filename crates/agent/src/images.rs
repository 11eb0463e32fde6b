//! Images of a stack: built or pulled where needed, and pinned to their ids.

use crate::{Agent, Error};
use mainstay_api::{DeployRequest, ImagesRequest, Progress, PullWish, StepState};
use mainstay_host::docker::{BuildOrder, BuildProgress, Docker, DockerError, StepState as BuildState};
use mainstay_model::{Build, RuntimeKind, Service, ServiceName, Stack};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// What is to be done about the image of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// It is there, with this id.
    There(String),
    /// It is to be pulled, and why.
    Pull(&'static str),
    /// It is to be built, and why.
    Build(&'static str),
}

/// The name of a service's image: `image:`, or Compose's name for what it builds.
pub(crate) fn reference(stack: &Stack, service: &Service) -> String {
    service.image.clone().unwrap_or_else(|| format!("{}-{}", stack.name, service.name))
}

/// What every Docker service in `services` needs.
pub(crate) async fn needs(
    docker: &Docker,
    request: &DeployRequest,
    services: &[&Service],
) -> Result<BTreeMap<ServiceName, Need>, Error> {
    let mut needs = BTreeMap::new();
    for service in services.iter().filter(|s| s.runtime() == RuntimeKind::Docker) {
        let present = match docker.image_id(&reference(&request.stack, service)).await {
            Ok(id) => Some(id),
            Err(DockerError::ImageMissing { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        needs.insert(service.name.clone(), need(request, service, present)?);
    }
    Ok(needs)
}

fn need(request: &DeployRequest, service: &Service, present: Option<String>) -> Result<Need, Error> {
    let policy = match request.pull {
        PullWish::Always => "always",
        PullWish::Never => "never",
        PullWish::Missing => "missing",
        PullWish::Policy => service.pull_policy.as_deref().unwrap_or("missing"),
    };
    let builds = service.build.is_some() && !request.no_build;
    Ok(match present {
        _ if builds && (request.build || policy == "build") => Need::Build("a build was asked for"),
        _ if policy == "always" && service.build.is_none() => Need::Pull("it is pulled every time"),
        Some(id) => Need::There(id),
        None if builds => Need::Build("its image does not exist yet"),
        None if policy == "never" => {
            let image = service.image.clone().unwrap_or_default();
            return Err(DockerError::ImageMissing { image }.into());
        }
        None if service.image.is_none() => {
            let why = "it has to be built, and `--no-build` was given".to_owned();
            return Err(Error::Service { service: service.name.clone(), why });
        }
        None => Need::Pull("its image is not here"),
    })
}

/// Does what is needed, and gives the id of every image.
pub(crate) async fn provide(
    agent: &Agent,
    request: &DeployRequest,
    services: &[&Service],
    progress: &mpsc::UnboundedSender<Progress>,
) -> Result<BTreeMap<ServiceName, String>, Error> {
    if services.iter().all(|s| s.runtime() == RuntimeKind::Native) {
        return Ok(BTreeMap::new());
    }
    let docker = agent.runtimes.docker().await?;
    let needs = needs(&docker, request, services).await?;
    let mut ids = BTreeMap::new();
    // Services that share an image share its build.
    let mut provided: BTreeMap<String, String> = BTreeMap::new();
    // What one service builds another may only name: builds come first.
    let (builds, others): (Vec<&Service>, Vec<&Service>) = services.iter().partition(|s| s.build.is_some());
    for service in in_build_order(builds).into_iter().chain(others) {
        let Some(need) = needs.get(&service.name) else { continue };
        let image = reference(&request.stack, service);
        let shared = provided.get(&image).cloned().filter(|_| !matches!(need, Need::There(_)));
        let id = match (shared, need) {
            (Some(id), _) => id,
            (None, Need::There(id)) => id.clone(),
            (None, Need::Pull(_)) => {
                pull(&docker, service, &image, progress).await?;
                docker.image_id(&image).await?
            }
            (None, Need::Build(_)) => {
                build(&docker, &request.stack, service, &image, Fresh::default(), progress).await?
            }
        };
        provided.insert(image, id.clone());
        ids.insert(service.name.clone(), id);
    }
    for service in services {
        provide_more(&docker, request, service, progress).await?;
    }
    Ok(ids)
}

/// Images that a service uses besides its own: of `pre_start:` containers, and mounted ones. They go by name when they are used.
async fn provide_more(
    docker: &Docker,
    request: &DeployRequest,
    service: &Service,
    progress: &mpsc::UnboundedSender<Progress>,
) -> Result<(), Error> {
    let built: Vec<_> = request.stack.services.values().map(|s| reference(&request.stack, s)).collect();
    for image in service.more_images().filter(|image| !built.contains(image)) {
        match docker.image_id(image).await {
            Ok(_) => {}
            Err(DockerError::ImageMissing { .. }) if request.pull != PullWish::Never => {
                pull(docker, service, image, progress).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Pulls one image with its progress.
pub(crate) async fn pull(
    docker: &Docker,
    service: &Service,
    image: &str,
    progress: &mpsc::UnboundedSender<Progress>,
) -> Result<(), Error> {
    docker.pull(image, service.platform.as_deref(), transfer(service, image, progress)).await?;
    Ok(())
}

/// Tells how far a pull or push of `image` is.
fn transfer(
    service: &Service,
    image: &str,
    progress: &mpsc::UnboundedSender<Progress>,
) -> impl FnMut(mainstay_host::docker::PullProgress) + Send + use<> {
    let (service, image, progress) = (service.name.clone(), image.to_owned(), progress.clone());
    move |p| {
        // Whoever listened may have gone.
        let _ = progress.send(Progress::Pull {
            service: service.clone(),
            image: image.clone(),
            layer: p.layer,
            status: p.status,
            current: p.current.unwrap_or(0),
            total: p.total.unwrap_or(0),
        });
    }
}

/// What a build makes anew though it is there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fresh {
    /// Every layer.
    pub no_cache: bool,
    /// Its base images.
    pub pull_bases: bool,
}

/// Builds one image with its progress, and gives its id.
pub(crate) async fn build(
    docker: &Docker,
    stack: &Stack,
    service: &Service,
    tag: &str,
    fresh: Fresh,
    progress: &mpsc::UnboundedSender<Progress>,
) -> Result<String, Error> {
    let Some(build) = &service.build else { return Ok(docker.image_id(tag).await?) };
    let platform = service.platform.as_deref();
    let build = &with_images_of_services(stack, build);
    let order = BuildOrder {
        stack: &stack.name,
        service: &service.name,
        build,
        tag,
        platform,
        no_cache: fresh.no_cache,
        pull: fresh.pull_bases,
        secrets: &stack.secrets,
    };
    let news = |event: BuildProgress| {
        let (step, state, line) = match event {
            BuildProgress::Step { name, .. } if name.starts_with("[internal]") => return,
            BuildProgress::Step { name, state } => (name, state_of(&state), None),
            BuildProgress::Log { step, line, .. } => (step, StepState::Running, Some(line)),
            BuildProgress::Transfer { .. } => return,
        };
        let _ = progress.send(Progress::Build { service: service.name.clone(), step, state, line });
    };
    Ok(docker.build(&order, news).await?)
}

/// Contexts that are services become their images.
fn with_images_of_services(stack: &Stack, build: &Build) -> Build {
    let mut build = build.clone();
    for from in build.more.additional_contexts.values_mut() {
        let service = from.strip_prefix("service:").and_then(|name| ServiceName::new(name).ok());
        if let Some(service) = service.and_then(|name| stack.services.get(&name)) {
            *from = format!("docker-image://{}", reference(stack, service));
        }
    }
    build
}

/// The image of a job, got only when it is run.
pub(crate) async fn of_job(docker: &Docker, stack: &Stack, job: &Service) -> Result<String, Error> {
    let image = reference(stack, job);
    match docker.image_id(&image).await {
        Err(DockerError::ImageMissing { .. }) => {}
        known => return Ok(known?),
    }
    // Whoever runs it is at a terminal of the job, which is no place for progress.
    let (progress, _) = mpsc::unbounded_channel();
    if job.build.is_some() {
        return build(docker, stack, job, &image, Fresh::default(), &progress).await;
    }
    pull(docker, job, &image, &progress).await?;
    Ok(docker.image_id(&image).await?)
}

/// Services that are built, those before whose images others build on.
fn in_build_order(builds: Vec<&Service>) -> Vec<&Service> {
    let mut ordered: Vec<&Service> = Vec::new();
    let mut left = builds;
    while !left.is_empty() {
        let needs = |service: &Service, other: &Service| {
            let contexts = service.build.iter().flat_map(|build| build.more.additional_contexts.values());
            contexts.filter_map(|from| from.strip_prefix("service:")).any(|name| other.name.as_str() == name)
        };
        let is_free = |service: &&Service| !left.iter().any(|other| needs(service, other));
        let (free, rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(is_free);
        // A circle: the build says so.
        let stuck = free.is_empty();
        ordered.extend(if stuck { &rest } else { &free });
        left = if stuck { Vec::new() } else { rest };
    }
    ordered
}

fn state_of(state: &BuildState) -> StepState {
    match state {
        BuildState::Started => StepState::Running,
        BuildState::Done { .. } => StepState::Done,
        BuildState::Cached => StepState::Cached,
        BuildState::Failed { .. } => StepState::Failed,
    }
}

/// What is done to images without deploying them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Get them from their registry.
    Pull,
    /// Build those that can be built.
    Build,
    /// Send those that can be built to their registry.
    Push,
}

impl Work {
    /// What was done, as a participle.
    pub fn done(self) -> &'static str {
        match self {
            Self::Pull => "pulled",
            Self::Build => "built",
            Self::Push => "pushed",
        }
    }
}

/// Does `work` on the images of the services that `request` names, or of all; says on how many.
pub(crate) async fn all(
    docker: &Docker,
    request: &ImagesRequest,
    work: Work,
    progress: &mpsc::UnboundedSender<Progress>,
) -> Result<usize, Error> {
    let named = |s: &&Service| request.services.is_empty() || request.services.contains(&s.name);
    let concerned = |s: &&Service| {
        let built = s.build.is_some();
        let wanted = match work {
            // What is built and has a name may be in a registry as well.
            Work::Pull => !built || (s.image.is_some() && !request.ignore_buildable),
            Work::Build | Work::Push => built,
        };
        wanted && s.runtime() == RuntimeKind::Docker
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut done = 0;
    for service in in_build_order(request.stack.services.values().filter(named).filter(concerned).collect()) {
        let image = reference(&request.stack, service);
        if !seen.insert(image.clone()) {
            continue;
        }
        match one(docker, request, work, (service, &image), progress).await {
            Ok(true) => done += 1,
            Ok(false) => {}
            Err(error) => {
                let why = match work {
                    Work::Pull if service.build.is_some() => "it has to be built",
                    Work::Pull | Work::Push if request.ignore_failures => "left out",
                    _ => return Err(error),
                };
                // Whoever listened may have gone.
                let _ = progress.send(Progress::Note { text: format!("{image}: {why}: {}", error.whole()) });
            }
        }
    }
    Ok(done)
}

/// Whether anything was to be done about one image, which then is done.
async fn one(
    docker: &Docker,
    request: &ImagesRequest,
    work: Work,
    (service, image): (&Service, &str),
    progress: &mpsc::UnboundedSender<Progress>,
) -> Result<bool, Error> {
    match work {
        Work::Build => {
            let fresh = Fresh { no_cache: request.no_cache, pull_bases: request.pull_bases };
            build(docker, &request.stack, service, image, fresh, progress).await?;
        }
        Work::Pull if request.missing_only && docker.image_id(image).await.is_ok() => return Ok(false),
        Work::Pull => pull(docker, service, image, progress).await?,
        Work::Push => docker.push(image, transfer(service, image, progress)).await?,
    }
    Ok(true)
}
