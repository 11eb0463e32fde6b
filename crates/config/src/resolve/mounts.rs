//! `volumes`, `tmpfs`, and the files of `secrets` and `configs`.

use super::Cx;
use crate::diagnostic::Code;
use crate::node::{Node, Value};
use crate::units;
use mainstay_model::{FileGrant, ForeignMount, Mount, MountKind};

/// Everything that is mounted. `holder` is the service, or a hook of it whose keys stand under `prefix`.
pub fn mounts(cx: &mut Cx<'_>, holder: &Node, prefix: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = vec![];
    for (index, node) in holder.items("volumes").iter().enumerate() {
        mounts.extend(mount(cx, node, &format!("{prefix}volumes[{index}]")));
    }
    for (index, node) in holder.items("tmpfs").iter().enumerate() {
        mounts.extend(memory(cx, node, &format!("{prefix}tmpfs[{index}]")));
    }
    mounts
}

fn mount(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<Mount> {
    let target = node.get_text("target").unwrap_or_default().to_owned();
    if !target.starts_with('/') {
        let message =
            format!("the target of a mount is an absolute path in the container, and `{target}` is not");
        cx.error(Code::BadMount, message, node, key);
        return None;
    }
    let source = node.get_text("source").filter(|s| !s.is_empty());
    let option = |section: &str, key: &str| node.at(&[section, key]);
    let text =
        |section: &str, key: &str| option(section, key).and_then(Node::as_text).filter(|t| !t.is_empty());
    let kind = match (node.get_text("type").unwrap_or("volume"), source) {
        ("volume", Some(source)) => MountKind::Volume {
            key: source.to_owned(),
            nocopy: node.get("volume").is_some_and(|v| v.get_flag("nocopy")),
            subpath: text("volume", "subpath").map(str::to_owned),
            labels: node.get("volume").map(|volume| super::dict(volume, "labels")).unwrap_or_default(),
        },
        ("volume", None) => MountKind::Anonymous,
        ("bind", Some(source)) => MountKind::Bind {
            source: source.into(),
            // Docker makes missing directories unless told not to.
            create: node.get("bind").is_none_or(|bind| bind.get_flag("create_host_path")),
            propagation: text("bind", "propagation").map(str::to_owned),
            selinux: text("bind", "selinux").and_then(|s| s.chars().next()),
            recursive: text("bind", "recursive").map(str::to_owned),
        },
        ("tmpfs", _) => MountKind::Tmpfs {
            size: node.get("tmpfs").and_then(|t| super::resources::size(t, "size")),
            mode: node.get("tmpfs").and_then(|t| t.get_int("mode")).and_then(|m| u32::try_from(m).ok()),
            options: vec![],
            written: None,
        },
        ("bind", None) => {
            cx.error(Code::BadMount, "a bind mount needs a `source`", node, key);
            return None;
        }
        (other, source) => {
            if other != "image" {
                let message =
                    format!("the Engine knows no mounts of the type `{other}` outside Swarm and Windows");
                cx.error(Code::NotSupported, message, node, key);
            }
            MountKind::Foreign(ForeignMount {
                kind: other.to_owned(),
                source: source.map(str::to_owned),
                subpath: text(other, "subpath").map(str::to_owned),
            })
        }
    };
    Some(Mount { kind, target, read_only: node.get_flag("read_only") })
}

/// `tmpfs: /run:size=64m,mode=1777,noexec`.
fn memory(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<Mount> {
    let text = node.as_text()?;
    let (target, given) = text.split_once(':').unwrap_or((text, ""));
    if !target.starts_with('/') {
        cx.error(Code::BadMount, format!("`{target}` is not an absolute path in the container"), node, key);
        return None;
    }
    let (mut size, mut mode, mut read_only, mut options) = (None, None, false, vec![]);
    for option in given.split(',').filter(|o| !o.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => match units::bytes(value).map(u64::try_from) {
                Ok(Ok(bytes)) => size = Some(bytes),
                _ => cx.error(Code::BadMount, format!("`{value}` is not a size in bytes"), node, key),
            },
            Some(("mode", value)) => match u32::from_str_radix(value, 8) {
                Ok(bits) => mode = Some(bits),
                Err(_) => {
                    cx.error(Code::BadMount, format!("`{value}` is not octal permission bits"), node, key)
                }
            },
            None if option == "ro" => read_only = true,
            _ => options.push(option.to_owned()),
        }
    }
    let kind = MountKind::Tmpfs { size, mode, options, written: Some(given.to_owned()) };
    Some(Mount { kind, target: target.to_owned(), read_only })
}

/// Files of secrets or configs; relative targets lie in `directory`.
pub fn grants(node: &Node, key: &str, directory: &str) -> Vec<FileGrant> {
    node.items(key)
        .iter()
        .map(|node| {
            let source = node.get_text("source").unwrap_or_default();
            let target = node.get_text("target").filter(|t| !t.is_empty()).unwrap_or(source);
            let target =
                if target.starts_with('/') { target.to_owned() } else { format!("{directory}/{target}") };
            let mode = match node.get("mode").map(|m| &m.value) {
                Some(Value::Int(mode)) => u32::try_from(*mode).ok(),
                _ => None,
            };
            let text = |key: &str| node.get_text(key).map(str::to_owned);
            FileGrant { source: source.to_owned(), target, uid: text("uid"), gid: text("gid"), mode }
        })
        .collect()
}
