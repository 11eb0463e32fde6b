//! `build` of a service (Compose Specification, "Build").

use super::{Cx, dict, hosts, resources, texts};
use crate::node::Node;
use mainstay_model::{Build, BuildMore, FileGrant, Secret};
use std::collections::BTreeMap;
use std::path::Path;

/// How the image of a service is built.
pub fn build(cx: &mut Cx<'_>) -> Option<Build> {
    let node = cx.child("build")?;
    let context = node.get_text("context").unwrap_or_default();
    let text = |key: &str| node.get_text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let list = |key: &str| texts(node.items(key));
    Some(Build {
        context: Path::new(context).to_path_buf(),
        dockerfile: node.get_text("dockerfile").unwrap_or("Dockerfile").into(),
        dockerfile_inline: node.get_text("dockerfile_inline").map(str::to_owned),
        args: dict(node, "args"),
        target: text("target"),
        more: Box::new(BuildMore {
            additional_contexts: dict(node, "additional_contexts"),
            cache_from: list("cache_from"),
            cache_to: list("cache_to"),
            entitlements: list("entitlements"),
            extra_hosts: hosts(node),
            isolation: text("isolation"),
            labels: dict(node, "labels"),
            network: text("network"),
            no_cache: node.get_flag("no_cache"),
            no_cache_filter: list("no_cache_filter"),
            platforms: list("platforms"),
            privileged: node.get_flag("privileged"),
            provenance: text("provenance"),
            pull: node.get_flag("pull"),
            sbom: text("sbom"),
            secrets: secrets(node),
            shm_size: resources::size(node, "shm_size"),
            ssh: ssh(cx, node),
            tags: list("tags"),
            ulimits: resources::ulimits(node),
        }),
    })
}

/// Secrets of `RUN --mount=type=secret`; the target is the id there.
fn secrets(node: &Node) -> Vec<FileGrant> {
    let one = |node: &Node| {
        let source = node.get_text("source").unwrap_or_default().to_owned();
        let target =
            node.get_text("target").filter(|target| !target.is_empty()).unwrap_or(&source).to_owned();
        FileGrant { source, target, uid: None, gid: None, mode: None }
    };
    node.items("secrets").iter().map(one).collect()
}

/// Ids of `RUN --mount=type=ssh`. Without a path it is the agent of whoever reads the file: who builds is another process.
fn ssh(cx: &Cx<'_>, node: &Node) -> BTreeMap<String, String> {
    let agent =
        || cx.project.environment.get("SSH_AUTH_SOCK").map(Secret::expose).unwrap_or_default().to_owned();
    let or_agent = |(id, path): (String, String)| (id, if path.is_empty() { agent() } else { path });
    dict(node, "ssh").into_iter().map(or_agent).collect()
}
