//! `build` of a service (Compose Specification, "Build").

use super::{Cx, dict, hosts, mounts, resources, texts};
use crate::diagnostic::Code;
use crate::paths;
use mainstay_model::{Build, BuildMore};
use std::path::Path;

/// How the image of a service is built.
pub fn build(cx: &mut Cx<'_>) -> Option<Build> {
    let node = cx.child("build")?;
    let context = node.get_text("context").unwrap_or_default();
    if paths::is_remote(context)
        && let Some(context_node) = node.get("context")
    {
        let message = "a build context on another machine is not supported";
        cx.error(Code::NotSupported, message, context_node, "build.context");
    }
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
            secrets: mounts::grants(node, "secrets", "/run/secrets"),
            shm_size: resources::size(node, "shm_size"),
            ssh: dict(node, "ssh"),
            tags: list("tags"),
            ulimits: resources::ulimits(node),
        }),
    })
}
