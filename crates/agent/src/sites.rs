//! Sites that the edge serves itself: a release has a copy of each, so that what it serves stays what it was, and pages that
//! were loaded from other releases still find what they ask for.
//!
//! Knows nothing about how files are copied and served.

use crate::{Agent, Error};
use mainstay_api::Progress;
use mainstay_host::sites::{SiteError, Sites};
use mainstay_model::{ExternalRoute, Files, Release, ServiceName, Stack, StackName};
use mainstay_plan::Blueprint;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Copies the sites of `stack`, and has its routes name the copies. `named` are the services that a deploy is about, or
/// nothing for all; the others keep what they have in `current`.
///
/// # Errors
/// A site cannot be read or kept. Nothing that is in use has changed.
pub(crate) async fn keep(
    agent: &Agent,
    current: Option<&Release>,
    named: &[ServiceName],
    stack: &mut Stack,
    progress: &UnboundedSender<Progress>,
) -> Result<(), Error> {
    let of = |sites: Sites, stack: StackName, name: ServiceName, files: Files| {
        tokio::task::spawn_blocking(move || sites.keep(&stack, &name, &files.root))
    };
    for (name, files) in to_keep(stack) {
        if let Some(files) = kept(current, named, &name) {
            put(stack, &name, files);
            continue;
        }
        let begun = of(agent.sites.clone(), stack.name.clone(), name.clone(), files.clone());
        match begun.await.map_err(|_| Error::Ending)? {
            Ok(place) => put(stack, &name, Files { snapshot: Some(place), ..files }),
            Err(error @ SiteError::TooLarge(_)) => {
                let text = format!("{name}: {error}: it is served as it is, and changes as it changes");
                let _ = progress.send(Progress::Note { text });
            }
            Err(error) => return Err(failed(name, &error)),
        }
    }
    Ok(())
}

/// The same without copying, for a look at what would be done.
///
/// # Errors
/// A site cannot be read.
pub(crate) async fn name(
    agent: &Agent,
    current: Option<&Release>,
    named: &[ServiceName],
    stack: &mut Stack,
) -> Result<(), Error> {
    for (name, files) in to_keep(stack) {
        if let Some(files) = kept(current, named, &name) {
            put(stack, &name, files);
            continue;
        }
        let (sites, of, service, root) =
            (agent.sites.clone(), stack.name.clone(), name.clone(), files.root.clone());
        let place = tokio::task::spawn_blocking(move || sites.place(&of, &service, &root));
        match place.await.map_err(|_| Error::Ending)? {
            Ok(place) => put(stack, &name, Files { snapshot: Some(place), ..files }),
            Err(SiteError::TooLarge(_)) => {}
            Err(error) => return Err(failed(name, &error)),
        }
    }
    Ok(())
}

/// Whether all that `release` serves itself is still there; what is counts as used from now on.
///
/// # Errors
/// It names the first that is gone.
pub(crate) fn exist(agent: &Agent, release: &Release) -> Result<(), Error> {
    for (name, files) in of_stack(&release.stack) {
        let gone = files.snapshot.as_deref().filter(|place| !agent.sites.use_again(place));
        if gone.is_some() {
            let why = format!(
                "its files of release {} are no longer kept; `static: keep` says of how many releases they are",
                release.number
            );
            return Err(Error::Service { service: name, why });
        }
    }
    Ok(())
}

/// Takes away the copies that nobody needs any more. `needed` are the releases that the stack's state speaks of.
pub(crate) async fn prune(agent: &Agent, stack: &StackName, needed: Vec<Arc<Blueprint>>) {
    let (sites, stack) = (agent.sites.clone(), stack.clone());
    let pruned = tokio::task::spawn_blocking(move || {
        let mut used: BTreeMap<ServiceName, (usize, Vec<&Path>)> = BTreeMap::new();
        let all = needed.iter().flat_map(|blueprint| of_stack_ref(&blueprint.release.stack));
        for (name, files) in all {
            let (keep, places) = used.entry(name.clone()).or_default();
            *keep = usize::try_from(files.keep).unwrap_or(usize::MAX).max(*keep);
            places.extend(files.snapshot.as_deref().filter(|place| !places.contains(place)));
        }
        for (name, (keep, places)) in &used {
            sites.prune(&stack, name, *keep, places)?;
        }
        sites.retain(&stack, &used.keys().collect::<Vec<_>>())
    });
    if let Ok(Err(error)) = pruned.await {
        tracing::warn!(%error, "files of earlier releases stay");
    }
}

/// Takes away all that was kept for a stack that has gone.
pub(crate) async fn remove(agent: &Agent, stack: &StackName) {
    let (sites, stack) = (agent.sites.clone(), stack.clone());
    let removed = tokio::task::spawn_blocking(move || sites.remove(&stack)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, "files of a stack that has gone stay");
    }
}

/// The sites of a stack, by the service that they are of.
pub(crate) fn of_stack(stack: &Stack) -> BTreeMap<ServiceName, Files> {
    of_stack_ref(stack).map(|(name, files)| (name.clone(), files.clone())).collect()
}

fn of_stack_ref(stack: &Stack) -> impl Iterator<Item = (&ServiceName, &Files)> {
    let files = stack.edge.routes.iter().filter_map(|route| route.policy.files.as_ref());
    files.filter_map(|files| Some((files.service.as_ref()?, files)))
}

/// Those of which copies are kept.
fn to_keep(stack: &Stack) -> BTreeMap<ServiceName, Files> {
    let mut all = of_stack(stack);
    all.retain(|_, files| files.keep > 0);
    all
}

/// What a service keeps that a deploy is not about.
fn kept(current: Option<&Release>, named: &[ServiceName], service: &ServiceName) -> Option<Files> {
    if named.is_empty() || named.contains(service) {
        return None;
    }
    of_stack(&current?.stack).remove(service).filter(|files| files.snapshot.is_some())
}

fn put(stack: &mut Stack, service: &ServiceName, files: Files) {
    let of = |route: &&mut ExternalRoute| {
        route.policy.files.as_ref().is_some_and(|files| files.service.as_ref() == Some(service))
    };
    for route in stack.edge.routes.iter_mut().filter(of) {
        route.policy.files = Some(files.clone());
    }
}

fn failed(service: ServiceName, error: &SiteError) -> Error {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Error::Service { service, why: format!("{error}{source}") }
}
