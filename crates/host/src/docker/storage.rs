//! What is mounted into a container: volumes, paths of the host, memory; and the files of secrets and configs.
//!
//! As Compose does it, secrets and configs that are files are bound read-only, so that owner and mode are the
//! file's; those given as text are written into the container before it starts.

use super::engine::ApiVersion;
use super::error::DockerError;
use super::spec::{BindOptions, ImageOptions, MountBody, TmpfsOptions, VolumeOptions};
use mainstay_model::{FileGrant, FileObject, Mount, MountKind, Service, Stack};
use std::collections::BTreeMap;

/// The Engine's socket, and where the logins for registries lie, in a container with `use_api_socket:`. As with Compose, which
/// takes this from the docker CLI.
const SOCKET: &str = "/var/run/docker.sock";
pub(super) const LOGINS: &str = "/run/secrets/docker";

/// Mounts of one container.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// In the old notation, the only one that makes a missing directory in every version of the API.
    pub(super) binds: Vec<String>,
    pub(super) mounts: Vec<MountBody>,
    pub(super) tmpfs: BTreeMap<String, String>,
    /// A tar archive to unpack at the container's root; empty when there is nothing to write.
    pub(super) archive: Vec<u8>,
}

/// # Errors
/// [`DockerError::Undefined`] for a volume, secret or config that the stack lacks; [`DockerError::Unsupported`]
/// for `subpath` before API 1.45.
pub(super) fn of(
    stack: &Stack,
    service: &Service,
    api: ApiVersion,
    logins: Option<&[u8]>,
) -> Result<Mounts, DockerError> {
    let mut found = Mounts::default();
    for mount in &service.mounts {
        found.add(stack, mount, api)?;
    }
    let mut archive = tar::Builder::new(Vec::new());
    let mut written = false;
    let grants = service.secrets.iter().map(|grant| ("secret", grant, &stack.secrets));
    for (kind, grant, objects) in
        grants.chain(service.configs.iter().map(|grant| ("config", grant, &stack.configs)))
    {
        let object = granted(kind, grant, objects)?;
        match (&object.file, &object.content) {
            (_, Some(content)) => {
                append(&mut archive, grant, content.expose().as_bytes())?;
                written = true;
            }
            (Some(file), None) => found.mounts.push(MountBody {
                r#type: "bind",
                source: Some(file.display().to_string()),
                target: grant.target.clone(),
                read_only: true,
                // Compose sends empty options with the one and none with the other.
                bind_options: (kind == "secret").then(BindOptions::default),
                ..MountBody::default()
            }),
            (None, None) => {
                return Err(DockerError::Undefined {
                    what: format!("the content of {kind} `{}`", grant.source),
                });
            }
        }
    }
    if let Some(logins) = logins {
        found.binds.push(format!("{SOCKET}:{SOCKET}:rw"));
        let target = format!("{LOGINS}/config.json");
        let grant = FileGrant { source: String::new(), target, uid: None, gid: None, mode: None };
        append(&mut archive, &grant, logins)?;
        written = true;
    }
    if written {
        found.archive = archive.into_inner().map_err(|e| DockerError::broken("secrets and configs", e))?;
    }
    Ok(found)
}

impl Mounts {
    fn add(&mut self, stack: &Stack, mount: &Mount, api: ApiVersion) -> Result<(), DockerError> {
        let Mount { kind, target, read_only } = mount;
        let mut body = MountBody { target: target.clone(), read_only: *read_only, ..MountBody::default() };
        let rights = if *read_only { "ro" } else { "rw" };
        match kind {
            MountKind::Volume { key, nocopy, subpath, labels } => {
                needs(subpath.is_some(), ApiVersion::v1(45), api, || format!("`subpath` of volume `{key}`"))?;
                let undefined = || DockerError::Undefined { what: format!("volume `{key}`") };
                let name = stack.volumes.get(key).ok_or_else(undefined)?.name.clone();
                if !nocopy && subpath.is_none() {
                    self.binds.push(format!("{name}:{target}:{rights}"));
                    return Ok(());
                }
                body.r#type = "volume";
                body.source = Some(name);
                let (no_copy, labels, subpath) = (*nocopy, labels.clone(), subpath.clone());
                body.volume_options = Some(VolumeOptions { no_copy, labels, subpath });
            }
            MountKind::Anonymous => {
                body.r#type = "volume";
                body.volume_options = Some(VolumeOptions::default());
            }
            MountKind::Bind { source, create, propagation, selinux, recursive } => {
                let source = source.display().to_string();
                if *create && propagation.is_none() && recursive.is_none() {
                    let selinux = selinux.map(|letter| format!(",{letter}")).unwrap_or_default();
                    self.binds.push(format!("{source}:{target}:{rights}{selinux}"));
                    return Ok(());
                }
                body.r#type = "bind";
                body.source = Some(source);
                body.bind_options = Some(bind_options(*create, propagation.as_ref(), recursive.as_deref()));
            }
            MountKind::Tmpfs { written: Some(options), .. } => {
                self.tmpfs.insert(target.clone(), options.clone());
                return Ok(());
            }
            MountKind::Tmpfs { size, mode, .. } => {
                body.r#type = "tmpfs";
                body.tmpfs_options = Some(TmpfsOptions { size_bytes: *size, mode: *mode });
            }
            MountKind::Foreign(mount) if mount.kind == "image" => {
                let source = mount.source.clone().unwrap_or_default();
                needs(true, ApiVersion::v1(48), api, || format!("a mount of the image `{source}`"))?;
                body.r#type = "image";
                body.source = Some(source);
                body.image_options = mount.subpath.clone().map(|subpath| ImageOptions { subpath });
            }
            MountKind::Foreign(mount) => {
                let what = format!("a mount of the type `{}`", mount.kind);
                return Err(DockerError::Undefined { what });
            }
        }
        self.mounts.push(body);
        Ok(())
    }
}

fn needs(
    asked: bool,
    needs: ApiVersion,
    api: ApiVersion,
    what: impl Fn() -> String,
) -> Result<(), DockerError> {
    if asked && api < needs {
        let (what, needs, offers) = (what(), needs.to_string(), api.to_string());
        return Err(DockerError::Unsupported { what, needs, offers });
    }
    Ok(())
}

/// `recursive:` is about what is mounted below the source.
fn bind_options(create: bool, propagation: Option<&String>, recursive: Option<&str>) -> BindOptions {
    BindOptions {
        propagation: propagation.cloned(),
        create_mountpoint: create,
        non_recursive: recursive == Some("disabled"),
        read_only_non_recursive: recursive == Some("writable"),
        read_only_force_recursive: recursive == Some("readonly"),
    }
}

fn granted<'a>(
    kind: &str,
    grant: &FileGrant,
    objects: &'a BTreeMap<String, FileObject>,
) -> Result<&'a FileObject, DockerError> {
    objects
        .get(&grant.source)
        .ok_or_else(|| DockerError::Undefined { what: format!("{kind} `{}`", grant.source) })
}

fn append(archive: &mut tar::Builder<Vec<u8>>, grant: &FileGrant, content: &[u8]) -> Result<(), DockerError> {
    let number = |text: &Option<String>| text.as_deref().and_then(|t| t.parse().ok()).unwrap_or(0);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    // 0444 is the default of the Compose Specification.
    header.set_mode(grant.mode.unwrap_or(0o444));
    header.set_uid(number(&grant.uid));
    header.set_gid(number(&grant.gid));
    header.set_mtime(0);
    archive
        .append_data(&mut header, grant.target.trim_start_matches('/'), content)
        .map_err(|e| DockerError::broken(&grant.target, e))
}
