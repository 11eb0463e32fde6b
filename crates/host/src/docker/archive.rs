//! Files of a container, as tar archives: copied in and out, or all of them.
//!
//! Knows nothing about where the other end is.

use super::Docker;
use super::error::DockerError;
use super::lifecycle::shown;
use super::wire::{Answer, Call, escape};
use bytes::Bytes;
use hyper::Method;
use std::io;
use tokio::sync::mpsc;

/// An archive on its way out of a container.
pub struct Archive {
    answer: Answer,
}

impl Archive {
    /// The next piece; `None` at the end. Safe to cancel.
    ///
    /// # Errors
    /// The connection broke: what came is not the whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DockerError> {
        self.answer.piece().await
    }
}

impl Docker {
    /// The file or directory `path` of `container` as a tar archive whose first entry is named for it. With
    /// `follow_link`, what a symbolic link at `path` means; else the link.
    ///
    /// # Errors
    /// [`DockerError::NotFound`] when there is no such container or path.
    pub async fn copy_out(
        &self,
        container: &str,
        path: &str,
        follow_link: bool,
    ) -> Result<Archive, DockerError> {
        let what = format!("`{path}` in {}", shown(container));
        let target = match self.link_target(container, path).await? {
            Some(target) if follow_link => target,
            _ => path.to_owned(),
        };
        let call = Call::get(format!("/containers/{}/archive", escape(container)), what);
        Ok(Archive { answer: self.wire.send(call.query("path", &target)).await? })
    }

    /// Unpacks a tar archive in the directory `path` of `container`. With `keep_owners`, files belong to whom the
    /// archive says; else to the container's root.
    ///
    /// # Errors
    /// [`DockerError::NotFound`] when there is no such container or directory.
    pub async fn copy_in(
        &self,
        container: &str,
        path: &str,
        keep_owners: bool,
        archive: mpsc::Receiver<io::Result<Bytes>>,
    ) -> Result<(), DockerError> {
        let what = format!("`{path}` in {}", shown(container));
        let call = Call::new(Method::PUT, format!("/containers/{}/archive", escape(container)), what)
            .query("path", path)
            .query("noOverwriteDirNonDir", "true");
        let call = if keep_owners { call.query("copyUIDGID", "true") } else { call };
        self.wire.done(call.tar(archive).patient()).await
    }

    /// What `path` of `container` is: `None` when it does not exist.
    pub async fn stat(&self, container: &str, path: &str) -> Result<Option<PathStat>, DockerError> {
        let what = format!("`{path}` in {}", shown(container));
        let call =
            Call::new(Method::HEAD, format!("/containers/{}/archive", escape(container)), what.clone());
        match self.wire.head(call.query("path", path), "x-docker-container-path-stat").await {
            Ok(Some(text)) => PathStat::read(&text).map(Some).map_err(|e| DockerError::broken(&what, e)),
            Ok(None) => Err(DockerError::broken(&what, "the Engine does not say what it is")),
            Err(DockerError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn link_target(&self, container: &str, path: &str) -> Result<Option<String>, DockerError> {
        let stat = self.stat(container, path).await?;
        Ok(stat.map(|stat| stat.link_target).filter(|target| !target.is_empty()))
    }

    /// Every file of `container`, without its volumes, as a tar archive.
    pub async fn export(&self, container: &str) -> Result<Archive, DockerError> {
        let call = Call::get(format!("/containers/{}/export", escape(container)), shown(container));
        Ok(Archive { answer: self.wire.send(call).await? })
    }
}

/// What a path inside a container is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct PathStat {
    /// Last part of the path.
    pub name: String,
    /// Go's `os.FileMode`: its highest bit says that it is a directory.
    pub mode: u32,
    /// Where a symbolic link leads; empty for anything else.
    #[serde(default, rename = "linkTarget")]
    pub link_target: String,
}

impl PathStat {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        const DIRECTORY: u32 = 1 << 31;
        self.mode & DIRECTORY != 0
    }

    fn read(header: &str) -> Result<Self, io::Error> {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.decode(header).map_err(io::Error::other)?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_is_comes_in_a_header() {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let text =
            r#"{"name":"etc","size":4096,"mode":2147484141,"mtime":"2026-01-01T00:00:00Z","linkTarget":""}"#;
        let stat = PathStat::read(&encode(text)).unwrap();
        assert!(stat.is_directory() && stat.name == "etc");
        let link = r#"{"name":"sh","mode":134218239,"linkTarget":"/bin/busybox"}"#;
        let stat = PathStat::read(&encode(link)).unwrap();
        assert!(!stat.is_directory() && stat.link_target == "/bin/busybox");
    }
}
